package shipping

import (
	"context"
	"net/http"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// Buckets of the service.
const (
	BucketSnapshots     = "SNAPSHOTS_shipping"
	BucketSubscriptions = "SUBSCRIPTIONS_shipping"
)

// Config of the service. The partner's URL is required; the zero value of the
// rest works.
type Config struct {
	Carrier service.PartnerConfig
	// Retry is the pause before a carrier that could not be reached is asked
	// again about a dispatch or a cancellation: for these only the carrier knows
	// the answer. Default 5 s.
	Retry    time.Duration
	Webhooks service.WebhookConfig // of the carrier
	Lease    time.Duration         // see [esjs.SubscriptionConfig]
}

// Service is the shipping service.
type Service struct {
	env       *service.Env
	cfg       Config
	carrier   carrier
	shipments *esjs.CommandHandler[State, Command, events.Event]
}

// New prepares the service.
func New(env *service.Env, cfg Config) *Service {
	if cfg.Retry == 0 {
		cfg.Retry = 5 * time.Second
	}
	return &Service{env: env, cfg: cfg, carrier: carrier{service.NewPartner(cfg.Carrier)}}
}

// Run serves until ctx ends or it cannot go on, and says why.
func (s *Service) Run(ctx context.Context) error {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		return err
	}
	var closeShipments func()
	s.shipments, closeShipments, err = service.OpenHandler(ctx, s.env, Aggregate(codec), esjs.HandlerConfig[State]{
		Snapshots: &esjs.SnapshotPolicy[State]{Bucket: BucketSnapshots, StateVersion: stateVersion, Terminal: State.terminal},
	})
	if err != nil {
		return err
	}
	defer closeShipments()
	return service.Group(ctx,
		service.Named("shipping requests", func(ctx context.Context) error { return s.react(ctx, codec) }),
		service.Named("shipping webhooks", func(ctx context.Context) error {
			return s.env.ServeWebhooks(ctx, s.cfg.Webhooks, s.notice)
		}),
	)
}

// Aggregate is the shipment as esjs handles it.
func Aggregate(codec *esjs.Codec[events.Event]) esjs.Aggregate[State, Command, events.Event] {
	return esjs.Aggregate[State, Command, events.Event]{Category: events.CategoryShipment, Codec: codec, Apply: Apply, Decide: Decide}
}

// react does what fulfilment asks for, one order at a time in order.
func (s *Service) react(ctx context.Context, codec *esjs.Codec[events.Event]) error {
	return service.React(ctx, s.env, esjs.SubscriptionConfig[events.Event]{
		Name:   "shipping",
		Codec:  codec,
		Query:  esjs.Query{Categories: []string{events.CategoryFulfilment}, Types: requestTypes()},
		Bucket: BucketSubscriptions,
		Lease:  s.cfg.Lease,
	}, func(ctx context.Context, e esjs.Recorded[events.Event], caused esjs.Metadata) error {
		if ask, ours := readRequest(e.Event); ours {
			return s.handle(ctx, ask, caused)
		}
		return nil
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
			Op: Book, AddressRef: e.AddressRef, Country: e.Country, Lines: e.Lines,
		}, true
	case events.ShipmentRebookRequested:
		return Ask{
			ShipmentID: e.ShipmentID, OrderID: e.OrderID, RequestID: e.RequestID,
			Op: Book, AddressRef: e.AddressRef, Country: e.Country, Lines: e.Lines,
		}, true
	case events.DispatchRequested:
		return Ask{ShipmentID: e.ShipmentID, OrderID: e.OrderID, RequestID: e.RequestID, Op: Dispatch}, true
	case events.ShipmentCancellationRequested:
		return Ask{ShipmentID: e.ShipmentID, OrderID: e.OrderID, RequestID: e.RequestID, Op: Cancel, Cause: e.Cause}, true
	}
	return Ask{}, false
}

// handle asks the carrier and stores its answer. It can be repeated from the
// start after a crash at any point: the carrier knows the shipment by our id.
func (s *Service) handle(ctx context.Context, ask Ask, caused esjs.Metadata) error {
	asked, err := s.shipments.Handle(ctx, ask.ShipmentID, ask, esjs.WithMetadata(caused))
	if err != nil || !ask.NeedsCarrier(asked.State) {
		return err
	}
	answer, err := s.carrier.ask(ctx, ask)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		s.env.Log.Warn().Str("order", ask.OrderID).Str("shipment", ask.ShipmentID).Str("operation", string(ask.Op)).
			Err(err).Msg("outcome at the carrier is unknown")
		if ask.Op != Book {
			return esjs.RetryAfter(s.cfg.Retry, err)
		}
	}
	caused.CommandID += ":answer"
	_, err = s.shipments.Handle(ctx, ask.ShipmentID, Tell{Ask: ask, Answer: answer}, esjs.WithMetadata(caused))
	return err
}

// notice stores what a webhook told. The carrier's event id makes a repeated
// one a no-op.
func (s *Service) notice(ctx context.Context, body []byte) error {
	news, err := readNotice(body)
	if err != nil {
		return &esjs.Rejection{Code: "bad_request", Message: err.Error(), Status: http.StatusBadRequest}
	}
	loaded, err := s.shipments.Load(ctx, news.ShipmentID)
	if err != nil {
		return err
	}
	_, err = s.shipments.Handle(ctx, news.ShipmentID, news, esjs.WithMetadata(esjs.Metadata{
		CommandID:     "carrier:" + news.EventID,
		CorrelationID: loaded.State.OrderID,
	}))
	return err
}
