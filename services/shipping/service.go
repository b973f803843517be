package shipping

import (
	"context"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// KV buckets of the service.
const (
	BucketSnapshots     = "SNAPSHOTS_shipping"
	BucketSubscriptions = "SUBSCRIPTIONS_shipping"
)

// Buckets are the KV buckets of the service, which provisioning creates.
func Buckets() []string { return []string{BucketSnapshots, BucketSubscriptions} }

// requests is the subscription to fulfilment.
const requests = "shipping"

// Config of the service. The partner's URL is required; the zero value of the
// rest works.
type Config struct {
	Carrier service.PartnerConfig
	// Retry is the pause before a carrier that could not be reached is asked
	// again, until the request's deadline. Then a booking is answered as failed; of a dispatch or a cancellation only the
	// carrier knows the answer, and the order's process asks anew. Default 5 s.
	Retry    time.Duration
	Webhooks service.WebhookConfig // of the carrier
	Lease    time.Duration         // see [esjs.SubscriptionConfig]
}

// Service is the shipping service.
type Service struct {
	env     *service.Env
	cfg     Config
	carrier *service.Partner
}

// New prepares the service. It is not ready before its subscription runs and it
// takes webhooks.
func New(env *service.Env, cfg Config) *Service {
	env.Health.AwaitSubscriptions(requests)
	env.AwaitWebhooks()
	if cfg.Retry == 0 {
		cfg.Retry = askAgain
	}
	return &Service{env: env, cfg: cfg, carrier: env.Partner("carrier", cfg.Carrier)}
}

// Run serves until ctx ends or it cannot go on, and says why.
func (s *Service) Run(ctx context.Context) error {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		return err
	}
	shipments, closeShipments, err := service.OpenHandler(ctx, s.env, Aggregate(codec), esjs.HandlerConfig[State]{
		Snapshots: snapshots(),
	})
	if err != nil {
		return err
	}
	defer closeShipments()
	defer s.carrier.Close()
	desk := NewDesk(s.env, s.carrier, stored{shipments})
	desk.retry = s.cfg.Retry
	return service.Group(ctx,
		service.Named("parked keys", func(ctx context.Context) error {
			return s.env.ServeParkedKeys(ctx, service.ParkedKeys{Bucket: BucketSubscriptions})
		}),
		service.Named("shipping requests", func(ctx context.Context) error { return s.react(ctx, codec, desk) }),
		service.Named("shipping webhooks", func(ctx context.Context) error {
			return s.env.ServeWebhooks(ctx, s.cfg.Webhooks, desk.Notice)
		}),
	)
}

// Aggregate is the shipment as esjs handles it.
func Aggregate(codec *esjs.Codec[events.Event]) esjs.Aggregate[State, Command, events.Event] {
	return esjs.Aggregate[State, Command, events.Event]{Category: events.CategoryShipment, Codec: codec, Apply: Apply, Decide: Decide}
}

// snapshots keeps the shipments' snapshots in the service's bucket.
func snapshots() *esjs.SnapshotPolicy[State] {
	return &esjs.SnapshotPolicy[State]{Bucket: BucketSnapshots, StateVersion: stateVersion, Terminal: State.terminal}
}

// SnapshotChecks compare the service's snapshots with its events.
func SnapshotChecks(codec *esjs.Codec[events.Event]) []esjs.SnapshotCheck {
	return []esjs.SnapshotCheck{esjs.CheckSnapshots(Aggregate(codec), *snapshots())}
}

// react does what fulfilment asks for, one order at a time in order.
func (s *Service) react(ctx context.Context, codec *esjs.Codec[events.Event], desk Desk) error {
	return service.React(ctx, s.env, esjs.SubscriptionConfig[events.Event]{
		Name:   requests,
		Codec:  codec,
		Query:  esjs.Query{Categories: []string{events.CategoryFulfilment}, Types: requestTypes()},
		Bucket: BucketSubscriptions,
		Lease:  s.cfg.Lease,
	}, func(ctx context.Context, e esjs.Recorded[events.Event], caused esjs.Metadata) error {
		return desk.Request(ctx, e.Event, caused)
	})
}

// requestTypes names the events that [readRequest] reads.
func requestTypes() []string {
	return []string{
		events.ShipmentBookingRequested{}.EventType(),
		events.ShipmentRebookRequested{}.EventType(),
		events.DispatchRequested{}.EventType(),
		events.ShipmentCancellationRequested{}.EventType(),
	}
}

// readRequest returns what an event of fulfilment asks of us.
func readRequest(e events.Event) (Ask, bool) {
	switch e := e.(type) {
	case events.ShipmentBookingRequested:
		return Ask{
			ShipmentID: e.ShipmentID, OrderID: e.OrderID, RequestID: e.RequestID,
			Op: Book, AddressRef: e.AddressRef, Country: e.Country, Lines: e.Lines, Deadline: e.Deadline,
		}, true
	case events.ShipmentRebookRequested:
		return Ask{
			ShipmentID: e.ShipmentID, OrderID: e.OrderID, RequestID: e.RequestID,
			Op: Book, AddressRef: e.AddressRef, Country: e.Country, Lines: e.Lines, Deadline: e.Deadline,
		}, true
	case events.DispatchRequested:
		return Ask{ShipmentID: e.ShipmentID, OrderID: e.OrderID, RequestID: e.RequestID, Op: Dispatch, Deadline: e.Deadline}, true
	case events.ShipmentCancellationRequested:
		return Ask{ShipmentID: e.ShipmentID, OrderID: e.OrderID, RequestID: e.RequestID, Op: Cancel, Cause: e.Cause, Deadline: e.Deadline}, true
	}
	return Ask{}, false
}
