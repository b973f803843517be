package inventory

import (
	"context"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// The KV buckets of the service, which provisioning creates.
const (
	BucketSnapshots     = "SNAPSHOTS_inventory"
	BucketSubscriptions = "SUBSCRIPTIONS_inventory"
)

// stateVersion of the states in snapshots: another one makes old snapshots ignored.
const stateVersion = 1

// Config is the service's wiring. The zero value works.
type Config struct {
	Lease       time.Duration // see [esjs.SubscriptionConfig]
	Concurrency int           // commands handled at once; default 256
}

// Service is the inventory service.
type Service struct {
	env *service.Env
	cfg Config
}

// New prepares the service.
func New(env *service.Env, cfg Config) *Service { return &Service{env: env, cfg: cfg} }

// Run answers commands and fulfilment's requests until ctx ends (and then
// returns nil) or a part cannot go on. Any number of instances may run: they
// share the commands, and one of them answers the requests.
func (s *Service) Run(ctx context.Context) error {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		return err
	}
	products, closeProducts, err := service.OpenHandler(ctx, s.env, esjs.Aggregate[Product, ProductCommand, events.Event]{
		Category: events.CategoryProduct, Codec: codec, Apply: ApplyProduct, Decide: DecideProduct,
	}, snapshots[Product](nil))
	if err != nil {
		return err
	}
	defer closeProducts()
	stocks, closeStocks, err := service.OpenHandler(ctx, s.env, esjs.Aggregate[Stock, StockCommand, events.Event]{
		Category: events.CategoryStock, Codec: codec, Apply: ApplyStock, Decide: DecideStock,
	}, snapshots[Stock](nil))
	if err != nil {
		return err
	}
	defer closeStocks()
	reservations, closeReservations, err := service.OpenHandler(ctx, s.env, esjs.Aggregate[Reservation, busy, events.Event]{
		Category: events.CategoryReservation, Codec: codec, Apply: ApplyReservation, Decide: decideBusy,
	}, snapshots(Reservation.ended))
	if err != nil {
		return err
	}
	defer closeReservations()
	g := group{store: s.env.Store, stocks: stocks, reservations: reservations}
	return service.Group(ctx,
		service.Named("product commands", func(ctx context.Context) error {
			return s.env.ServeCommands(ctx, service.Commands{
				Category: events.CategoryProduct, Verbs: productVerbs(products), Concurrency: s.cfg.Concurrency,
			})
		}),
		service.Named("stock commands", func(ctx context.Context) error {
			return s.env.ServeCommands(ctx, service.Commands{
				Category: events.CategoryStock, Verbs: stockVerbs(stocks), Concurrency: s.cfg.Concurrency,
			})
		}),
		service.Named("inventory requests", func(ctx context.Context) error {
			return esjs.SubscribeBatch(ctx, s.env.Store, esjs.SubscriptionConfig[events.Event]{
				Name:     "inventory",
				Codec:    codec,
				Query:    esjs.Query{Categories: []string{events.CategoryFulfilment}},
				Bucket:   BucketSubscriptions,
				Lease:    s.cfg.Lease,
				Observer: s.env.Observer(),
			}, batchSize, g.handle)
		}),
	)
}

// ended tells that a reservation will hardly be read again.
func (r Reservation) ended() bool {
	return r.Status == Released || r.Status == Committed || r.Status == Expired || r.Status == Voided
}

// snapshots keeps an aggregate's snapshots in the service's bucket.
func snapshots[S any](terminal func(S) bool) esjs.HandlerConfig[S] {
	return esjs.HandlerConfig[S]{
		Snapshots: &esjs.SnapshotPolicy[S]{Bucket: BucketSnapshots, StateVersion: stateVersion, Terminal: terminal},
	}
}
