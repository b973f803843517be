package esjs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// turn projects from the stored checkpoint on, until ctx ends or it cannot go on.
func (p *Projector[T, E]) turn(ctx context.Context) error {
	a := &applying[T, E]{Projector: p, name: p.projection.FullName()}
	if err := a.open(ctx); err != nil {
		return err
	}
	for range p.store.parts {
		a.hearing = append(a.hearing, newHearing())
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.report(ctx) })
	group.Go(func() error { return a.project(ctx) })
	return group.Wait()
}

// project reads and applies, until ctx ends or it cannot go on.
func (a *applying[T, E]) project(ctx context.Context) error {
	p := a.Projector
	if err := p.checkLog(ctx, a.now); err != nil {
		return err
	}
	end, err := p.store.ends(ctx, func(ctx context.Context, part *Store) (Position, error) {
		last, err := part.lastSequence(ctx, part.cfg.Stream)
		p.knownLast(part.at(last))
		return part.at(last), err
	})
	if err != nil {
		return err
	}
	a.caughtUpAt(end)
	p.active(true)
	defer p.active(false)

	// Reading and decoding run ahead of the sink by one transaction.
	feed := make(chan selected[E], p.cfg.Batch)
	a.room = semaphore.NewWeighted(feedBytes)
	group, ctx := errgroup.WithContext(ctx)
	from := a.now.Position
	for i, part := range p.store.parts {
		read := reading[T, E]{Projector: p, part: part, known: p.newest(a.now, part), hearing: a.hearing[i], out: feed, room: a.room}
		group.Go(func() error {
			return read.follow(ctx, from.only(part.partition))
		})
	}
	group.Go(func() error { return a.take(ctx, feed, end) })
	return group.Wait()
}

// checkLog refuses a checkpoint of another log.
func (p *Projector[T, E]) checkLog(ctx context.Context, c Checkpoint) error {
	n := len(p.store.parts)
	if n == 1 && len(c.NewestIn) > 0 || n > 1 && c.Newest.ID != "" {
		return &CorruptError{Position: c.Position, Reason: fmt.Sprintf("the rows are not of a store of as many partitions as this one, which has %d", n)}
	}
	if err := p.store.checkPosition(c.Position); err != nil {
		return err
	}
	return p.store.each(func(part *Store) error { return part.checkCommit(ctx, p.newest(c, part)) })
}

// newest is the newest commit of a partition that the projection has had.
func (p *Projector[T, E]) newest(c Checkpoint, part *Store) CommitRef {
	if len(p.store.parts) == 1 {
		return c.Newest
	}
	return c.NewestIn[int(part.partition)]
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

const (
	// feedBytes bounds the stored size of the commits that are read and not yet
	// applied, and batchBytes that of a transaction: commits can be large.
	feedBytes  = 32 << 20
	batchBytes = feedBytes / 2
	// tendEvery is how often a projector looks what others did with its
	// checkpoint, and stores how far it came over what it ignores.
	tendEvery = 500 * time.Millisecond
)

// take applies what is read: as much as there is, up to a batch, and never
// waiting for more.
func (a *applying[T, E]) take(ctx context.Context, feed <-chan selected[E], end Position) error {
	tend := time.NewTicker(tendEvery)
	defer tend.Stop()
	batch := make([]selected[E], 0, a.cfg.Batch)
	for {
		batch = batch[:0]
		select {
		case first := <-feed:
			batch = append(batch, first)
		case <-tend.C:
			if err := a.tend(ctx); err != nil {
				return err
			}
			continue
		case <-ctx.Done():
			return ctx.Err()
		}
		size := batch[0].size
		for more := true; more && len(batch) < a.cfg.Batch && size < batchBytes; {
			select {
			case next := <-feed:
				batch = append(batch, next)
				size += next.size
			default:
				more = false
			}
		}
		if err := a.pass(ctx, batch); err != nil {
			return err
		}
		a.room.Release(size)
		a.caughtUpAt(end)
	}
}

// report tells the observer once a second how far behind the projection is, and what
// cannot be read, and keeps its pace.
func (a *applying[T, E]) report(ctx context.Context) error {
	for a.keepPace(); sleep(ctx, time.Second); a.keepPace() {
		for i, part := range a.store.parts {
			err := a.hearing[i].silent(part.cfg.Stream)
			if err == nil {
				continue
			}
			a.cfg.Observer.Handled(a.name, 0, err)
			if last, err := part.endWithin(ctx, part.cfg.Stream, time.Second); err == nil {
				a.knownLast(part.at(last))
			}
		}
		progress := a.Progress()
		a.cfg.Observer.Lag(a.name, progress.Lag, progress.Behind)
	}
	return ctx.Err()
}

// pass goes behind everything that was read.
func (a *applying[T, E]) pass(ctx context.Context, batch []selected[E]) error {
	for len(batch) > 0 {
		allowed, err := a.allowed(ctx, batch)
		if err != nil {
			return err
		}
		batch = batch[len(allowed):]
		if err := a.passAll(ctx, allowed); err != nil {
			return err
		}
	}
	return nil
}

// passAll applies commits, and takes note of the places up to which there was
// nothing to apply.
func (a *applying[T, E]) passAll(ctx context.Context, batch []selected[E]) error {
	to := a.behind(batch)
	commits := slices.DeleteFunc(batch, func(c selected[E]) bool { return c.nothing() })
	if len(commits) > 0 {
		a.waiting(commits[0].time)
		if err := a.apply(ctx, commits); err != nil {
			return err
		}
	}
	if a.reached.Before(to) {
		a.reached = to
		a.at(to, a.now)
	}
	return nil
}

// tend does what is due from time to time.
func (a *applying[T, E]) tend(ctx context.Context) error {
	if a.now.Position.Before(a.reached) {
		// Nothing of this is read again after a restart, and who asks the sink
		// sees how far the projection is.
		to := a.reached
		if err := a.move(ctx, to, func(_ context.Context, _ T, now Checkpoint) (Checkpoint, error) {
			now.Position = to
			return now, nil
		}); err != nil {
			return err
		}
	}
	if err := a.refresh(ctx); err != nil || a.now.Live {
		return err
	}
	return a.standBy(ctx)
}

// reading feeds a projector from one partition of the store. Those of several are applied as
// they come.
type reading[T any, E Event] struct {
	*Projector[T, E]
	part    *Store
	known   CommitRef // the newest one that the projection has had
	hearing *hearing
	out     chan<- selected[E]
	room    *semaphore.Weighted // for the stored size of commits
}

func (r *reading[T, E]) follow(ctx context.Context, after Position) error {
	check := r.part.sameLog(ctx, r.known)
	return r.part.followCommits(ctx, r.projection.Query, after, commitFollower{
		deliver: func(m message, c Commit, err error) error {
			if err := check(); err != nil {
				return err
			}
			r.knownLast(r.part.at(m.sequence + m.pending))
			s := r.decode(m, c, err)
			s.commit = c.ref()
			s.size = min(int64(len(m.data)), batchBytes)
			s.position = c.Position
			return r.send(ctx, s)
		},
		reached: func(position Position, pending uint64) error {
			if err := check(); err != nil {
				return err
			}
			r.knownLast(r.part.at(position.sequence + pending))
			return r.send(ctx, selected[E]{position: position})
		},
	})
}

// send waits for room.
func (r *reading[T, E]) send(ctx context.Context, c selected[E]) error {
	return r.hearing.take(func() error {
		if err := r.room.Acquire(ctx, c.size); err != nil {
			return err
		}
		select {
		case r.out <- c:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
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
func (p *Projector[T, E]) wants(name string) bool {
	types := p.projection.Query.Types
	return (len(types) == 0 || slices.Contains(types, name)) && p.projection.Codec.Knows(name)
}

// knownLast notes that the store has a commit at a place.
func (p *Projector[T, E]) knownLast(at Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := &p.last[at.partition]; last.Before(at) {
		*last = at
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
	p.progress.CaughtUp = p.progress.CaughtUp || p.progress.Position.Covers(end)
	caughtUp := p.progress.CaughtUp
	p.mu.Unlock()
	if caughtUp && p.cfg.OnCaughtUp != nil {
		p.caughtUp.Do(func() { go p.cfg.OnCaughtUp() })
	}
}
