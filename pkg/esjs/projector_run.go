package esjs

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"
)

// turn projects from the stored checkpoint on, until ctx ends or it cannot go on.
func (p *Projector[T, E]) turn(ctx context.Context) error {
	a := &applying[T, E]{Projector: p, name: p.projection.FullName()}
	if err := a.open(ctx); err != nil {
		return err
	}
	end, err := p.end(ctx)
	if err != nil {
		return err
	}
	a.knownLast(end.sequence)
	a.caughtUpAt(end)

	// Reading and decoding run ahead of the sink by one transaction.
	feed := make(chan selected[E], p.cfg.Batch)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		read := reading[T, E]{Projector: p, out: feed}
		return read.follow(ctx, a.now.Position)
	})
	group.Go(func() error { return a.take(ctx, feed, end) })
	group.Go(func() error { return a.report(ctx) })
	return group.Wait()
}

// end asks where the store ends, until a leader answers.
func (p *Projector[T, E]) end(ctx context.Context) (Position, error) {
	for {
		last, err := p.store.lastSequence(ctx, p.store.cfg.Stream)
		if err == nil || isRefusal(err) || errors.Is(err, nats.ErrConnectionClosed) {
			return Position{sequence: last}, err
		}
		if !sleep(ctx, followRetryFirst) {
			return Position{}, ctx.Err()
		}
	}
}

// open loads the checkpoint; it waits for a sink that is unavailable.
func (a *applying[T, E]) open(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		stored, err := a.sink.Open(ctx, a.name, a.projection.Init)
		if err == nil {
			a.now, a.reached = stored, stored.Position
			a.at(a.reached, stored)
			a.cfg.Observer.ParkedKeys(a.name, len(stored.Parked))
			return nil
		}
		if !errors.Is(err, ErrUnavailable) {
			return err
		}
		a.cfg.Observer.Handled(a.name, 0, err)
		if err := a.pause(ctx, attempt); err != nil {
			return err
		}
	}
}

// take applies what is read: as much as there is, up to a batch, and never
// waiting for more.
func (a *applying[T, E]) take(ctx context.Context, feed <-chan selected[E], end Position) error {
	batch := make([]selected[E], 0, a.cfg.Batch)
	for {
		batch = batch[:0]
		select {
		case first := <-feed:
			batch = append(batch, first)
		case <-ctx.Done():
			return ctx.Err()
		}
		for more := true; more && len(batch) < a.cfg.Batch; {
			select {
			case next := <-feed:
				batch = append(batch, next)
			default:
				more = false
			}
		}
		if err := a.pass(ctx, batch); err != nil {
			return err
		}
		a.caughtUpAt(end)
	}
}

// report tells the observer once a second how far behind the projection is.
func (a *applying[T, E]) report(ctx context.Context) error {
	for sleep(ctx, time.Second) {
		progress := a.Progress()
		a.cfg.Observer.Lag(a.name, progress.Lag, progress.Behind)
	}
	return ctx.Err()
}

// pass goes behind everything that was read: it applies commits, and takes
// note of the places up to which there was nothing to apply.
func (a *applying[T, E]) pass(ctx context.Context, batch []selected[E]) error {
	last := batch[len(batch)-1].position
	commits := slices.DeleteFunc(batch, func(c selected[E]) bool { return c.nothing() })
	if len(commits) > 0 {
		a.waiting(commits[0].time)
		if err := a.apply(ctx, commits); err != nil {
			return err
		}
	}
	if last.sequence >= a.now.Position.sequence+saveEvery {
		to := a.now
		to.Position = last
		if err := a.transact(ctx, to, nil); err != nil {
			return err
		}
	}
	if a.reached.Before(last) {
		a.reached = last
		a.at(last, a.now)
	}
	return nil
}

// saveEvery is after how many ignored commits the checkpoint is stored although
// no row changes: so much is read again after a restart.
const saveEvery = 10_000

// reading feeds a projector from the store.
type reading[T any, E Event] struct {
	*Projector[T, E]
	out  chan<- selected[E]
	head Position
}

func (r *reading[T, E]) follow(ctx context.Context, after Position) error {
	r.head = after
	return r.store.followCommits(ctx, r.projection.Query, after, commitFollower{
		deliver: func(m message, c Commit, err error) error {
			r.knownLast(m.sequence + m.pending)
			return r.send(ctx, c.Position, r.decode(m, c, err))
		},
		reached: func(position Position) error {
			r.knownLast(position.sequence)
			return r.send(ctx, position, selected[E]{})
		},
	})
}

// send waits for room. A commit that the server had left out comes late, but
// the position never goes back.
func (r *reading[T, E]) send(ctx context.Context, position Position, c selected[E]) error {
	if r.head.Before(position) {
		r.head = position
	}
	c.position = r.head
	select {
	case r.out <- c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// decode turns a commit into what is applied of it. Types that the projection
// did not ask for or does not know are left out; what it knows and cannot
// decode is the commit's error.
func (r *reading[T, E]) decode(m message, commit Commit, err error) selected[E] {
	c := selected[E]{key: commit.Stream.String(), time: m.stored, err: err}
	for _, record := range commit.Records {
		c.time = record.Time
		if !r.wants(record.Type) {
			continue
		}
		event, err := r.projection.Codec.Decode(record)
		if err != nil {
			return selected[E]{key: c.key, time: record.Time, err: err}
		}
		c.events = append(c.events, event)
	}
	return c
}

// wants tells that the projection reads events of the type.
func (r *reading[T, E]) wants(name string) bool {
	types := r.projection.Query.Types
	return (len(types) == 0 || slices.Contains(types, name)) && r.projection.Codec.Knows(name)
}

// knownLast notes that the store has a commit at sequence.
func (p *Projector[T, E]) knownLast(sequence uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.progress.Last.sequence < sequence {
		p.progress.Last = Position{sequence: sequence}
	}
}

// waiting notes when the oldest commit that is not applied happened.
func (p *Projector[T, E]) waiting(since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.oldest = since
}

// caughtUpAt tells once that end was reached.
func (p *Projector[T, E]) caughtUpAt(end Position) {
	p.mu.Lock()
	p.progress.CaughtUp = p.progress.CaughtUp || !p.progress.Position.Before(end)
	caughtUp := p.progress.CaughtUp
	p.mu.Unlock()
	if caughtUp && p.cfg.OnCaughtUp != nil {
		p.caughtUp.Do(p.cfg.OnCaughtUp)
	}
}
