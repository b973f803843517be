package order

import (
	"context"
	"fmt"
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
	closeTimeout = 5 * time.Second
)

// Config is the service's wiring. The zero value works.
type Config struct {
	Owner       string        // names this instance in the lease of the reactions
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
	orders, err := esjs.NewCommandHandler(ctx, s.env.Store, Aggregate(codec), esjs.HandlerConfig[State]{
		CacheSize: s.cfg.CacheSize,
		Snapshots: &esjs.SnapshotPolicy[State]{Bucket: BucketSnapshots, StateVersion: stateVersion, Terminal: State.Ended},
	})
	if err != nil {
		return fmt.Errorf("orders: %w", err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		if err := orders.Close(closing); err != nil {
			s.env.Log.Warn().Err(err).Msg("snapshots that waited were not written; the next loads take longer")
		}
	}()
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
	return esjs.Subscribe(ctx, s.env.Store, esjs.SubscriptionConfig[events.Event]{
		Name:     "order",
		Codec:    codec,
		Query:    esjs.Query{Categories: []string{events.CategoryFulfilment}},
		Bucket:   BucketSubscriptions,
		Owner:    s.cfg.Owner,
		Lease:    s.cfg.Lease,
		Workers:  s.cfg.Workers,
		Observer: s.env.Observer(),
	}, func(ctx context.Context, e esjs.Recorded[events.Event]) error {
		if !concerns(e.Event) {
			return nil
		}
		order := e.Stream.Key
		_, err := orders.Handle(ctx, order, Reaction{Event: e.Event}, esjs.WithMetadata(esjs.Metadata{
			CommandID:     e.ID,
			CausationID:   e.ID,
			CorrelationID: order,
			TraceParent:   e.Metadata.TraceParent,
		}))
		return err
	})
}
