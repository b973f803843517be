package service

import (
	"context"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// Deadlines do something about the streams of one category when a time has come
// that one of their events names. All fields but Lease are required.
//
// Each deadline is a timer of the service, timer.<service>.>, which fires on the
// server's clock, never early, also when the service was away. A timer is not
// taken back when its stream goes another way.
type Deadlines[E esjs.Event] struct {
	Codec    *esjs.Codec[E]
	Category string
	Types    []string // of the events that name a time
	Name     string   // of the timers: 1 to 64 bytes of [a-z0-9-]
	Bucket   string   // of the service's subscriptions
	Lease    time.Duration
	// At returns the time that an event names; the zero time: none.
	At func(E) time.Time
	// Due is called for a stream when its time has come, also more than once and also
	// when the stream went another way meanwhile. One stream is handled after the other.
	Due func(context.Context, esjs.Fired) error
}

// DeadlineSubscriptions names the two subscriptions of a category's [Deadlines],
// for [Health.AwaitSubscriptions]: what sets the timers and what follows them.
func DeadlineSubscriptions(category string) (set, fired string) {
	return category + "-deadlines", category + "-timers"
}

// Keep sets and follows the timers until ctx ends or it cannot go on.
func (d Deadlines[E]) Keep(ctx context.Context, env *Env) error {
	timers, err := esjs.OpenTimers(ctx, env.Store, env.Name)
	if err != nil {
		return err
	}
	set, fired := DeadlineSubscriptions(d.Category)
	return Group(ctx,
		Named(set, func(ctx context.Context) error {
			return esjs.Subscribe(ctx, env.Store, Subscribed(env, esjs.SubscriptionConfig[E]{
				Name: set, Codec: d.Codec, Query: d.query(), Bucket: d.Bucket, Lease: d.Lease,
			}), func(ctx context.Context, e esjs.Recorded[E]) error {
				at := d.At(e.Event)
				if at.IsZero() {
					return nil
				}
				return timers.Set(ctx, e.Stream, esjs.Timer{Name: d.Name, At: at, Version: e.Version})
			})
		}),
		Named(fired, func(ctx context.Context) error {
			return timers.Subscribe(ctx, esjs.TimerSubscriptionConfig{
				Name: fired, Category: d.Category, Bucket: d.Bucket, Workers: 1, Lease: d.Lease,
				Owner: env.Owner, ExclusiveOwner: env.Owner != "", Observer: env.Observer(),
				Lost: func(ctx context.Context, id esjs.StreamID) error { return d.lost(ctx, env.Store, timers, id) },
			}, d.Due)
		}),
	)
}

func (d Deadlines[E]) query() esjs.Query {
	return esjs.Query{Categories: []string{d.Category}, Types: d.Types}
}

// lost does what was due of a stream whose timers were not handled for so long
// that they are gone, or of every stream when id is zero. What cannot be done yet gets
// its timer again, so that it holds up no other stream.
func (d Deadlines[E]) lost(ctx context.Context, store *esjs.Store, timers *esjs.Timers, id esjs.StreamID) error {
	query := d.query()
	if id != (esjs.StreamID{}) {
		query.Categories, query.Streams = nil, []esjs.StreamID{id}
	}
	now := time.Now()
	for record, err := range store.ReadAll(ctx, query) {
		if err != nil {
			return err
		}
		e, err := d.Codec.Decode(record)
		if err != nil {
			return err
		}
		at := d.At(e.Event)
		if at.IsZero() || at.After(now) {
			continue
		}
		if d.Due(ctx, esjs.Fired{Stream: e.Stream, Name: d.Name, Version: e.Version, At: at, FiredAt: now}) == nil {
			continue
		}
		if err := timers.Set(ctx, e.Stream, esjs.Timer{Name: d.Name, At: at, Version: e.Version}); err != nil {
			return err
		}
	}
	return nil
}
