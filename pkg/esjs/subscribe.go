package esjs

import (
	"context"
	"time"
)

// SubscriptionConfig describes a subscription. Name, Codec and Query are
// required; the zero value of the rest works.
type SubscriptionConfig[E Event] struct {
	// Name identifies the subscription: its position, its lease and its metrics.
	Name  string
	Codec *Codec[E]
	// Query selects what is delivered; After, Until, Since, Before and Limit are not used.
	Query Query
	// Bucket is the KV bucket that holds position, lease and parked keys. One
	// instance at a time is active. Empty: every instance is active, starts at
	// From, and stores nothing.
	Bucket string
	// Owner names this instance in the lease; default host, process and a random part.
	Owner string
	// From is where a subscription without a stored position starts.
	From Position
	// Key groups events that must be handled in order; default the aggregate.
	Key func(Recorded[E]) string
	// Workers is how many keys are handled at the same time; default 16.
	Workers int
	// Window bounds the commits that are delivered and not finished; default 4096.
	Window int
	// HandlerTimeout bounds one call of the handler; default 30 s.
	HandlerTimeout time.Duration
	// Retry is the backoff of failed commits; see [Backoff].
	Retry Backoff
	// SkipUnknown passes over events whose type the codec does not know. By
	// default their key is parked.
	SkipUnknown bool
	// Lease is the time after which a silent owner is taken over; default 20 s.
	Lease time.Duration
	// OnCaughtUp is called once, when everything that was stored at the start
	// has been handled.
	OnCaughtUp func()
	// Observer is told what happens; nil is allowed.
	Observer Observer
}

// Backoff is min(First·2^n, Max) with jitter, at most Attempts times; then the
// key is parked. Defaults: 100 ms, 30 s, 20.
type Backoff struct {
	First    time.Duration
	Max      time.Duration
	Attempts int
}

// Subscribe delivers the selected events, history first and then live, to
// handle. It blocks until ctx ends (and then returns nil after a drain) or
// until it cannot go on, and says why.
//
// Events of one key are handled in order, always: also after a retry, a crash
// or a takeover. Events of different keys are handled concurrently. A commit is
// handled again when the process ended before its position was stored, so
// handlers are idempotent.
//
// A handler that returns an error gets the same commit again after a backoff
// while later commits of that key wait; [RetryAfter] says when. [Park] sets the
// key aside at once.
func Subscribe[E Event](ctx context.Context, store *Store, cfg SubscriptionConfig[E], handle func(context.Context, Recorded[E]) error) error {
	panic("stub")
}

// SubscribeBatch is Subscribe for handlers that decide many keys together
// (group commit): handle gets all the events that are ready, at most max
// commits, in order per key, and returns one error or nil for each commit.
func SubscribeBatch[E Event](ctx context.Context, store *Store, cfg SubscriptionConfig[E], max int, handle func(context.Context, []Delivery[E]) []error) error {
	panic("stub")
}

// Delivery is one commit of a batch.
type Delivery[E Event] struct {
	Events []Recorded[E]
}

// RetryAfter asks for the same commit again after d, without using up an attempt.
func RetryAfter(d time.Duration, err error) error { panic("stub") }

// Park sets the key aside with the reason err; an operator releases it.
func Park(err error) error { panic("stub") }

// ReleaseParked lets a parked key of a subscription go on where it stopped.
func ReleaseParked(ctx context.Context, store *Store, bucket, subscription, key string) error {
	panic("stub")
}

// SubscriptionStatus is what a bucket knows of a subscription.
type SubscriptionStatus struct {
	Name     string    `json:"name"`
	Owner    string    `json:"owner"`
	Position Position  `json:"position"`
	Lag      uint64    `json:"lag"` // stream sequences behind the store's last commit
	Parked   []Parked  `json:"parked"`
	Renewed  time.Time `json:"renewed"`
}

// Parked is a key that was set aside.
type Parked struct {
	Key    string    `json:"key"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	Count  int       `json:"count"` // commits that wait
}

// Subscriptions reads the state of all subscriptions of a bucket.
func Subscriptions(ctx context.Context, store *Store, bucket string) ([]SubscriptionStatus, error) {
	panic("stub")
}
