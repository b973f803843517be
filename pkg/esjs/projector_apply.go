package esjs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"
)

// maxParkedKeys bounds what a checkpoint carries. So many failures have one
// cause, and it is not in the events.
const (
	maxParkedKeys = 1000
	maxReason     = 300 // characters
)

// selected is one commit on its way into the sink: what was selected of it.
type selected[E Event] struct {
	key      string // of what is parked: the aggregate
	position Position
	time     time.Time // of the commit's last event
	events   []Recorded[E]
	err      error // the commit does not decode
}

// nothing tells that there is nothing to apply up to the position.
func (c selected[E]) nothing() bool { return len(c.events) == 0 && c.err == nil }

// applying is one turn of a projector: it owns the checkpoint from Open until
// it ends.
type applying[T any, E Event] struct {
	*Projector[T, E]
	name    string
	now     Checkpoint // as it is stored
	reached Position   // at or behind it: there is nothing to apply in between
}

// apply brings commits into the sink, in one transaction when all goes well.
// Otherwise it takes them one by one, so that the one that fails is found and
// the others are stored.
func (a *applying[T, E]) apply(ctx context.Context, commits []selected[E]) error {
	started := time.Now()
	err := a.transact(ctx, a.behind(commits), commits)
	if !isEventsFault(ctx, err) {
		a.handled(started, err)
		return err
	}
	for i := range commits {
		if err := a.applyOne(ctx, commits[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// applyOne tries one commit until it succeeds or its attempts are used up;
// then its key is parked and the others go on.
func (a *applying[T, E]) applyOne(ctx context.Context, commit []selected[E]) error {
	for attempt := 1; ; attempt++ {
		started := time.Now()
		err := a.transact(ctx, a.behind(commit), commit)
		a.handled(started, err)
		switch {
		case !isEventsFault(ctx, err):
			return err
		case attempt == a.cfg.Retry.Attempts, commit[0].err != nil, isPark(err):
			return a.park(ctx, commit[0], err)
		}
		if err := a.pause(ctx, attempt); err != nil {
			return err
		}
	}
}

// park sets the commit's key aside and moves behind the commit, together.
func (a *applying[T, E]) park(ctx context.Context, c selected[E], reason error) error {
	if len(a.now.Parked) >= maxParkedKeys {
		return fmt.Errorf("%d keys are parked already, and %s fails too: %w", maxParkedKeys, c.key, reason)
	}
	to := Checkpoint{Position: c.position, Time: c.time, Parked: maps.Clone(a.now.Parked)}
	if to.Parked == nil {
		to.Parked = make(map[string]Parked)
	}
	to.Parked[c.key] = Parked{Key: c.key, Reason: fmt.Sprintf("%.*s", maxReason, reason), Since: time.Now().UTC(), Count: 1}
	err := a.transact(ctx, to, nil)
	if err == nil {
		a.cfg.Observer.ParkedKeys(a.name, len(to.Parked))
	}
	return err
}

// behind is the checkpoint behind commits: those of parked keys are counted there.
func (a *applying[T, E]) behind(commits []selected[E]) Checkpoint {
	last := commits[len(commits)-1]
	to := Checkpoint{Position: last.position, Time: last.time, Parked: a.now.Parked}
	own := false
	for _, c := range commits {
		if parked, ok := to.Parked[c.key]; ok {
			if !own {
				to.Parked, own = maps.Clone(to.Parked), true
			}
			parked.Count++
			to.Parked[c.key] = parked
		}
	}
	return to
}

// transact applies commits and moves the checkpoint to to, in one transaction.
// It tries again while the sink is unavailable. Whether a transaction that was
// cut off took place is settled by the stored checkpoint.
func (a *applying[T, E]) transact(ctx context.Context, to Checkpoint, commits []selected[E]) error {
	for attempt := 1; ; attempt++ {
		err := a.sink.Commit(ctx, a.name, a.now, to, func(ctx context.Context, tx T) error {
			for i := range commits {
				if err := a.rows(ctx, tx, &commits[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if attempt > 1 && errors.Is(err, ErrConflict) {
			stored, openErr := a.sink.Open(ctx, a.name, a.projection.Init)
			if openErr == nil && stored.Position == to.Position {
				err = nil
			}
		}
		if err == nil {
			a.now, a.reached = to, to.Position
			a.at(to.Position, to)
			return nil
		}
		if ctx.Err() != nil || !errors.Is(err, ErrUnavailable) {
			return err
		}
		if err := a.pause(ctx, attempt); err != nil {
			return err
		}
	}
}

// rows applies one commit. Applying a commit can panic; that is the commit's
// failure and not the program's end.
func (a *applying[T, E]) rows(ctx context.Context, tx T, c *selected[E]) (err error) {
	if _, parked := a.now.Parked[c.key]; parked {
		return nil
	}
	if c.err != nil {
		return c.err
	}
	defer func() {
		if r := recover(); r != nil {
			err = panicError(r)
		}
	}()
	for _, e := range c.events {
		if err := a.projection.Apply(ctx, tx, e); err != nil {
			return fmt.Errorf("apply %s of %s version %d: %w", e.Type, e.Stream, e.Version, err)
		}
	}
	return nil
}

// pause waits before the next attempt.
func (a *applying[T, E]) pause(ctx context.Context, attempt int) error {
	if !sleep(ctx, a.cfg.Retry.wait(attempt-1)) {
		return ctx.Err()
	}
	return nil
}

func (a *applying[T, E]) handled(started time.Time, err error) {
	a.cfg.Observer.Handled(a.name, time.Since(started), err)
}

// isEventsFault tells errors that come back with the same event, and with no
// other, from the sink's trouble and the end of the turn.
func isEventsFault(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() == nil && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrUnavailable)
}

// isPark tells that Apply asked with [Park] not to try again.
func isPark(err error) bool {
	var park *parkNow
	return errors.As(err, &park)
}
