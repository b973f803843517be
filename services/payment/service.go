package payment

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
	BucketSnapshots     = "SNAPSHOTS_payment"
	BucketSubscriptions = "SUBSCRIPTIONS_payment"
)

// Config of the service. PSPURL is required; the zero value of the rest works.
type Config struct {
	PSPURL         string        // of the PSP's API, for example http://127.0.0.1:8090/psp/v1
	PSPTimeout     time.Duration // of one call; default 5 s
	PSPConcurrency int           // calls at the same time; default 32

	WebhookListen   string       // host:port for the PSP's webhooks; default 127.0.0.1:0
	WebhookListener net.Listener // used instead of WebhookListen when it is set; Run closes it
	WebhookSecret   []byte       // shared with the PSP; without it webhooks are refused

	Owner string        // of the subscription's lease; default a name of its own
	Lease time.Duration // see [esjs.SubscriptionConfig]
}

// Service is the payment service.
type Service struct {
	env      *service.Env
	cfg      Config
	psp      psp
	payments *esjs.CommandHandler[State, Command, events.Event]
	bound    chan struct{} // closed when addr is set
	addr     string
}

// New prepares the service.
func New(env *service.Env, cfg Config) *Service {
	if cfg.WebhookListen == "" {
		cfg.WebhookListen = "127.0.0.1:0"
	}
	return &Service{
		env: env,
		cfg: cfg,
		psp: psp{service.NewPartner(service.PartnerConfig{
			URL: cfg.PSPURL, Timeout: cfg.PSPTimeout, Concurrency: cfg.PSPConcurrency,
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
		return "", fmt.Errorf("payment: not listening: %w", ctx.Err())
	}
}

// Run serves until ctx ends or it cannot go on, and says why.
func (s *Service) Run(ctx context.Context) (err error) {
	s.env.Health.Await("payment webhooks")
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		return fmt.Errorf("payment: %w", err)
	}
	listener := s.cfg.WebhookListener
	if listener == nil {
		if listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.WebhookListen); err != nil {
			return fmt.Errorf("payment: webhooks: %w", err)
		}
	}
	s.payments, err = esjs.NewCommandHandler(ctx, s.env.Store, Aggregate(codec), esjs.HandlerConfig[State]{
		Snapshots: &esjs.SnapshotPolicy[State]{Bucket: BucketSnapshots, StateVersion: stateVersion, Terminal: State.terminal},
	})
	if err != nil {
		return errors.Join(fmt.Errorf("payment: %w", err), listener.Close())
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, s.payments.Close(closing))
	}()
	s.addr = listener.Addr().String()
	close(s.bound)
	s.env.Health.Set("payment webhooks", nil)

	return service.Group(ctx,
		service.Named("payment requests", func(ctx context.Context) error { return s.subscribe(ctx, codec) }),
		service.Named("payment webhooks", func(ctx context.Context) error {
			return service.ServeHTTP(ctx, listener, service.Webhooks{Env: s.env, Secret: s.cfg.WebhookSecret, Handle: s.notice})
		}),
	)
}

// Aggregate is the payment as esjs handles it.
func Aggregate(codec *esjs.Codec[events.Event]) esjs.Aggregate[State, Command, events.Event] {
	return esjs.Aggregate[State, Command, events.Event]{
		Category: events.CategoryPayment,
		Codec:    codec,
		Apply:    Apply,
		Decide:   Decide,
	}
}

// subscribe reacts to what fulfilment asks for, one order at a time in order.
func (s *Service) subscribe(ctx context.Context, codec *esjs.Codec[events.Event]) error {
	return esjs.Subscribe(ctx, s.env.Store, esjs.SubscriptionConfig[events.Event]{
		Name:     "payment",
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
		events.AuthorizationRequested{}.EventType(),
		events.AuthorizationCheckRequested{}.EventType(),
		events.CaptureRequested{}.EventType(),
		events.CaptureCheckRequested{}.EventType(),
		events.VoidRequested{}.EventType(),
		events.FulfilmentRefundRequested{}.EventType(),
	}
}

// readRequest returns what an event of fulfilment asks of us.
func readRequest(e events.Event) (Ask, bool) {
	switch e := e.(type) {
	case events.AuthorizationRequested:
		return Ask{
			PaymentID: e.PaymentID, OrderID: e.OrderID, RequestID: e.RequestID,
			Op: events.OperationAuthorize, Amount: e.Amount, MethodRef: e.MethodRef,
		}, true
	case events.AuthorizationCheckRequested:
		return Ask{PaymentID: e.PaymentID, OrderID: e.OrderID, RequestID: e.RequestID, Op: events.OperationAuthorize, Check: true}, true
	case events.CaptureRequested:
		return Ask{PaymentID: e.PaymentID, OrderID: e.OrderID, RequestID: e.RequestID, Op: events.OperationCapture, Amount: e.Amount}, true
	case events.CaptureCheckRequested:
		return Ask{PaymentID: e.PaymentID, OrderID: e.OrderID, RequestID: e.RequestID, Op: events.OperationCapture, Check: true}, true
	case events.VoidRequested:
		return Ask{PaymentID: e.PaymentID, OrderID: e.OrderID, RequestID: e.RequestID, Op: events.OperationVoid}, true
	case events.FulfilmentRefundRequested:
		return Ask{
			PaymentID: e.PaymentID, OrderID: e.OrderID, RequestID: e.RequestID,
			Op: events.OperationRefund, Amount: e.Amount, RefundID: e.RefundID,
		}, true
	}
	return Ask{}, false
}

// handle stores the attempt, asks the PSP, and stores its answer. It can be
// repeated from the start after a crash at any point.
func (s *Service) handle(ctx context.Context, ask Ask, inputID string) error {
	metadata := esjs.Metadata{CommandID: inputID, CausationID: inputID, CorrelationID: ask.OrderID}
	asked, err := s.payments.Handle(ctx, ask.PaymentID, ask, esjs.WithMetadata(metadata))
	if err != nil {
		return err
	}
	call, needed := ask.Call(asked.State)
	if !needed {
		return nil
	}
	call.Look = call.Look || asked.Repeated
	answer, err := s.psp.ask(ctx, call)
	if err != nil {
		return err
	}
	if answer.Kind == Unknown {
		s.env.Log.Warn().Str("order", ask.OrderID).Str("payment", ask.PaymentID).Str("operation", string(ask.Op)).
			Str("error", answer.Error).Msg("outcome at the payment provider is unknown")
	}
	metadata.CommandID = inputID + ":answer"
	_, err = s.payments.Handle(ctx, ask.PaymentID, Tell{Ask: ask, Answer: answer}, esjs.WithMetadata(metadata))
	return err
}

// notice stores what a webhook told. The PSP's event id makes a repeated one a
// no-op.
func (s *Service) notice(ctx context.Context, body []byte) error {
	news, err := readNotice(body)
	if err != nil {
		return &esjs.Rejection{Code: "bad_request", Message: err.Error(), Status: http.StatusBadRequest}
	}
	loaded, err := s.payments.Load(ctx, news.PaymentID)
	if err != nil {
		return err
	}
	_, err = s.payments.Handle(ctx, news.PaymentID, news, esjs.WithMetadata(esjs.Metadata{
		CommandID:     "psp:" + news.EventID,
		CorrelationID: loaded.State.OrderID,
	}))
	return err
}
