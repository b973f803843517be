package esjs

import (
	"context"
	"time"
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
	panic("stub")
}
