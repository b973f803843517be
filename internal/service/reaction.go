package service

import (
	"cmp"
	"context"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// React calls handle for every event that cfg subscribes to, as [esjs.Subscribe]
// does, with the metadata of what the event causes. The service observes the
// subscription.
func React[E esjs.Event](
	ctx context.Context, env *Env, cfg esjs.SubscriptionConfig[E],
	handle func(ctx context.Context, e esjs.Recorded[E], caused esjs.Metadata) error,
) error {
	return esjs.Subscribe(ctx, env.Store, Subscribed(env, cfg), func(ctx context.Context, e esjs.Recorded[E]) error {
		return handle(ctx, e, CausedBy(e.Record))
	})
}

// Subscribed completes a subscription with what all of the process have in common:
// who observes it, and who owns its lease.
func Subscribed[E esjs.Event](env *Env, cfg esjs.SubscriptionConfig[E]) esjs.SubscriptionConfig[E] {
	cfg.Observer = env.Observer()
	cfg.Owner, cfg.ExclusiveOwner = env.Owner, env.Owner != ""
	return cfg
}

// CausedBy is the metadata of what an event causes. The event's id is the
// command's, so that an event that comes again changes nothing. Its correlation
// goes on; without one it is the key of its stream. Its trace is carried by the
// handler's context.
func CausedBy(e esjs.Record) esjs.Metadata {
	return esjs.Metadata{CommandID: e.ID, CausationID: e.ID, CorrelationID: cmp.Or(e.Metadata.CorrelationID, e.Stream.Key)}
}
