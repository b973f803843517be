package esjs

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

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
	rate     *meter        // of what was finished
	rewound  atomic.Bool   // the parked keys do not follow the start yet
	hearing  *hearing      // of the stream

	target  uint64 // where the stream ended at the start
	mu      sync.Mutex
	read    uint64 // up to here everything was delivered
	pending uint64 // messages behind it
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
		rate: newMeter(time.Now()), hearing: newHearing(), read: at.Floor.sequence,
	}
	r.rewound.Store(at.Rewound)
	r.queue = newQueue[T](at, s.window, s.bytes, func(full bool) { s.observer.WindowFull(s.name, full) }, r.moved)

	var delivery, workers, keeper sync.WaitGroup
	stopKeeper := func() {}
	if l != nil {
		r.taken = l.revision // the keeper's from here on
		stop, cancel := context.WithCancel(context.WithoutCancel(ctx))
		stopKeeper = cancel
		keeper.Go(func() { l.keep(stop, work, r.progress, r.place) })
	}
	delivery.Go(func() { r.report(ctx) })
	if r.prepare(ctx, &delivery) {
		delivery.Go(func() { r.failed(ctx, r.deliver(ctx)) })
		for range s.workers {
			workers.Go(r.work)
		}
	}
	<-ctx.Done()
	r.queue.stop()
	impatience := time.AfterFunc(drainTime, func() {
		cancelHandlers()
		stopKeeper() // the lease of a handler that does not end runs out
	})
	workers.Wait()
	impatience.Stop()
	stopKeeper()
	keeper.Wait()
	if l != nil {
		l.release(work, r.where())
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
	var err error
	if r.target, err = r.store.lastSequence(ctx, r.stream); err != nil {
		r.failed(ctx, err)
		return false
	}
	if r.lease == nil {
		return true
	}
	for r.stays > 0 && time.Since(r.lease.handledUntil) > r.stays {
		if r.tell(r.lost, "") == nil {
			break
		}
		if !sleep(ctx, parkPause) {
			return false
		}
	}
	known := make(chan struct{})
	r.parking = &parking{
		bucket: r.lease.claim.bucket, subscription: r.entry, most: r.parkedMost, others: r.together,
		keys: map[string]parkedKey{}, elsewhere: map[string]parkedKey{}, replayed: map[string]uint64{},
		count: func(n int) { r.observer.ParkedKeys(r.name, n) },
		wake:  r.queue.wake,
	}
	// What the previous owner parked was written before the lease was taken.
	delivery.Go(func() { r.failed(ctx, r.parking.watch(ctx, r.taken, sync.OnceFunc(func() { close(known) }))) })
	select {
	case <-known:
		return !r.start.Rewound || r.waitAgain(ctx)
	case <-ctx.Done():
		return false
	}
}

// deliver fills the queue.
func (r *running[T]) deliver(ctx context.Context) error {
	if err := r.store.checkCommit(ctx, r.start.Newest); err != nil {
		return err
	}
	r.queue.pass(r.start.Floor.sequence) // an empty stream is caught up with at once
	check := r.store.sameLog(ctx, r.start.Newest)
	add := func(m message, parts []part[T]) error {
		return r.hearing.take(func() error {
			if err := check(); err != nil {
				return err
			}
			r.isBehind(m.sequence, m.pending)
			r.queue.add(m, parts)
			return ctx.Err()
		})
	}
	return r.follow(ctx, r.start.Floor.sequence, add, func(sequence, pending uint64) error {
		return r.hearing.take(func() error {
			if err := check(); err != nil {
				return err
			}
			r.isBehind(sequence, pending)
			r.queue.pass(sequence)
			return nil
		})
	})
}

// moved is told by the queue that n commits were finished, or that the floor
// may have moved without one.
func (r *running[T]) moved(n int) {
	if n > 0 {
		r.rate.add(n)
		select {
		case r.progress <- struct{}{}:
		default:
		}
	}
	if r.caughtUp != nil && r.queue.progress.floor() >= r.target {
		r.once.Do(func() { go r.caughtUp() })
	}
}

// place is what the owner stores.
func (r *running[T]) place() place {
	at := r.where()
	at.Rate = r.rate.read(time.Now())
	return at
}

// where is what has been finished, in the partition that is read.
func (r *running[T]) where() place {
	at := r.queue.place()
	at.Floor = r.store.at(at.Floor.sequence)
	at.Rewound = r.rewound.Load()
	return at
}

// isBehind notes how far the stream was read, and how many messages are behind that.
func (r *running[T]) isBehind(read, pending uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read, r.pending = read, pending
}

// askBehind asks how much the stream has behind what was read of it. One that forgets what is old cannot tell.
func (r *running[T]) askBehind(ctx context.Context) {
	if r.stays > 0 {
		return
	}
	last, err := r.store.endWithin(ctx, r.stream, time.Second)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending = last - min(last, r.read)
}

// report tells the observer once a second how far behind the session is, and that its stream cannot be read.
func (r *running[T]) report(ctx context.Context) {
	for sleep(ctx, time.Second) {
		if err := r.hearing.silent(r.stream); err != nil {
			r.observer.Handled(r.name, 0, err)
			r.askBehind(ctx)
		}
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
