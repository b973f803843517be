package esjs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"
)

// subscription is the engine below [Subscribe]: keys with their queues, a
// position, a lease and parked keys, over messages of any stream. T is what a
// handler gets of one message.
type subscription[T any] struct {
	store  *Store
	name   string // for people, of all partitions
	entry  string // of the lease and of parked keys: the name, and in a store of several partitions which one it is
	stream string // what is read, and what positions are of
	bucket string // empty: every instance handles everything, and nothing is stored
	owner  string
	// exclusive: a lease of the owner is left by a process that has ended.
	exclusive bool
	from      Position

	workers int
	shared  *sharing // with the other partitions; nil where there are none
	window  int
	bytes   int // of the commits that are not finished
	// parkedMost bounds the parked keys; 0: maxParked.
	parkedMost int
	together   []string      // entries of the other partitions with which it parks keys; see parking.others
	timeout    time.Duration // of one call of a handler
	retry      Backoff
	lease      time.Duration
	caughtUp   func()
	observer   Observer

	operation Operation     // of the spans of the handler's calls
	cause     func(T) cause // of a call

	// follow delivers each message after a sequence with what every key has of
	// it, and tells how far it has read; see [follower].
	follow func(ctx context.Context, after uint64, deliver func(message, []part[T]) error, reached func(sequence, pending uint64) error) error
	// split tells what every key has of a message that is read again.
	split func(context.Context, message) ([]part[T], error)
	// waiting is where a key's messages are read again.
	waiting func(key string) source

	// handle handles one message's part; batch, where it is set, what is ready
	// of up to batchMax keys, with the trace context of each. They return as many
	// errors as they got payloads, or none.
	handle   func(context.Context, T) error
	batch    func(context.Context, []T, []string) []error
	batchMax int

	// setAside, where it is set, takes over a key that is to be parked, and its
	// message is then done.
	setAside func(ctx context.Context, payload T, reason error) error
	// parks is told that a key is about to be parked, and by which message; may be nil.
	// It is told again when it fails, and after a crash.
	parks func(ctx context.Context, key string, d decision) error
	// released is told that all that waited of a released key was handled, before
	// what came later is; may be nil.
	released func(ctx context.Context, key string) error
	// stays is how long the stream keeps a message; 0: for ever. lost is told
	// that messages of a key are gone that were not handled, and without a key
	// that some of any key may be.
	stays time.Duration
	lost  func(ctx context.Context, key string) error

	once sync.Once // of caughtUp
}

const (
	maxName               = 64 // bytes
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
	s.bytes = orDefault(s.bytes, windowBytes)
	s.parkedMost = orDefault(s.parkedMost, maxParked)
	s.timeout = orDefault(s.timeout, defaultHandlerTimeout)
	s.lease = orDefault(s.lease, defaultLease)
	s.retry.First = orDefault(s.retry.First, defaultRetryFirst)
	s.retry.Max = orDefault(s.retry.Max, defaultRetryMax)
	s.retry.Attempts = orDefault(s.retry.Attempts, defaultRetryAttempts)
	s.observer = s.store.observerOr(s.observer)
	s.owner = ownerOr(s.owner)
	if s.batch != nil {
		s.workers = 1
		s.handle = func(ctx context.Context, payload T) error {
			return first(s.batch(ctx, []T{payload}, []string{s.store.TraceParent(ctx)}), 1)
		}
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
	defer s.observer.Stopped(s.name)
	if err := s.checkBucket(ctx); err != nil {
		return err
	}
	return s.goOn(ctx)
}

// goOn is [subscription.run] with defaults that are set, and a bucket that is there.
func (s *subscription[T]) goOn(ctx context.Context) error {
	err := s.sessions(ctx)
	if ctx.Err() != nil && (isContextError(err) || errors.Is(err, context.Cause(ctx))) {
		return nil
	}
	return refused(err)
}

// sessions handles whenever this instance has the lease.
func (s *subscription[T]) sessions(ctx context.Context) error {
	if s.bucket == "" {
		work, end := context.WithCancel(context.WithoutCancel(ctx))
		defer end()
		return s.session(ctx, work, nil, place{Floor: s.from})
	}
	c := claim{
		bucket: bucket{store: s.store, name: s.bucket}, subscription: s.entry, stream: s.stream,
		owner: s.owner, exclusive: s.exclusive, length: s.lease, from: s.from,
		standby: func() { s.observer.Active(s.name, false) },
	}
	if s.shared != nil {
		var err error
		if c.elsewhere, err = s.standingBy(ctx); err != nil {
			return err
		}
	}
	for {
		l, work, at, err := acquire(ctx, c)
		if err != nil {
			return err
		}
		session, end := s.mayBeGivenUp(ctx)
		s.observer.Active(s.name, true)
		err = s.session(session, work, l, at)
		end(nil)
		s.observer.Active(s.name, false)
		c.previous, c.exclusive = l.token, false
		switch {
		case errors.Is(err, errFenced):
			s.observer.Fenced(s.name)
		case errors.Is(err, errRewound):
		case !errors.Is(err, errGivenUp):
			return err
		case !sleep(ctx, givePause):
			return ctx.Err()
		}
	}
}

// checkBucket refuses a bucket that is wanted and not there, or would forget what it is given.
func (s *subscription[T]) checkBucket(ctx context.Context) error {
	if s.bucket == "" {
		return nil
	}
	if err := s.store.general.checkBucket(ctx, s.bucket); errors.Is(err, ErrConfig) {
		return fmt.Errorf("subscription %s: %w", s.name, err)
	}
	return nil
}
