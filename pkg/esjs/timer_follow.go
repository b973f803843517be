package esjs

import (
	"context"
	"fmt"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
)

// TimerSubscription describes a subscription to fired timers. Name, Category
// and Bucket are required; the zero value of the rest works.
type TimerSubscription struct {
	// Name identifies the subscription: its position, its lease and its metrics.
	Name string
	// Category is whose timers are delivered: those that were set for streams of it.
	Category string
	// Bucket, Owner, Workers, HandlerTimeout, Retry, Lease and Observer are those of [SubscriptionConfig].
	Bucket         string
	Owner          string
	Workers        int
	HandlerTimeout time.Duration
	Retry          Backoff
	Lease          time.Duration
	Observer       Observer
}

// Subscribe delivers the fired timers of the service to handle, until ctx ends
// or it cannot go on. What [Subscribe] promises holds: timers of one stream are
// handled in the order in which they fired, different streams at the same time;
// a timer may be handled again, and one that was set again after it had fired
// fires again. The handler therefore compares [Fired.Version] with its state.
func (t *Timers) Subscribe(ctx context.Context, cfg TimerSubscription, handle func(context.Context, Fired) error) error {
	if cfg.Name == "" || len(cfg.Name) > 64 {
		return fmt.Errorf("%w: the timer subscription's name %q has %d bytes: 1 to 64 are allowed", ErrConfig, cfg.Name, len(cfg.Name))
	}
	if err := wire.CheckCategory(cfg.Category); err != nil {
		return fmt.Errorf("%w: timer subscription %s: %w", ErrConfig, cfg.Name, err)
	}
	if cfg.Bucket == "" {
		return fmt.Errorf("%w: timer subscription %s has no bucket", ErrConfig, cfg.Name)
	}
	fired := "timer." + t.service + ".fired." + cfg.Category + "."
	src := source{stream: timerStream, subjects: []string{fired + ">"}}
	observer := observerOr(cfg.Observer)
	s := &subscription[Fired]{
		store: t.store, name: cfg.Name, stream: timerStream, bucket: cfg.Bucket, owner: cfg.Owner,
		workers: cfg.Workers, timeout: cfg.HandlerTimeout, retry: cfg.Retry, lease: cfg.Lease, observer: observer,
		follow: func(ctx context.Context, after uint64, deliver func(message, []part[Fired]) error, reached func(uint64) error) error {
			return t.store.follow(ctx, src, after, follower{
				deliver: func(m message) error { return deliver(m, firedParts(m)) },
				reached: reached,
			})
		},
		split:    firedParts,
		subjects: func(key string) []string { return []string{fired + wire.EscapeKey(key) + ".>"} },
		handle: func(ctx context.Context, f Fired) error {
			observer.TimerLate(cfg.Name, f.FiredAt.Sub(f.At))
			return handle(ctx, f)
		},
	}
	return s.run(ctx)
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
