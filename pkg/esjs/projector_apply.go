package esjs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"golang.org/x/sync/semaphore"
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
	commit   CommitRef
	time     time.Time // of the commit's last event
	size     int64     // bytes that it takes of the feed
	events   []Recorded[E]
	err      error // the commit does not decode
}

// nothing tells that there is nothing to apply up to the position.
func (c selected[E]) nothing() bool { return len(c.events) == 0 && c.err == nil }

// failed is err with the commit's event at which it happened, where the commit decodes.
func (c selected[E]) failed(err error) error {
	if len(c.events) == 0 {
		return err
	}
	return causeOf(c.events).failed(err)
}

// applying is one turn of a projector: it owns the checkpoint from Open until
// it ends.
type applying[T any, E Event] struct {
	*Projector[T, E]
	name    string
	now     Checkpoint // as it was stored last
	reached Position   // at or behind it: there is nothing to apply in between
	limit   Position   // where the live version is, for one that stays behind it
	room    *semaphore.Weighted
	hearing []*hearing    // of each partition
	spans   []func(error) // that end with the transaction
	began   time.Time     // when the last attempt of a transaction did
	told    time.Time     // when the observer was last told that the sink cannot be asked
}

// apply brings commits into the sink, in one transaction when all goes well.
// Otherwise it takes them one by one, so that the one that fails is found and
// the others are stored.
func (a *applying[T, E]) apply(ctx context.Context, commits []selected[E]) error {
	err := a.transact(ctx, commits)
	if !isEventsFault(ctx, err) {
		a.handled(ctx, err)
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
		err := a.transact(ctx, commit)
		a.handled(ctx, commit[0].failed(err))
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
	position := a.behind([]selected[E]{c})
	err := a.move(ctx, position, func(_ context.Context, _ T, now Checkpoint) (Checkpoint, error) {
		if len(now.Parked) >= maxParkedKeys {
			return now, fmt.Errorf("%d keys are parked already, and %s fails too: %w", maxParkedKeys, c.key, reason)
		}
		to := a.passed(now, position, []selected[E]{c})
		to.Parked = maps.Clone(to.Parked)
		if to.Parked == nil {
			to.Parked = make(map[string]Parked)
		}
		to.Parked[c.key] = Parked{
			Key: c.key, Reason: fmt.Sprintf("%.*s", maxReason, reason), Since: time.Now().UTC(), Count: 1, From: c.position,
		}
		return to, nil
	})
	if err == nil {
		a.cfg.Observer.ParkedKeys(a.name, len(a.now.Parked))
	}
	return err
}

// behind is the place behind commits, or what there was to pass over.
func (a *applying[T, E]) behind(commits []selected[E]) Position {
	if len(a.store.parts) == 1 {
		return a.reached.Later(commits[len(commits)-1].position)
	}
	places := a.reached.elements()
	for _, c := range commits {
		places = append(places, c.position)
	}
	return joinPositions(places)
}

// passed is the checkpoint behind commits: those of parked keys are counted there.
func (a *applying[T, E]) passed(now Checkpoint, position Position, commits []selected[E]) Checkpoint {
	to, own := now, false
	to.Position, to.Time = position, commits[len(commits)-1].time
	if len(a.store.parts) > 1 {
		to.NewestIn = maps.Clone(to.NewestIn)
		if to.NewestIn == nil {
			to.NewestIn = make(map[int]CommitRef)
		}
	}
	for _, c := range commits {
		if p := c.position.Partition(); len(a.store.parts) > 1 && c.commit.Sequence > to.NewestIn[p].Sequence {
			to.NewestIn[p] = c.commit
		} else if len(a.store.parts) == 1 && c.commit.Sequence > to.Newest.Sequence {
			to.Newest = c.commit
		}
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

// transact applies commits and moves behind them, in one transaction.
func (a *applying[T, E]) transact(ctx context.Context, commits []selected[E]) error {
	to := a.behind(commits)
	for {
		err := a.move(ctx, to, func(ctx context.Context, tx T, now Checkpoint) (Checkpoint, error) {
			if err := a.checkRole(now); err != nil {
				return now, err
			}
			for i := range commits {
				if err := a.rows(ctx, tx, now, &commits[i]); err != nil {
					return now, err
				}
			}
			return a.passed(now, to, commits), nil
		})
		if !errors.Is(err, errRetired) {
			if err == nil {
				a.count(commits)
			}
			return err
		}
		a.now.Live = false
		if err := a.mayReach(ctx, to); err != nil {
			return err
		}
	}
}

// errDropped: somebody dropped the projection while it was running.
var errDropped = errors.New("esjs: the projection was dropped")

// move brings the checkpoint to the position to, by step. It tries again while
// the sink is unavailable, and tells the observer of each attempt. Whether a
// transaction that was cut off took place is told by the checkpoint that the next one finds.
func (a *applying[T, E]) move(ctx context.Context, to Position, step func(context.Context, T, Checkpoint) (Checkpoint, error)) error {
	for attempt := 1; ; attempt++ {
		var stored Checkpoint
		begun := false
		a.began = time.Now()
		err := a.sink.Commit(ctx, a.name, func(ctx context.Context, tx T, now Checkpoint) (_ Checkpoint, err error) {
			begun = true
			switch now.Position {
			case a.now.Position:
				stored, err = step(ctx, tx, now)
			case to:
				if attempt > 1 {
					stored = now
					break
				}
				fallthrough
			default:
				err = fmt.Errorf("%w: the checkpoint of %s is at %s and no longer at %s: another instance is projecting",
					ErrConflict, a.name, now.Position, a.now.Position)
			}
			return stored, err
		})
		a.endSpans(err)
		switch {
		case err == nil:
			a.now, a.reached = stored, stored.Position
			a.at(a.reached, a.now)
			return nil
		case !begun && errors.Is(err, ErrNotFound):
			return fmt.Errorf("%w: %w", errDropped, err)
		case ctx.Err() != nil || !errors.Is(err, ErrUnavailable):
			return err
		}
		a.handled(ctx, err)
		if err := a.pause(ctx, attempt); err != nil {
			return err
		}
	}
}

// rows applies one commit. Applying a commit can panic; that is the commit's
// failure and not the program's end.
func (a *applying[T, E]) rows(ctx context.Context, tx T, now Checkpoint, c *selected[E]) (err error) {
	if _, parked := now.Parked[c.key]; parked {
		return nil
	}
	if c.err != nil {
		return c.err
	}
	if cause := causeOf(c.events); a.store.traced(cause) {
		var end func(error)
		ctx, end = a.store.spanOf(ctx, OperationProject, a.name, cause)
		a.spans = append(a.spans, end)
	}
	return a.projection.applyAll(ctx, tx, now, c.position, c.events)
}

// applyAll applies the events of one commit, with their effects where they are
// this version's. A panic becomes an error.
func (p *Projection[T, E]) applyAll(ctx context.Context, tx T, now Checkpoint, at Position, events []Recorded[E]) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = panicError(r)
		}
	}()
	effects := p.Effect != nil && now.Live && !now.Since.Covers(at)
	for i, e := range events {
		err := p.Apply(ctx, tx, e)
		if err == nil && effects {
			err = p.Effect(ctx, tx, e)
		}
		if err != nil {
			return causeOf(events[i:]).failed(fmt.Errorf("apply %s of %s version %d: %w", e.Type, e.Stream, e.Version, err))
		}
	}
	return nil
}

// endSpans ends the spans of a transaction with what became of it.
func (a *applying[T, E]) endSpans(err error) {
	for _, end := range a.spans {
		end(err)
	}
	a.spans = a.spans[:0]
}

// pause waits before the next attempt.
func (a *applying[T, E]) pause(ctx context.Context, attempt int) error {
	if !sleep(ctx, a.cfg.Retry.wait(attempt-1)) {
		return ctx.Err()
	}
	return nil
}

// handled tells what the last attempt of a transaction ended with, unless it failed because the turn ends.
func (a *applying[T, E]) handled(ctx context.Context, err error) {
	if err == nil || ctx.Err() == nil {
		a.cfg.Observer.Handled(a.name, time.Since(a.began), err)
	}
}

// isEventsFault tells errors that come back with the same event, and with no
// other, from the sink's trouble and the end of the turn.
func isEventsFault(ctx context.Context, err error) bool {
	if ctx.Err() == nil && isPark(err) {
		return true
	}
	for _, other := range []error{ErrConflict, ErrUnavailable, ErrConfig, ErrRefused, errDropped} {
		if errors.Is(err, other) {
			return false
		}
	}
	return err != nil && ctx.Err() == nil
}

// isPark tells that Apply asked with [Park] not to try again.
func isPark(err error) bool {
	var park *parkNow
	return errors.As(err, &park)
}
