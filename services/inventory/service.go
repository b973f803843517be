package inventory

import (
	"context"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// KV buckets of the service.
const (
	BucketSnapshots     = "SNAPSHOTS_inventory"
	BucketSubscriptions = "SUBSCRIPTIONS_inventory"
)

// Buckets are the KV buckets of the service, which provisioning creates.
func Buckets() []string { return []string{BucketSnapshots, BucketSubscriptions} }

const (
	stateVersion = 1           // of the states in snapshots: another one makes old snapshots ignored
	requests     = "inventory" // the subscription to fulfilment and refunds
)

// Config is the service's wiring. The zero value works.
type Config struct {
	Lease       time.Duration // see [esjs.SubscriptionConfig]
	Concurrency int           // commands handled at once; default 256
	Batch       int           // orders whose requests are decided together, at most; default 256
}

// Service is the inventory service.
type Service struct {
	env *service.Env
	cfg Config
}

// New prepares the service. It is not ready before it answers and its
// subscription runs.
func New(env *service.Env, cfg Config) *Service {
	env.Health.AwaitEndpoints(events.CategoryProduct, events.CategoryStock)
	set, fired := service.DeadlineSubscriptions(events.CategoryReservation)
	env.Health.AwaitSubscriptions(requests, set, fired)
	if cfg.Batch == 0 {
		cfg.Batch = batchSize
	}
	return &Service{env: env, cfg: cfg}
}

// Run answers commands and fulfilment's requests, and releases what is held for
// too long, until ctx ends (and then
// returns nil) or a part cannot go on. Any number of instances may run: they
// share the commands, and one of them answers the requests.
func (s *Service) Run(ctx context.Context) error {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		return err
	}
	products, closeProducts, err := service.OpenHandler(ctx, s.env, productAggregate(codec), snapshots[Product](nil))
	if err != nil {
		return err
	}
	defer closeProducts()
	stocks, closeStocks, err := service.OpenHandler(ctx, s.env, stockAggregate(codec), snapshots[Stock](nil))
	if err != nil {
		return err
	}
	defer closeStocks()
	reservations, closeReservations, err := service.OpenHandler(ctx, s.env, reservationAggregate(codec), snapshots(Reservation.ended))
	if err != nil {
		return err
	}
	defer closeReservations()
	fulfilments, closeFulfilments, err := service.OpenHandler(ctx, s.env, fulfilmentAggregate(codec), esjs.HandlerConfig[capturing]{})
	if err != nil {
		return err
	}
	defer closeFulfilments()
	g := group{store: s.env.Store, stocks: stocks, reservations: reservations}
	return service.Group(ctx,
		service.Named("parked keys", func(ctx context.Context) error {
			return s.env.ServeParkedKeys(ctx, service.ParkedKeys{Bucket: BucketSubscriptions})
		}),
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
			return esjs.SubscribeBatch(ctx, s.env.Store, service.Subscribed(s.env, esjs.SubscriptionConfig[events.Event]{
				Name:   requests,
				Codec:  codec,
				Query:  esjs.Query{Categories: []string{events.CategoryFulfilment, events.CategoryRefund}},
				Bucket: BucketSubscriptions,
				Lease:  s.cfg.Lease,
			}), s.cfg.Batch, g.handle)
		}),
		service.Named("expiry of reservations", func(ctx context.Context) error {
			return s.expiry(codec, g, fulfilments).Keep(ctx, s.env)
		}),
	)
}

func productAggregate(codec *esjs.Codec[events.Event]) esjs.Aggregate[Product, ProductCommand, events.Event] {
	return esjs.Aggregate[Product, ProductCommand, events.Event]{
		Category: events.CategoryProduct, Codec: codec, Apply: ApplyProduct, Decide: DecideProduct,
	}
}

func stockAggregate(codec *esjs.Codec[events.Event]) esjs.Aggregate[Stock, StockCommand, events.Event] {
	return esjs.Aggregate[Stock, StockCommand, events.Event]{
		Category: events.CategoryStock, Codec: codec, Apply: ApplyStock, Decide: DecideStock,
	}
}

func reservationAggregate(codec *esjs.Codec[events.Event]) esjs.Aggregate[Reservation, busy, events.Event] {
	return esjs.Aggregate[Reservation, busy, events.Event]{
		Category: events.CategoryReservation, Codec: codec, Apply: ApplyReservation, Decide: decideBusy,
	}
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

// SnapshotChecks compare the service's snapshots with its events.
func SnapshotChecks(codec *esjs.Codec[events.Event]) []esjs.SnapshotCheck {
	return []esjs.SnapshotCheck{
		esjs.CheckSnapshots(productAggregate(codec), *snapshots[Product](nil).Snapshots),
		esjs.CheckSnapshots(stockAggregate(codec), *snapshots[Stock](nil).Snapshots),
		esjs.CheckSnapshots(reservationAggregate(codec), *snapshots(Reservation.ended).Snapshots),
	}
}
