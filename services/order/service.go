package order

import (
	"context"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// KV buckets of the service.
const (
	BucketSnapshots     = "SNAPSHOTS_order"
	BucketSubscriptions = "SUBSCRIPTIONS_order"
)

// Buckets are the KV buckets of the service, which provisioning creates.
func Buckets() []string { return []string{BucketSnapshots, BucketSubscriptions} }

const (
	stateVersion = 3 // of State in snapshots; another one makes old snapshots ignored
	prices       = "order prices"
	history      = "order-history" // the queries
	reactions    = "order"         // the subscription to fulfilment and refunds
)

// Config is the service's wiring. The zero value works.
type Config struct {
	Lease       time.Duration // see [esjs.SubscriptionConfig]
	Concurrency int           // commands handled at once; default 256
	CacheSize   int           // orders kept in memory; default 10,000
	Workers     int           // orders whose reactions are handled at once; default 16
}

// Service is the order service.
type Service struct {
	env *service.Env
	cfg Config
}

// New prepares the service. It is not ready before it answers, its subscription
// runs, and its copy of the products has caught up.
func New(env *service.Env, cfg Config) *Service {
	env.Health.AwaitEndpoints(events.CategoryOrder, history)
	env.Health.AwaitSubscriptions(reactions)
	env.Health.Await(prices)
	return &Service{env: env, cfg: cfg}
}

// Run answers commands and queries and follows fulfilment and products, until
// ctx ends (and then returns nil) or a part cannot go on. Any number of
// instances may run: they share the commands, and one of them reacts.
func (s *Service) Run(ctx context.Context) error {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		return err
	}
	orders, closeOrders, err := service.OpenHandler(ctx, s.env, Aggregate(codec), esjs.HandlerConfig[State]{
		CacheSize: s.cfg.CacheSize,
		Snapshots: snapshots(),
	})
	if err != nil {
		return err
	}
	defer closeOrders()
	products := newCatalog(s.env.Store, codec)
	d := desk{store: s.env.Store, orders: orders, products: products}
	answers, err := d.queries()
	if err != nil {
		return err
	}
	return service.Group(ctx,
		service.Named("parked keys", func(ctx context.Context) error {
			return s.env.ServeParkedKeys(ctx, service.ParkedKeys{Bucket: BucketSubscriptions})
		}),
		service.Named("order commands", func(ctx context.Context) error {
			return s.env.ServeCommands(ctx, service.Commands{Category: events.CategoryOrder, Verbs: d.verbs(), Concurrency: s.cfg.Concurrency})
		}),
		service.Named("order queries", func(ctx context.Context) error {
			return s.env.ServeQueries(ctx, answers)
		}),
		service.Named("order reactions", func(ctx context.Context) error {
			return s.react(ctx, codec, orders)
		}),
		service.Named(prices, func(ctx context.Context) error {
			return products.follow(ctx, s.env.Observer(), func() { s.env.Health.Set(prices, nil) })
		}),
	)
}

// react lets every order follow its fulfilment and its refunds. An event that came twice is
// recognised by its id, which is the command id of what it caused; one that an
// order refuses is tried again for some minutes, and then its order is parked.
func (s *Service) react(ctx context.Context, codec *esjs.Codec[events.Event], orders *handler) error {
	return service.React(ctx, s.env, esjs.SubscriptionConfig[events.Event]{
		Name:    reactions,
		Codec:   codec,
		Query:   esjs.Query{Categories: []string{events.CategoryFulfilment, events.CategoryRefund}},
		Bucket:  BucketSubscriptions,
		Lease:   s.cfg.Lease,
		Workers: s.cfg.Workers,
	}, func(ctx context.Context, e esjs.Recorded[events.Event], caused esjs.Metadata) error {
		if !concerns(e.Event) {
			return nil
		}
		key := e.Stream.Key
		if paid, ok := e.Event.(events.RefundPaid); ok {
			key = paid.OrderID
		}
		_, err := orders.Handle(ctx, key, Reaction{Event: e.Event}, esjs.WithMetadata(caused))
		return err
	})
}

// snapshots keeps the orders' snapshots in the service's bucket.
func snapshots() *esjs.SnapshotPolicy[State] {
	return &esjs.SnapshotPolicy[State]{Bucket: BucketSnapshots, StateVersion: stateVersion, Terminal: State.Ended}
}

// SnapshotChecks compare the service's snapshots with its events.
func SnapshotChecks(codec *esjs.Codec[events.Event]) []esjs.SnapshotCheck {
	return []esjs.SnapshotCheck{esjs.CheckSnapshots(Aggregate(codec), *snapshots())}
}
