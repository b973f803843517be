package shipping

import (
	"context"
	"errors"
	"fmt"
	"net"
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

// Config of the service. CarrierURL is required; the zero value of the rest works.
type Config struct {
	CarrierURL         string        // of the carrier's API, for example http://127.0.0.1:8090/carrier/v1
	CarrierTimeout     time.Duration // of one call; default 5 s
	CarrierConcurrency int           // calls at the same time; default 32
	// CarrierRetry is the pause before a carrier that could not be reached is
	// asked again about a dispatch or a cancellation: for these only the carrier
	// knows the answer. Default 5 s.
	CarrierRetry time.Duration

	WebhookListen   string       // host:port for the carrier's webhooks; default 127.0.0.1:0
	WebhookListener net.Listener // used instead of WebhookListen when it is set; Run closes it
	WebhookSecret   []byte       // shared with the carrier; without it webhooks are refused

	Owner string        // of the subscription's lease; default a name of its own
	Lease time.Duration // see [esjs.SubscriptionConfig]
}

// Service is the shipping service.
type Service struct {
	env       *service.Env
	cfg       Config
	carrier   carrier
	shipments *esjs.CommandHandler[State, Command, events.Event]
	bound     chan struct{} // closed when addr is set
	addr      string
}

// New prepares the service.
func New(env *service.Env, cfg Config) *Service {
	if cfg.WebhookListen == "" {
		cfg.WebhookListen = "127.0.0.1:0"
	}
	if cfg.CarrierRetry == 0 {
		cfg.CarrierRetry = 5 * time.Second
	}
	return &Service{
		env: env,
		cfg: cfg,
		carrier: carrier{service.NewPartner(service.PartnerConfig{
			URL: cfg.CarrierURL, Timeout: cfg.CarrierTimeout, Concurrency: cfg.CarrierConcurrency,
		})},
		bound: make(chan struct{}),
	}
}

// Addr returns host:port of the webhook endpoint once Run listens.
func (s *Service) Addr(ctx context.Context) (string, error) {
	select {
	case <-s.bound:
		return s.addr, nil
	case <-ctx.Done():
		return "", fmt.Errorf("shipping: not listening: %w", ctx.Err())
	}
}

// Run serves until ctx ends or it cannot go on, and says why.
func (s *Service) Run(ctx context.Context) (err error) {
	s.env.Health.Await("shipping webhooks")
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		return fmt.Errorf("shipping: %w", err)
	}
	listener := s.cfg.WebhookListener
	if listener == nil {
		if listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.WebhookListen); err != nil {
			return fmt.Errorf("shipping: webhooks: %w", err)
		}
	}
	s.shipments, err = esjs.NewCommandHandler(ctx, s.env.Store, Aggregate(codec), esjs.HandlerConfig[State]{
		Snapshots: &esjs.SnapshotPolicy[State]{Bucket: BucketSnapshots, StateVersion: stateVersion, Terminal: State.terminal},
	})
	if err != nil {
		return errors.Join(fmt.Errorf("shipping: %w", err), listener.Close())
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, s.shipments.Close(closing))
	}()
	s.addr = listener.Addr().String()
	close(s.bound)
	s.env.Health.Set("shipping webhooks", nil)

	return service.Group(ctx,
		service.Named("shipping requests", func(ctx context.Context) error { return s.subscribe(ctx, codec) }),
		service.Named("shipping webhooks", func(ctx context.Context) error {
			return service.ServeHTTP(ctx, listener, service.Webhooks{Env: s.env, Secret: s.cfg.WebhookSecret, Handle: s.notice})
		}),
	)
}

// Aggregate is the shipment as esjs handles it.
func Aggregate(codec *esjs.Codec[events.Event]) esjs.Aggregate[State, Command, events.Event] {
	return esjs.Aggregate[State, Command, events.Event]{
		Category: events.CategoryShipment,
		Codec:    codec,
		Apply:    Apply,
		Decide:   Decide,
	}
}

// subscribe reacts to what fulfilment asks for, one order at a time in order.
func (s *Service) subscribe(ctx context.Context, codec *esjs.Codec[events.Event]) error {
	return esjs.Subscribe(ctx, s.env.Store, esjs.SubscriptionConfig[events.Event]{
		Name:     "shipping",
		Codec:    codec,
		Query:    esjs.Query{Categories: []string{events.CategoryFulfilment}, Types: requestTypes()},
		Bucket:   BucketSubscriptions,
		Owner:    s.cfg.Owner,
		Lease:    s.cfg.Lease,
		Observer: s.env.Observer(),
	}, func(ctx context.Context, e esjs.Recorded[events.Event]) error {
		if ask, ours := readRequest(e.Event); ours {
			return s.handle(ctx, ask, e.ID)
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
func (s *Service) handle(ctx context.Context, ask Ask, inputID string) error {
	metadata := esjs.Metadata{CommandID: inputID, CausationID: inputID, CorrelationID: ask.OrderID}
	asked, err := s.shipments.Handle(ctx, ask.ShipmentID, ask, esjs.WithMetadata(metadata))
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
			return esjs.RetryAfter(s.cfg.CarrierRetry, err)
		}
	}
	metadata.CommandID = inputID + ":answer"
	_, err = s.shipments.Handle(ctx, ask.ShipmentID, Tell{Ask: ask, Answer: answer}, esjs.WithMetadata(metadata))
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
