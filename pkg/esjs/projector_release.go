package esjs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
)

// Release lets a parked key go on: in one transaction it reads the commits of the
// aggregate that wait from the store, applies them in order, and takes the key
// from those that are parked. When one of them fails again, nothing changes and
// Release returns its error. It may be asked of any instance, also while one is
// projecting; that one waits until it is done.
//
// [ErrNotFound]: the key is not parked. [ErrInvalid]: it was parked by a program
// that did not note where, or the sink cannot apply what waits after what came later
// of other keys, as kvsink says of its rows; a new version of the projection has it.
func (p *Projector[T, E]) Release(ctx context.Context, key string) error {
	for attempt := 1; ; attempt++ {
		err := p.release(ctx, key)
		switch {
		case err == nil:
			return nil
		case attempt > 1 && errors.Is(err, errNotParked):
			return nil // the attempt that was cut off has done it
		case ctx.Err() != nil || !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrConflict):
			return fmt.Errorf("release %q of projection %s: %w", key, p.projection.FullName(), err)
		}
		if !sleep(ctx, p.cfg.Retry.wait(attempt-1)) {
			return fmt.Errorf("release %q of projection %s: %w", key, p.projection.FullName(), err)
		}
	}
}

var errNotParked = fmt.Errorf("%w: the key is not parked", ErrNotFound)

func (p *Projector[T, E]) release(ctx context.Context, key string) error {
	return p.sink.Commit(ctx, p.projection.FullName(), func(ctx context.Context, tx T, now Checkpoint) (Checkpoint, error) {
		parked, found := now.Parked[key]
		switch {
		case !found:
			return now, errNotParked
		case parked.From.IsZero():
			return now, fmt.Errorf("%w: it is not known from where on the key is parked", ErrInvalid)
		}
		if err := p.reapply(ctx, tx, now, parked); err != nil {
			return now, err
		}
		now.Parked = maps.Clone(now.Parked)
		delete(now.Parked, key)
		return now, nil
	})
}

// reapply applies what a parked key has up to the checkpoint. Beyond it the
// projector goes on by itself.
func (p *Projector[T, E]) reapply(ctx context.Context, tx T, now Checkpoint, parked Parked) error {
	category, key, _ := strings.Cut(parked.Key, "/")
	id := StreamID{Category: category, Key: key}
	if err := checkStream(id); err != nil {
		return err
	}
	part := p.store.of(id)
	tail, err := part.surestTail(ctx, id) // what it does not have would be missing in the view for ever
	if err != nil {
		return err
	}
	first, err := part.leaderCommit(ctx, id, parked.From.sequence)
	if err != nil {
		return err
	}
	var failed error
	err = part.forward(ctx, tail, first.Records[0].Version, math.MaxUint64, func(r Record) bool {
		if !now.Position.Covers(r.Position) {
			return false
		}
		if !p.wants(r.Type) {
			return true
		}
		failed = p.reapplyOne(ctx, tx, now, r)
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	if errors.Is(err, errStopped) {
		return nil
	}
	return err
}

func (p *Projector[T, E]) reapplyOne(ctx context.Context, tx T, now Checkpoint, r Record) error {
	if err := p.store.revealRecord(ctx, &r, nil); err != nil {
		return err
	}
	event, err := p.projection.Codec.Decode(r)
	if err != nil {
		return err
	}
	return p.projection.applyAll(ctx, tx, now, r.Position, []Recorded[E]{event})
}
