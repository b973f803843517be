package esjs

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
)

// SubscriptionConfig describes a subscription. Name, Codec and either Bucket or
// EveryInstance are required; the zero value of the rest works.
type SubscriptionConfig[E Event] struct {
	// Name identifies the subscription: its position, its lease and its
	// metrics. It is 1 to 64 bytes of UTF-8 and never changes.
	Name  string
	Codec *Codec[E]
	// Query selects what is delivered by Categories, Streams and Types; where it starts
	// is From. A changed query holds from the stored position on.
	Query Query
	// Bucket is the KV bucket that holds position, lease and parked keys; see
	// [ProvisionBucket]. One instance at a time is active; in a store of several
	// partitions one for each, and instances share them.
	Bucket string
	// EveryInstance, in place of a Bucket, has every instance handle everything, after From
	// at every start: for what each of them keeps in memory. Nothing is stored, and
	// no key is parked.
	EveryInstance bool
	// Owner names this instance in the lease, for people; default host, process
	// and a random part.
	Owner string
	// ExclusiveOwner promises that no two processes that live at the same time have
	// this Owner, and that this one subscribes once under Name; a file lock that
	// ends with its process, beside a stored Owner, can promise that. A lease of the same Owner is then
	// what a process left that has ended, and is taken over at once instead of after Lease. See
	// docs/esjs/consistency.md for what happens when the promise is broken.
	ExclusiveOwner bool
	// From is where a subscription without a stored position starts, exclusive: the zero
	// Position is the beginning of the store, [Store.Last] is now, and [Store.LastBefore] any
	// other time.
	From Position
	// Key groups events that must be handled in order; default the aggregate.
	// Events for which it returns "" are passed over. It is pure, and its keys are at
	// most 255 bytes of UTF-8. Of an event that does not decode it gets the envelope with a nil
	// Event; tell the key from the envelope where you can. Where it panics, returns what
	// cannot be a key, or does not know the key of an event that does not decode, the event is
	// parked under its aggregate, and a release handles the whole commit again.
	//
	// A key goes on behind a commit only when all keys of the commit have handled it:
	// otherwise a takeover could hand the commit to one of them after a later one. So of
	// keys that share a commit, one in backoff holds up what the others have behind it.
	// Where that matters, store what has different keys in different commits, or [Park]
	// what has to wait for long: a parked key holds up nobody.
	//
	// In a store of several partitions this holds within each: events of one key that are
	// in different ones have no order, and may be handled at the same time.
	Key func(Recorded[E]) string
	// Workers is how many keys are handled at the same time, in all partitions; default 16.
	Workers int
	// Window bounds the commits that are delivered and not finished; default
	// 4096. Their bodies take at most 64 MiB. Where it is full delivery waits.
	Window int
	// HandlerTimeout is the deadline of one call of the handler; default 30 s.
	HandlerTimeout time.Duration
	// Retry is the backoff of failed commits; see [Backoff].
	Retry Backoff
	// SkipUnknown passes over events whose type the codec does not know. By
	// default their key is parked.
	SkipUnknown bool
	// Lease is the time after which a silent owner is taken over; default
	// 20 s, because a broker's failover may silence everybody for 13 s. An
	// owner that could not renew it for three quarters of it stops.
	Lease time.Duration
	// OnCaughtUp is called once, when everything that was stored at the start
	// has been handled. An instance that does not get the lease never calls it. In a
	// store of several partitions it counts what other instances have handled, and an instance
	// calls it that got the lease of at least one.
	OnCaughtUp func()
	// Observer is told what happens; nil: the store's.
	Observer Observer
}

// Backoff is min(First·2^n, Max), of which half is random, for at most Attempts
// calls in all; then the key is parked. Defaults: 100 ms, 30 s, 20.
type Backoff struct {
	First    time.Duration
	Max      time.Duration
	Attempts int
}

// Subscribe delivers the selected events, history first and then live, to
// handle. It blocks until ctx ends (and then returns nil after a drain) or
// until it cannot go on, and says why: [ErrConfig], *[CorruptError], the server
// refuses, the connection is closed for good, or a key had to be parked with EveryInstance.
// A right that the connection does not have is an [ErrRefused] that names the subject, at once. One
// that is taken away while it runs ends it in the same way when it is next needed; the right to write the Bucket,
// when the lease has run out. Start it again: it resumes when the right is there.
//
// Events of one key are handled in order, always: also after a retry, a crash
// or a takeover. Events of different keys are handled concurrently, at most
// Workers calls at a time. A commit is handled again when the process ended
// before its position was stored, which happens at most every 250 ms and at a
// clean stop, so handlers are idempotent; handlers of two instances may overlap
// when one of them was stopped for longer than the lease, or does not end when its context does: five
// seconds after the stop the lease is left to run out.
//
// Retry, parking and position are the commit's: its events are handed over one
// by one, and after an error all of them again.
//
//   - nil: done.
//   - [RetryAfter], or any other error: the same commit again after a backoff,
//     while later commits of that key wait and other keys go on, except behind a commit
//     that they share with it; see [SubscriptionConfig].Key. A panic is an error.
//   - [Park], a *[DecodeError], or attempts used up: the key is set aside with
//     all that comes later, until [Subscription.Release]. Other keys go on.
//
// Where a key cannot be parked, because the bucket is full or 1000 keys of the
// subscription are parked already, it waits until it can: its events stay in the window,
// the handler is not called for them, and the Observer is told once a second.
//
// The handler's context ends with HandlerTimeout, when the lease is lost, and
// 5 s after ctx ended; it carries the event's trace on, see [WithTraceParent].
// Lag, parked keys and the active instance are told to the Observer and shown by
// [Subscriptions].
func Subscribe[E Event](ctx context.Context, store *Store, cfg SubscriptionConfig[E], handle func(context.Context, Recorded[E]) error) error {
	all, err := newSubscriptions(store, cfg)
	if err != nil {
		return err
	}
	for _, s := range all {
		s.handle = oneByOne(handle)
	}
	return all.run(ctx)
}

// oneByOne hands over what a key has of a commit.
func oneByOne[E Event](handle func(context.Context, Recorded[E]) error) func(context.Context, []Recorded[E]) error {
	return func(ctx context.Context, events []Recorded[E]) error {
		for i, e := range events {
			if err := handle(ctx, e); err != nil {
				return causeOf(events[i:]).failed(err)
			}
		}
		return nil
	}
}

// SubscribeBatch is [Subscribe] for handlers that decide many keys together
// (group commit): handle gets the next commit of every key that is ready, at
// most max of them, one call at a time, and without waiting for more. It returns one
// error or nil for each commit, in their order; no errors at all mean that
// all are done, and any other number that none is. Workers is not used.
func SubscribeBatch[E Event](ctx context.Context, store *Store, cfg SubscriptionConfig[E], max int, handle func(context.Context, []Delivery[E]) []error) error {
	all, err := newSubscriptions(store, cfg)
	if err != nil {
		return err
	}
	if max < 1 {
		return fmt.Errorf("%w: subscription %s: batches of %d: 1 or more is allowed", ErrConfig, cfg.Name, max)
	}
	for _, s := range all {
		s.batchMax = max
		s.batch = func(ctx context.Context, commits [][]Recorded[E], traces []string) []error {
			deliveries := make([]Delivery[E], len(commits))
			for i, events := range commits {
				deliveries[i] = Delivery[E]{Events: events, TraceParent: traces[i]}
			}
			return handle(ctx, deliveries)
		}
	}
	return all.run(ctx)
}

// Delivery is one commit of a batch: what the key has of it, at least one event.
type Delivery[E Event] struct {
	Events []Recorded[E]
	// TraceParent is the trace context for what is stored because of this commit:
	// the handler's context is of all of them together. "" when there is none.
	TraceParent string
}

// RetryAfter asks for the same commit again after d, without using up an attempt.
func RetryAfter(d time.Duration, err error) error { return &retryAfter{d, err} }

// Park sets the key aside with the reason err; an operator releases it with
// [Subscription.Release].
func Park(err error) error { return &parkNow{err} }

// newSubscriptions prepares an engine for each partition, for the commits that cfg selects.
func newSubscriptions[E Event](store *Store, cfg SubscriptionConfig[E]) (subscriptions[[]Recorded[E]], error) {
	switch {
	case cfg.Name == "" || len(cfg.Name) > maxName || !utf8.ValidString(cfg.Name):
		return nil, fmt.Errorf("%w: the subscription's name %q has %d bytes: 1 to %d bytes of UTF-8 are allowed", ErrConfig, cfg.Name, len(cfg.Name), maxName)
	case cfg.ExclusiveOwner && cfg.Owner == "":
		return nil, fmt.Errorf("%w: subscription %s has an exclusive owner without a name", ErrConfig, cfg.Name)
	case cfg.Codec == nil:
		return nil, fmt.Errorf("%w: subscription %s has no codec", ErrConfig, cfg.Name)
	case cfg.Bucket == "" && !cfg.EveryInstance:
		return nil, fmt.Errorf("%w: subscription %s has no bucket for its position: name one, or say EveryInstance where every instance is to handle everything at every start", ErrConfig, cfg.Name)
	case cfg.Bucket != "" && cfg.EveryInstance:
		return nil, fmt.Errorf("%w: subscription %s has the bucket %s, which lets one instance handle at a time, and EveryInstance: it is one or the other", ErrConfig, cfg.Name, cfg.Bucket)
	}
	if name, _ := store.ofEntry(cfg.Name); name != cfg.Name {
		return nil, fmt.Errorf("%w: the subscription's name %q is that of one partition of the subscription %q", ErrConfig, cfg.Name, name)
	}
	if err := store.checkPersonal(cfg.Codec.personal); err != nil {
		return nil, fmt.Errorf("subscription %s: %w", cfg.Name, err)
	}
	if err := store.checkPosition(cfg.From); err != nil {
		return nil, fmt.Errorf("subscription %s: %w", cfg.Name, err)
	}
	if err := cfg.Query.checkEndless(fromInstead); err != nil {
		return nil, fmt.Errorf("subscription %s: %w", cfg.Name, err)
	}
	if _, err := store.querySubjects(cfg.Query); err != nil {
		return nil, fmt.Errorf("subscription %s: %w", cfg.Name, err)
	}
	all := make(subscriptions[[]Recorded[E]], len(store.parts))
	for i, part := range store.parts {
		all[i] = newSubscription(part, cfg)
	}
	all.share()
	return all, nil
}

// newSubscription prepares the engine of one partition; cfg has been checked.
func newSubscription[E Event](store *Store, cfg SubscriptionConfig[E]) *subscription[[]Recorded[E]] {
	s := &subscription[[]Recorded[E]]{
		store: store, name: cfg.Name, entry: cfg.Name, stream: store.cfg.Stream, bucket: cfg.Bucket, owner: cfg.Owner, exclusive: cfg.ExclusiveOwner, from: cfg.From,
		workers: cfg.Workers, window: cfg.Window, timeout: cfg.HandlerTimeout, retry: cfg.Retry, lease: cfg.Lease,
		caughtUp: cfg.OnCaughtUp, observer: cfg.Observer, operation: OperationDeliver, cause: causeOf[E],
	}
	s.follow = func(ctx context.Context, after uint64, deliver func(message, []part[[]Recorded[E]]) error, reached func(sequence, pending uint64) error) error {
		return store.followCommits(ctx, cfg.Query, store.at(after), commitFollower{
			deliver: func(m message, c Commit, err error) error { return deliver(m, cfg.parts(c, err)) },
			reached: func(p Position, pending uint64) error { return reached(p.sequence, pending) },
			// Where one instance handles for all, nothing may be left out.
			filtered: cfg.EveryInstance && len(cfg.Query.Categories) == 0,
		})
	}
	s.split = func(ctx context.Context, m message) ([]part[[]Recorded[E]], error) {
		c, err := store.decodeMessage(m.subject, m.sequence, m.data)
		if err != nil {
			c = store.unreadable(m)
		}
		if err := store.reveal(ctx, c.Records, cfg.Query.Types); err != nil {
			return nil, err
		}
		return cfg.withoutKey(c, cfg.parts(c, err)), nil
	}
	s.waiting = func(string) source {
		subjects, _ := store.querySubjects(cfg.Query) // checked above
		return source{stream: s.stream, subjects: subjects, gapless: true, whole: true}
	}
	return s
}

// parts divides a commit's selected events by key.
func (cfg *SubscriptionConfig[E]) parts(c Commit, err error) []part[[]Recorded[E]] {
	if err != nil {
		return []part[[]Recorded[E]]{{key: c.Stream.String(), err: cause{stream: c.Stream, position: c.Position}.failed(err)}}
	}
	var parts []part[[]Recorded[E]]
	for _, record := range c.Records {
		if len(cfg.Query.Types) > 0 && !slices.Contains(cfg.Query.Types, record.Type) {
			continue
		}
		if (cfg.SkipUnknown || isOwn(c.Stream.Category)) && !cfg.Codec.Knows(record.Type) {
			continue
		}
		event, err := cfg.Codec.Decode(record)
		key, err := cfg.keyOf(event, err)
		if key == "" {
			continue
		}
		i := slices.IndexFunc(parts, func(p part[[]Recorded[E]]) bool { return p.key == key })
		if i < 0 {
			i = len(parts)
			parts = append(parts, part[[]Recorded[E]]{key: key})
		}
		p := &parts[i]
		p.payload = append(p.payload, event)
		if err != nil && p.err == nil {
			p.err = causeOf([]Recorded[E]{event}).failed(err)
		}
	}
	return parts
}

// withoutKey adds what a commit's aggregate has when it was parked because a key
// could not be told and now can: all of the commit.
func (cfg *SubscriptionConfig[E]) withoutKey(c Commit, parts []part[[]Recorded[E]]) []part[[]Recorded[E]] {
	all := part[[]Recorded[E]]{key: c.Stream.String()}
	for _, p := range parts {
		if p.key == all.key {
			return parts
		}
		all.payload = append(all.payload, p.payload...)
		if all.err == nil {
			all.err = p.err
		}
	}
	if len(parts) == 0 {
		return nil
	}
	slices.SortFunc(all.payload, func(a, b Recorded[E]) int { return cmp.Compare(a.Version, b.Version) })
	return append(parts, all)
}

// keyOf returns the key of an event, which may not have been decoded, and why
// it cannot be handled. Where no key can be told it is the aggregate.
func (cfg *SubscriptionConfig[E]) keyOf(e Recorded[E], undecodable error) (key string, err error) {
	if cfg.Key == nil {
		return e.Stream.String(), undecodable
	}
	defer func() {
		if v := recover(); v != nil {
			key, err = e.Stream.String(), cmp.Or(undecodable, fmt.Errorf("esjs: Key panicked at %s of version %d: %v", e.Type, e.Version, v))
		}
	}()
	key = cfg.Key(e)
	switch {
	case key == e.Stream.String(), key == "" && undecodable == nil:
		return key, undecodable
	case key == "":
		return e.Stream.String(), undecodable
	}
	if err := wire.CheckKey(key); err != nil {
		return e.Stream.String(), cmp.Or(undecodable, fmt.Errorf("esjs: Key of %s of version %d: %w", e.Type, e.Version, err))
	}
	return key, undecodable
}
