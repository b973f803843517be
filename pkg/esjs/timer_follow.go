package esjs

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
)

// TimerSubscriptionConfig describes a subscription to fired timers. Name, Category
// and Bucket are required; the zero value of the rest works.
type TimerSubscriptionConfig struct {
	// Name identifies the subscription: its position, its lease and its metrics.
	Name string
	// Category is whose timers are delivered: those that were set for streams of it.
	Category string
	// Bucket, Owner, ExclusiveOwner, Workers, HandlerTimeout, Retry, Lease and
	// Observer are those of [SubscriptionConfig].
	Bucket         string
	Owner          string
	ExclusiveOwner bool
	Workers        int
	HandlerTimeout time.Duration
	Retry          Backoff
	Lease          time.Duration
	Observer       Observer
	// Lost is told that fired timers of a stream are gone that were not handled
	// within 7 days, because the stream's key was parked for so long: it does for them what
	// the stream's own events say is due. With the zero StreamID the subscription itself
	// was not run for 7 days, and any stream of Category may have lost some. It is
	// tried again until it returns nil, and a timer that was lost may have been handled.
	//
	// Nil: the Observer is told an [ErrTimersLost]; a key that lost timers stays parked.
	Lost func(context.Context, StreamID) error
}

// Subscribe delivers the fired timers of the service to handle, until ctx ends
// or it cannot go on. What [Subscribe] promises holds: timers of one stream are
// handled in the order in which they fired, different streams at the same time;
// a timer may be handled again, and one that was set again after it had fired
// fires again. The handler therefore compares [Fired.Version] with its state.
//
// A fired timer stays for 7 days. Who handles it later than that has lost it:
// see [TimerSubscriptionConfig].Lost. A [Process] loses none, because it arms again
// what its instances' states ask for.
func (t *Timers) Subscribe(ctx context.Context, cfg TimerSubscriptionConfig, handle func(context.Context, Fired) error) error {
	s, err := t.subscription(cfg, handle)
	if err != nil {
		return err
	}
	return s.run(ctx)
}

// subscription prepares the engine for the fired timers that cfg selects.
func (t *Timers) subscription(cfg TimerSubscriptionConfig, handle func(context.Context, Fired) error) (*subscription[Fired], error) {
	if cfg.Name == "" || len(cfg.Name) > maxName || !utf8.ValidString(cfg.Name) {
		return nil, fmt.Errorf("%w: the timer subscription's name %q has %d bytes: 1 to %d bytes of UTF-8 are allowed", ErrConfig, cfg.Name, len(cfg.Name), maxName)
	}
	if err := wire.CheckCategory(cfg.Category); err != nil {
		return nil, fmt.Errorf("%w: timer subscription %s: %w", ErrConfig, cfg.Name, err)
	}
	if cfg.ExclusiveOwner && cfg.Owner == "" {
		return nil, fmt.Errorf("%w: timer subscription %s has an exclusive owner without a name", ErrConfig, cfg.Name)
	}
	if cfg.Bucket == "" {
		return nil, fmt.Errorf("%w: timer subscription %s has no bucket", ErrConfig, cfg.Name)
	}
	fired := "timer." + t.service + ".fired." + cfg.Category + "."
	src := source{stream: timerStream, subjects: []string{fired + ">"}}
	observer := t.store.observerOr(cfg.Observer)
	s := &subscription[Fired]{
		store: t.store, name: cfg.Name, entry: cfg.Name, stream: timerStream, bucket: cfg.Bucket,
		owner: cfg.Owner, exclusive: cfg.ExclusiveOwner,
		workers: cfg.Workers, timeout: cfg.HandlerTimeout, retry: cfg.Retry, lease: cfg.Lease, observer: observer,
		follow: func(ctx context.Context, after uint64, deliver func(message, []part[Fired]) error, reached func(sequence, pending uint64) error) error {
			return t.store.follow(ctx, src, after, follower{
				deliver: func(m message) error { return deliver(m, firedParts(m)) },
				reached: reached,
			})
		},
		split: func(_ context.Context, m message) ([]part[Fired], error) { return firedParts(m), nil },
		waiting: func(key string) source {
			return source{stream: timerStream, subjects: []string{fired + wire.EscapeKey(key) + ".>"}}
		},
		handle: func(ctx context.Context, f Fired) error {
			observer.TimerLate(cfg.Name, f.FiredAt.Sub(f.At))
			return handle(ctx, f)
		},
		operation: OperationDeliver,
		cause: func(f Fired) cause {
			return cause{stream: f.Stream, id: f.ID(), traceParent: f.TraceParent, time: f.FiredAt}
		},
		stays: firedStays,
	}
	s.lost = func(ctx context.Context, key string) error {
		id := StreamID{Category: cfg.Category, Key: key}
		switch {
		case cfg.Lost == nil && key != "":
			return &parkNow{fmt.Errorf("%w: of %s", ErrTimersLost, id)}
		case cfg.Lost == nil:
			s.observer.Handled(cfg.Name, 0, fmt.Errorf("%w: of any stream of %s, because nobody handled timers for so long", ErrTimersLost, cfg.Category))
			return nil
		case key == "":
			id = StreamID{}
		}
		return cfg.Lost(ctx, id)
	}
	return s, nil
}

// firedParts is a fired timer for the stream whose it is. One that cannot be
// read is parked under its subject.
func firedParts(m message) []part[Fired] {
	f, err := parseFired(m.subject, m.data, m.stored)
	key := f.Stream.Key
	if key == "" {
		key = m.subject
	}
	return []part[Fired]{{key: key, payload: f, err: err}}
}
