package esjs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// Run consumes inputs and fired timers until ctx ends, and then returns nil, or
// until it cannot go on, and says why with the errors of [Subscribe]. One
// runner of the process is active at a time, and in a store of several partitions one in each; others wait to take over. When
// two are active nevertheless, the expectation of their appends lets one commit
// through for each input.
func (r *ProcessRunner[S, In, Out]) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	sweeping := &sweeping{Observer: r.observer, subscription: r.process.Name, changed: make(chan struct{}, 1)}
	if r.several() { // of the events several may be the active one
		sweeping.subscription = r.timersName()
	}
	group.Go(func() error { return r.runEvents(ctx, sweeping) })
	group.Go(func() error { return r.runTimers(ctx, sweeping) })
	group.Go(func() error { return r.runSweeps(ctx, sweeping) })
	return group.Wait()
}

// runEvents consumes the events of other streams.
func (r *ProcessRunner[S, In, Out]) runEvents(ctx context.Context, observer Observer) error {
	all, err := newSubscriptions(r.store, SubscriptionConfig[In]{
		Name:   r.process.Name,
		Codec:  r.process.In,
		Query:  r.process.Inputs,
		Key:    r.process.Key,
		From:   r.cfg.From,
		Bucket: r.cfg.Bucket, Owner: r.cfg.Owner, ExclusiveOwner: r.cfg.ExclusiveOwner, Workers: r.cfg.Workers,
		Lease: r.cfg.Lease, Retry: r.cfg.Retry, Observer: observer,
	})
	if err != nil {
		return err
	}
	for _, s := range all {
		s.operation, s.handle = OperationReact, oneByOne(r.onEvent)
		s.released = r.setTimersAgain
		s.together = slices.DeleteFunc(r.entries(), func(entry string) bool { return entry == s.entry })
		s.parks = func(ctx context.Context, key string, d decision) error {
			at := s.store.at(d.sequence)
			input := strconv.FormatUint(d.sequence, 10)
			if s.shared != nil {
				input = at.String()
			}
			because := fmt.Sprintf("%s after %s", input, d.before.Format(time.RFC3339Nano))
			return r.keepQuarantine(ctx, Quarantine{Key: key, Input: at, Reason: clip(d.reason.Error())}, because)
		}
	}
	return all.run(ctx)
}

func (r *ProcessRunner[S, In, Out]) onEvent(ctx context.Context, e Recorded[In]) error {
	m := Metadata{
		CorrelationID: e.Metadata.CorrelationID,
		CausationID:   e.ID,
		Input:         InputRef{ID: e.ID, Source: "/" + e.Stream.Category, Position: e.Position, Version: e.Version},
	}
	return r.consume(ctx, r.process.Key(e), Input[In]{Event: &e, Time: e.Time}, m)
}

// runTimers consumes the fired timers.
func (r *ProcessRunner[S, In, Out]) runTimers(ctx context.Context, observer Observer) error {
	s, err := r.timers.subscription(TimerSubscriptionConfig{
		Name:     r.timersName(),
		Category: r.process.Category,
		Bucket:   r.cfg.Bucket, Owner: r.cfg.Owner, ExclusiveOwner: r.cfg.ExclusiveOwner, Workers: r.cfg.Workers,
		Lease: r.cfg.Lease, Retry: r.cfg.Retry, Observer: observer,
		Lost: r.onLostTimers,
	}, r.onTimer)
	if err != nil {
		return err
	}
	s.operation = OperationReact
	s.setAside = func(ctx context.Context, fired Fired, reason error) error {
		because := fmt.Sprintf("%s at %d", fired.ID(), fired.FiredAt.UnixNano())
		return r.quarantine(ctx, fired.Stream.Key, fmt.Errorf("timer %s: %w", fired.Name, reason), because)
	}
	return s.run(ctx)
}

// timersName is the name of the subscription to fired timers.
func (r *ProcessRunner[S, In, Out]) timersName() string { return r.process.Name + timersSuffix }

// timersSuffix makes the name of a process that of the subscription to its timers.
const timersSuffix = "-timers"

func (r *ProcessRunner[S, In, Out]) onTimer(ctx context.Context, fired Fired) error {
	if leave, err := r.leaveTimer(ctx, fired); leave || err != nil {
		return err
	}
	m := Metadata{
		CorrelationID: r.correlation(ctx, fired.Stream),
		CausationID:   fired.ID(),
		Input:         InputRef{ID: fired.ID(), Source: timerSource + fired.Name, Version: fired.Version},
	}
	return r.consume(ctx, fired.Stream.Key, Input[In]{Timer: &fired, Time: fired.FiredAt}, m)
}

// correlation is that of the instance's newest commit, which an input brought in: what
// no input caused belongs to it too. It is empty where no replica answers, and for an
// instance without a commit.
func (r *ProcessRunner[S, In, Out]) correlation(ctx context.Context, instance StreamID) string {
	tail, err := r.store.of(instance).replicaTail(ctx, instance)
	if err != nil || len(tail.Records) == 0 {
		return ""
	}
	return tail.Records[0].Metadata.CorrelationID
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
	result, err := r.handler.Handle(ctx, key, given, WithMetadata(m), At(in.Time), outOfTurn(isOutOfTurn(ctx)))
	switch {
	case errors.As(err, new(*ErasedError)): // no later attempt can seal values of that person
		return Park(err)
	case err != nil:
		return laterUnless(!errors.Is(err, ErrConfig) && (given.failed || ofInstance(err)), err)
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
// instance. A server that is away must not park all of them, nor must a process that is
// configured for fewer than there are: React says so with [ErrConfig].
func laterUnless(instance bool, err error) error {
	if err == nil || instance {
		return err
	}
	return RetryAfter(unavailablePause, err)
}

// ofInstance tells errors of one instance from those of the server. A person's key that
// is lost or broken is that of the instances that say something about the person; where
// no master key opens any, all of them wait ([ErrConfig]).
func ofInstance(err error) bool {
	return errors.As(err, new(*DecodeError)) || errors.As(err, new(*CorruptError)) || errors.As(err, new(*ErasedError)) ||
		errors.Is(err, ErrNoKey) || errors.Is(err, ErrBrokenSeal) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrInvalid)
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

// several tells that instances of the process may share its inputs.
func (r *ProcessRunner[S, In, Out]) several() bool { return len(r.store.parts) > 1 }

// mayHaveMoved tells that the entry with a deadline may have a later one since: another program
// that handles inputs of the instance, or sweeps, looked at it.
func (r *ProcessRunner[S, In, Out]) mayHaveMoved(deadline time.Time) bool {
	return r.several() && !deadline.IsZero() && time.Until(deadline) < 2*r.cfg.Sweep
}

// coversDeadline tells that the entry makes a sweep look early enough.
func (f followed) coversDeadline(t time.Time) bool {
	if !f.listed || f.deadline.IsZero() {
		return f.listed && t.IsZero()
	}
	return t.IsZero() || !t.Before(f.deadline)
}

// follow arms the timers that the state asks for, takes back those that it no longer
// asks for, and keeps the list of open instances. What has been done before is
// not done again.
func (r *ProcessRunner[S, In, Out]) follow(ctx context.Context, key string, state S, version uint64) error {
	if version == 0 {
		return nil
	}
	before, known := r.followed.Get(key)
	next := followed{armed: r.process.armedTimers(state), listed: !r.process.done(state)}
	id := StreamID{Category: r.process.Category, Key: key}
	outdated := before.outdated(next.armed, version)
	group, ctx := errgroup.WithContext(ctx)
	for _, t := range next.armed {
		if next.deadline.IsZero() || t.At.Before(next.deadline) {
			next.deadline = t.At
		}
		if before.has(t) {
			continue
		}
		if old, found := outdated[t.Name]; found {
			delete(outdated, t.Name)
			group.Go(func() error { return r.timers.replace(ctx, id, old, t) })
		} else {
			group.Go(func() error { return r.timers.Set(ctx, id, t) })
		}
	}
	for _, t := range outdated {
		group.Go(func() error { r.takeBack(ctx, id, t); return nil })
	}
	switch {
	case next.listed && before.coversDeadline(next.deadline) && !r.mayHaveMoved(before.deadline):
		next.deadline = before.deadline
	case next.listed:
		group.Go(func() error { return r.instances.put(ctx, key, next.deadline) })
	case before.listed || !known:
		group.Go(func() error { return r.instances.remove(ctx, key) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	r.followed.Add(key, next)
	return nil
}

// list puts an instance on the list so that sweeps look at it while something may still be appended.
func (r *ProcessRunner[S, In, Out]) list(ctx context.Context, key string) error {
	if err := r.instances.look(ctx, key, time.Now().Add(listedStays)); err != nil {
		return err
	}
	r.followed.Remove(key)
	return nil
}
