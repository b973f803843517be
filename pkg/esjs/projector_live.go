package esjs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// standByEvery is how often a version looks for the live one when it waits for it.
const standByEvery = 100 * time.Millisecond

// Promote makes this version the live one as soon as it has caught up with the
// version that is: when it is at most a transaction, [ProjectionConfig].Batch,
// behind it. It waits for that until ctx ends, and then returns its error. It may
// be asked of any instance, and goes back to a lower version just as well; some
// instance must be projecting this version, or begin to.
//
// Effects go over exactly: those of events up to where the other version was are
// its, those of later events this version's. What is parked has had no effect in the
// version that parked it: [Projector.Release] it before.
func (p *Projector[T, E]) Promote(ctx context.Context) error {
	for {
		done, err := p.promote(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case done:
			return nil
		case err != nil && !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound):
			return fmt.Errorf("promote projection %s: %w", p.projection.FullName(), err)
		}
		if !sleep(ctx, standByEvery) {
			return ctx.Err()
		}
	}
}

// promote takes over if this version has caught up; done when it is the live one.
func (p *Projector[T, E]) promote(ctx context.Context) (done bool, err error) {
	name := p.projection.FullName()
	own, err := p.sink.Load(ctx, name)
	if err != nil || own.Live {
		return own.Live, err
	}
	from, live, err := p.live(ctx)
	if err != nil || !p.caughtUpWith(live, own.Position) {
		return false, err
	}
	err = p.sink.Promote(ctx, from, name)
	return err == nil, err
}

// caughtUpWith tells that the position is at most a transaction behind the live version.
func (p *Projector[T, E]) caughtUpWith(live Checkpoint, position Position) bool {
	return position.upTo(live.Position) <= uint64(p.cfg.Batch)
}

// live is the full name of the live version, and its checkpoint.
func (p *Projector[T, E]) live(ctx context.Context) (name string, c Checkpoint, err error) {
	if name, err = p.sink.Live(ctx, p.projection.Name); err == nil {
		c, err = p.sink.Load(ctx, name)
	}
	return name, c, err
}

// Drop forgets this version: it calls the projection's Drop and removes the
// checkpoint, in one transaction. A projector that still runs it ends, and one
// that runs it later builds it anew. The live version is refused with
// [ErrInvalid], and one that does not exist with [ErrNotFound].
func (p *Projector[T, E]) Drop(ctx context.Context) error {
	if err := p.sink.Drop(ctx, p.projection.FullName(), p.projection.Drop); err != nil {
		return fmt.Errorf("drop projection %s: %w", p.projection.FullName(), err)
	}
	return nil
}

// allowed is how much of a batch may be passed now: all of it, or what is not
// beyond the live version where this one must stay behind it. It waits until
// that is something.
func (a *applying[T, E]) allowed(ctx context.Context, batch []selected[E]) ([]selected[E], error) {
	if err := a.mayReach(ctx, batch[0].position); err != nil {
		return nil, err
	}
	n := slices.IndexFunc(batch, func(c selected[E]) bool { return a.mustWait(c.position) })
	if n < 0 {
		n = len(batch)
	}
	return batch[:n], nil
}

// mustWait tells that a position is the live version's to reach first: what
// another version passed before it would never have its effect.
func (a *applying[T, E]) mustWait(position Position) bool {
	return a.projection.Effect != nil && !a.now.Live && !a.limit.Covers(position)
}

// mayReach waits until this version may go as far as the position.
func (a *applying[T, E]) mayReach(ctx context.Context, position Position) error {
	for a.mustWait(position) {
		if err := a.standBy(ctx); err != nil {
			return err
		}
		if a.mustWait(position) && !sleep(ctx, standByEvery) {
			return ctx.Err()
		}
	}
	return nil
}

// errRetired: another version became live; this one has to stay behind it now.
var errRetired = errors.New("esjs: another version is live")

// checkRole refuses a step that was begun by the live version and that is no
// longer one.
func (a *applying[T, E]) checkRole(now Checkpoint) error {
	if a.projection.Effect != nil && a.now.Live && !now.Live {
		return errRetired
	}
	return nil
}

// standBy looks where the live version is. Unless that is for somebody to do by
// hand, a higher version takes over from it when it has caught up.
func (a *applying[T, E]) standBy(ctx context.Context) error {
	name, live, err := a.live(ctx)
	if err != nil {
		return a.patient(err)
	}
	a.limit = live.Position
	_, version, err := SplitFullName(name)
	if err != nil {
		return err
	}
	if name != a.name && !a.cfg.ByHand && version < a.projection.Version && a.caughtUpWith(live, a.reached) && a.mayTakeOver(ctx, name) {
		if err := a.sink.Promote(ctx, name, a.name); err != nil && !errors.Is(err, ErrConflict) {
			return a.patient(err)
		}
	}
	return a.refresh(ctx)
}

func (a *applying[T, E]) mayTakeOver(ctx context.Context, from string) bool {
	return a.cfg.MayTakeOver == nil || a.cfg.MayTakeOver(ctx, from)
}

// refresh takes note of what others have changed: which version is live, and
// which keys are parked.
func (a *applying[T, E]) refresh(ctx context.Context) error {
	stored, err := a.sink.Load(ctx, a.name)
	switch {
	case errors.Is(err, ErrNotFound):
		return fmt.Errorf("%w: %w", errDropped, err)
	case err != nil:
		return a.patient(err)
	case stored.Position != a.now.Position:
		return nil // the next step finds out why
	}
	parked := len(a.now.Parked)
	if stored.Live == a.now.Live && maps.EqualFunc(stored.Parked, a.now.Parked, func(p, q Parked) bool { return p.Since.Equal(q.Since) }) {
		return nil
	}
	a.now = stored
	a.at(a.reached, stored)
	if len(stored.Parked) != parked {
		a.cfg.Observer.ParkedKeys(a.name, len(stored.Parked))
	}
	return nil
}

// patient passes over what will be asked again, and tells the observer once a second.
func (a *applying[T, E]) patient(err error) error {
	if !errors.Is(err, ErrUnavailable) {
		return err
	}
	if time.Since(a.told) >= time.Second {
		a.told = time.Now()
		a.cfg.Observer.Handled(a.name, 0, err)
	}
	return nil
}
