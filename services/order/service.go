package order

import (
	"context"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// The KV buckets of the service, which provisioning creates.
const (
	BucketSnapshots     = "SNAPSHOTS_order"
	BucketSubscriptions = "SUBSCRIPTIONS_order"
)

const (
	stateVersion = 1 // of State in snapshots; another one makes old snapshots ignored
	prices       = "order prices"
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

// New prepares the service. It is not ready before its copy of the products
// has caught up.
func New(env *service.Env, cfg Config) *Service {
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
		Snapshots: &esjs.SnapshotPolicy[State]{Bucket: BucketSnapshots, StateVersion: stateVersion, Terminal: State.Ended},
	})
	if err != nil {
		return err
	}
	defer closeOrders()
	products := newCatalog(s.env.Store, codec)
	d := desk{orders: orders, products: products}
	return service.Group(ctx,
		service.Named("order commands", func(ctx context.Context) error {
			return s.env.ServeCommands(ctx, service.Commands{Category: events.CategoryOrder, Verbs: d.verbs(), Concurrency: s.cfg.Concurrency})
		}),
		service.Named("order queries", func(ctx context.Context) error {
			return s.env.ServeQueries(ctx, service.Queries{Name: "order-history", Handlers: d.queries()})
		}),
		service.Named("order reactions", func(ctx context.Context) error {
			return s.react(ctx, codec, orders)
		}),
		service.Named(prices, func(ctx context.Context) error {
			return products.follow(ctx, s.env.Observer(), func() { s.env.Health.Set(prices, nil) })
		}),
	)
}

// react lets every order follow its fulfilment. An event that came twice is
// recognised by its id, which is the command id of what it caused; one that an
// order refuses is tried again for some minutes, and then its order is parked.
func (s *Service) react(ctx context.Context, codec *esjs.Codec[events.Event], orders *handler) error {
	return service.React(ctx, s.env, esjs.SubscriptionConfig[events.Event]{
		Name:    "order",
		Codec:   codec,
		Query:   esjs.Query{Categories: []string{events.CategoryFulfilment}},
		Bucket:  BucketSubscriptions,
		Lease:   s.cfg.Lease,
		Workers: s.cfg.Workers,
	}, func(ctx context.Context, e esjs.Recorded[events.Event], caused esjs.Metadata) error {
		if !concerns(e.Event) {
			return nil
		}
		_, err := orders.Handle(ctx, e.Stream.Key, Reaction{Event: e.Event}, esjs.WithMetadata(caused))
		return err
	})
}
