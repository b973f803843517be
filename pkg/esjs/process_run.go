package esjs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// Run consumes inputs and fired timers until ctx ends, and then returns nil, or
// until it cannot go on, and says why with the errors of [Subscribe]. One
// instance of the process is active at a time; others wait to take over. When
// two are active nevertheless, the expectation of their appends lets one commit
// through for each input.
func (r *ProcessRunner[S, In, Out]) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	sweeping := &sweeping{Observer: r.observer, subscription: r.process.Name, changed: make(chan struct{}, 1)}
	group.Go(func() error { return r.runEvents(ctx, sweeping) })
	group.Go(func() error { return r.runTimers(ctx) })
	group.Go(func() error { return r.runSweeps(ctx, sweeping) })
	return group.Wait()
}

// runEvents consumes the events of other streams.
func (r *ProcessRunner[S, In, Out]) runEvents(ctx context.Context, observer Observer) error {
	return Subscribe(ctx, r.store, SubscriptionConfig[In]{
		Name:   r.process.Name,
		Codec:  r.process.In,
		Query:  r.process.Inputs,
		Key:    r.process.Key,
		Bucket: r.cfg.Bucket, Owner: r.cfg.Owner, Workers: r.cfg.Workers,
		Lease: r.cfg.Lease, Retry: r.cfg.Retry, Observer: observer,
	}, r.onEvent)
}

func (r *ProcessRunner[S, In, Out]) onEvent(ctx context.Context, e Recorded[In]) error {
	m := Metadata{
		CorrelationID: e.Metadata.CorrelationID,
		CausationID:   e.ID,
		TraceParent:   e.Metadata.TraceParent,
		Input:         InputRef{ID: e.ID, Source: "/" + e.Stream.Category, Position: e.Position, Version: e.Version},
	}
	return r.consume(ctx, r.process.Key(e), Input[In]{Event: &e, Time: e.Time}, m)
}

// runTimers consumes the fired timers.
func (r *ProcessRunner[S, In, Out]) runTimers(ctx context.Context) error {
	return r.timers.Subscribe(ctx, TimerSubscription{
		Name:     r.process.Name + "-timers",
		Category: r.process.Category,
		Bucket:   r.cfg.Bucket, Owner: r.cfg.Owner, Workers: r.cfg.Workers,
		Lease: r.cfg.Lease, Retry: r.cfg.Retry, Observer: r.observer,
	}, r.onTimer)
}

func (r *ProcessRunner[S, In, Out]) onTimer(ctx context.Context, fired Fired) error {
	if err := r.checkParked(ctx, fired.Stream.Key); err != nil {
		return err
	}
	m := Metadata{
		CausationID: fired.ID(),
		Input:       InputRef{ID: fired.ID(), Source: timerSource + fired.Name, Version: fired.Version},
	}
	return r.consume(ctx, fired.Stream.Key, Input[In]{Timer: &fired, Time: fired.FiredAt}, m)
}

// quarantinePause is how long the timers of a parked instance wait before it is
// looked at again.
const quarantinePause = 2 * time.Second

// checkParked lets the timers of a parked instance wait: what was parked came
// first, and it may be what the timer would miss.
func (r *ProcessRunner[S, In, Out]) checkParked(ctx context.Context, key string) error {
	bucket := bucket{store: r.store, name: r.cfg.Bucket}
	value, _, err := bucket.get(ctx, parkedKVKey(r.process.Name, key))
	if err != nil {
		return err
	}
	if value != nil {
		return RetryAfter(quarantinePause, fmt.Errorf("esjs: process %s: instance %s is parked", r.process.Name, key))
	}
	return nil
}

// consume gives one input to its instance: what React decides is appended,
// guarded, with the input recorded in the commit; then timers and the list of
// open instances follow the state. A redelivered input changes nothing, and what
// follows the append is done again, because a crash may have prevented it.
func (r *ProcessRunner[S, In, Out]) consume(ctx context.Context, key string, in Input[In], m Metadata) error {
	if m.CorrelationID == "" {
		m.CorrelationID = key
	}
	given := &reaction[In]{input: in}
	result, err := r.handler.Handle(ctx, key, given, WithMetadata(m), At(in.Time))
	if err != nil {
		return laterUnless(given.failed || ofInstance(err), err)
	}
	if u := given.unexpected; u != nil {
		r.observer.Unexpected(r.process.Name, u.State, u.Input)
	}
	err = r.follow(ctx, key, result.State, result.Version)
	return laterUnless(errors.Is(err, ErrInvalid), err)
}

// unavailablePause is how long an input waits that the server could not serve.
const unavailablePause = time.Second

// laterUnless lets an input wait for as long as it takes, unless the instance
// itself is what is wrong: then the error uses up attempts and at last parks the
// instance. A server that is away must not park all of them.
func laterUnless(instance bool, err error) error {
	if err == nil || instance {
		return err
	}
	return RetryAfter(unavailablePause, err)
}

// ofInstance tells errors of one instance from those of the server.
func ofInstance(err error) bool {
	return errors.As(err, new(*DecodeError)) || errors.As(err, new(*CorruptError)) ||
		errors.Is(err, ErrTooLarge) || errors.Is(err, ErrInvalid)
}

// followed is what has been done for an instance after its last append.
type followed struct {
	armed    []Timer
	listed   bool
	deadline time.Time // of the entry in the list
}

func (f followed) has(t Timer) bool {
	for _, a := range f.armed {
		if a.Name == t.Name && a.Version == t.Version {
			return true
		}
	}
	return false
}

// coversDeadline tells that the entry makes a sweep look early enough.
func (f followed) coversDeadline(t time.Time) bool {
	if !f.listed || f.deadline.IsZero() {
		return f.listed && t.IsZero()
	}
	return t.IsZero() || !t.Before(f.deadline)
}

// follow arms the timers that the state asks for and keeps the list of open
// instances. What has been done before is not done again.
func (r *ProcessRunner[S, In, Out]) follow(ctx context.Context, key string, state S, version uint64) error {
	if version == 0 {
		return nil
	}
	before, known := r.followed.Get(key)
	next := followed{armed: r.process.armedTimers(state), listed: !r.process.done(state)}
	id := StreamID{Category: r.process.Category, Key: key}
	group, ctx := errgroup.WithContext(ctx)
	for _, t := range next.armed {
		if next.deadline.IsZero() || t.At.Before(next.deadline) {
			next.deadline = t.At
		}
		if !before.has(t) {
			group.Go(func() error { return r.timers.Set(ctx, id, t) })
		}
	}
	switch {
	case next.listed && before.coversDeadline(next.deadline):
		next.deadline = before.deadline
	case next.listed:
		group.Go(func() error { return r.instances.put(ctx, key, openInstance{Deadline: next.deadline}) })
	case before.listed || !known:
		group.Go(func() error { return r.instances.remove(ctx, key) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	r.followed.Add(key, next)
	return nil
}

// list puts an instance on the list so that the next sweep looks at it.
func (r *ProcessRunner[S, In, Out]) list(ctx context.Context, key string) error {
	if err := r.instances.put(ctx, key, openInstance{Look: true}); err != nil {
		return err
	}
	r.followed.Remove(key)
	return nil
}
