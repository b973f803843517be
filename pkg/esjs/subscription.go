package esjs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
)

// subscription is the engine below [Subscribe]: keys with their queues, a
// position, a lease and parked keys, over messages of any stream. T is what a
// handler gets of one message.
type subscription[T any] struct {
	store  *Store
	name   string
	stream string // what is read, and what positions are of
	bucket string // empty: every instance handles everything, and nothing is stored
	owner  string
	from   Position

	workers  int
	window   int
	timeout  time.Duration // of one call of a handler
	retry    Backoff
	lease    time.Duration
	caughtUp func()
	observer Observer

	// follow delivers each message after a sequence with what every key has of
	// it, and tells how far it has read; see [follower].
	follow func(ctx context.Context, after uint64, deliver func(message, []part[T]) error, reached func(uint64) error) error
	// split tells what every key has of a message that is read again.
	split func(message) []part[T]
	// subjects is where a key's messages are.
	subjects func(key string) []string

	// handle handles one message's part; batch, where it is set, what is ready
	// of up to batchMax keys. They return as many errors as they got payloads, or none.
	handle   func(context.Context, T) error
	batch    func(context.Context, []T) []error
	batchMax int

	once sync.Once // of caughtUp
}

const (
	defaultWorkers        = 16
	defaultWindow         = 4096
	defaultHandlerTimeout = 30 * time.Second
	defaultRetryFirst     = 100 * time.Millisecond
	defaultRetryMax       = 30 * time.Second
	defaultRetryAttempts  = 20
	// drainTime is how long a stop waits for running handlers before it
	// cancels them.
	drainTime = 5 * time.Second
)

func (s *subscription[T]) setDefaults() {
	s.workers = orDefault(s.workers, defaultWorkers)
	s.window = orDefault(s.window, defaultWindow)
	s.timeout = orDefault(s.timeout, defaultHandlerTimeout)
	s.lease = orDefault(s.lease, defaultLease)
	s.retry.First = orDefault(s.retry.First, defaultRetryFirst)
	s.retry.Max = orDefault(s.retry.Max, defaultRetryMax)
	s.retry.Attempts = orDefault(s.retry.Attempts, defaultRetryAttempts)
	s.observer = observerOr(s.observer)
	s.owner = ownerOr(s.owner)
	if s.batch != nil {
		s.workers = 1
		s.handle = func(ctx context.Context, payload T) error { return first(s.batch(ctx, []T{payload}), 1) }
	}
}

// ownerOr returns owner, or a name that no other instance has.
func ownerOr(owner string) string {
	if owner != "" {
		return owner
	}
	host, _ := os.Hostname()
	return fmt.Sprintf("%s-%d-%s", host, os.Getpid(), uuid.NewString()[:8])
}

func orDefault[N int | time.Duration](n, fallback N) N {
	if n <= 0 {
		return fallback
	}
	return n
}

// run handles until ctx ends, and returns nil then, or until it cannot go on.
func (s *subscription[T]) run(ctx context.Context) error {
	s.setDefaults()
	err := s.sessions(ctx)
	if ctx.Err() != nil && (isContextError(err) || errors.Is(err, context.Cause(ctx))) {
		return nil
	}
	return err
}

// sessions handles whenever this instance has the lease.
func (s *subscription[T]) sessions(ctx context.Context) error {
	if s.bucket == "" {
		work, end := context.WithCancel(context.WithoutCancel(ctx))
		defer end()
		return s.session(ctx, work, nil, place{Floor: s.from})
	}
	if _, err := s.store.streamState(ctx, bucket{name: s.bucket}.stream()); errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("%w: subscription %s: there is no bucket %s: provision it first", ErrConfig, s.name, s.bucket)
	}
	c := claim{
		bucket: bucket{store: s.store, name: s.bucket}, subscription: s.name, stream: s.stream,
		owner: s.owner, length: s.lease, from: s.from,
	}
	for {
		l, work, at, err := acquire(ctx, c)
		if err != nil {
			return err
		}
		s.observer.Active(s.name, true)
		err = s.session(ctx, work, l, at)
		s.observer.Active(s.name, false)
		if !errors.Is(err, errFenced) {
			return err
		}
		c.previous = l.token
	}
}

// running is one session: the time from when this instance may handle until it
// stops or must not handle any more.
type running[T any] struct {
	*subscription[T]
	lease    *lease
	taken    uint64 // the revision of the bucket at which the lease was taken
	queue    *queue[T]
	parking  *parking
	start    place
	handlers context.Context //nolint:containedctx // of the handlers' calls: a session is one call of its run
	fail     context.CancelCauseFunc
	progress chan struct{} // something was finished and is not stored

	target  uint64 // where the stream ended at the start
	mu      sync.Mutex
	pending uint64 // messages behind the last delivered one
}

// session delivers and handles until ctx or work ends, or something fails. Then
// it waits for the handlers, stores where it stands and gives the lease back;
// unless work has ended, which means that the lease is lost and nothing may be written.
func (s *subscription[T]) session(ctx, work context.Context, l *lease, at place) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	defer context.AfterFunc(work, func() { fail(context.Cause(work)) })()
	handlers, cancelHandlers := context.WithCancel(work)
	defer cancelHandlers()
	r := &running[T]{
		subscription: s, lease: l, start: at, handlers: handlers, fail: fail, progress: make(chan struct{}, 1),
	}
	r.queue = newQueue[T](at, s.window, func(full bool) { s.observer.WindowFull(s.name, full) }, r.moved)

	var delivery, workers, keeper sync.WaitGroup
	stopKeeper := func() {}
	if l != nil {
		r.taken = l.revision // the keeper's from here on
		stop, cancel := context.WithCancel(context.WithoutCancel(ctx))
		stopKeeper = cancel
		keeper.Go(func() { l.keep(stop, work, r.progress, r.queue.place) })
	}
	if r.prepare(ctx, &delivery) {
		delivery.Go(func() { r.failed(ctx, r.deliver(ctx)) })
		delivery.Go(func() { r.report(ctx) })
		for range s.workers {
			workers.Go(r.work)
		}
	}
	<-ctx.Done()
	r.queue.stop()
	impatience := time.AfterFunc(drainTime, cancelHandlers)
	workers.Wait()
	impatience.Stop()
	stopKeeper()
	keeper.Wait()
	if l != nil {
		l.release(work, r.queue.place())
	}
	delivery.Wait()
	s.observer.Lag(s.name, 0, 0)
	return context.Cause(ctx)
}

// failed ends the session with err.
func (r *running[T]) failed(ctx context.Context, err error) {
	if ctx.Err() == nil {
		r.fail(err)
	}
}

// prepare reads where the stream ends and which keys are parked; false when the
// handling ended meanwhile.
func (r *running[T]) prepare(ctx context.Context, delivery *sync.WaitGroup) bool {
	for {
		var err error
		if r.target, err = r.store.lastSequence(ctx, r.stream); err == nil {
			break
		}
		if isRefusal(err) {
			r.failed(ctx, err)
		}
		if !sleep(ctx, followRetryFirst) {
			return false
		}
	}
	if r.lease == nil {
		return true
	}
	known := make(chan struct{})
	r.parking = &parking{
		bucket: r.lease.claim.bucket, subscription: r.name, keys: map[string]parkedKey{},
		count: func(n int) { r.observer.ParkedKeys(r.name, n) },
		wake:  r.queue.wake,
	}
	// What the previous owner parked was written before the lease was taken.
	delivery.Go(func() { r.failed(ctx, r.parking.watch(ctx, r.taken, sync.OnceFunc(func() { close(known) }))) })
	select {
	case <-known:
		return true
	case <-ctx.Done():
		return false
	}
}

// deliver fills the queue.
func (r *running[T]) deliver(ctx context.Context) error {
	r.queue.pass(r.start.Floor.sequence) // an empty stream is caught up with at once
	add := func(m message, parts []part[T]) error {
		r.setPending(m.pending)
		r.queue.add(m, parts)
		return ctx.Err()
	}
	return r.follow(ctx, r.start.Floor.sequence, add, func(sequence uint64) error {
		r.setPending(0)
		r.queue.pass(sequence)
		return nil
	})
}

// moved is told by the queue that n commits were finished, or that the floor
// may have moved without one.
func (r *running[T]) moved(n int) {
	if n > 0 {
		select {
		case r.progress <- struct{}{}:
		default:
		}
	}
	if r.caughtUp != nil && r.queue.progress.floor() >= r.target {
		r.once.Do(func() { go r.caughtUp() })
	}
}

func (r *running[T]) setPending(n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending = n
}

// report tells the observer once a second how far behind the session is.
func (r *running[T]) report(ctx context.Context) {
	for sleep(ctx, time.Second) {
		n, oldest := r.queue.backlog()
		behind := time.Duration(0)
		if n > 0 {
			behind = max(time.Since(oldest), 0)
		}
		r.mu.Lock()
		events := r.pending + uint64(n)
		r.mu.Unlock()
		r.observer.Lag(r.name, events, behind)
	}
}
