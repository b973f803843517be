package payment

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
	BucketSnapshots     = "SNAPSHOTS_payment"
	BucketSubscriptions = "SUBSCRIPTIONS_payment"
)

// Config of the service. The partner's URL is required; the zero value of the
// rest works.
type Config struct {
	PSP      service.PartnerConfig
	Webhooks service.WebhookConfig // of the PSP
	Lease    time.Duration         // see [esjs.SubscriptionConfig]
}

// Service is the payment service.
type Service struct {
	env      *service.Env
	cfg      Config
	psp      psp
	payments *esjs.CommandHandler[State, Command, events.Event]
}

// New prepares the service.
func New(env *service.Env, cfg Config) *Service {
	return &Service{env: env, cfg: cfg, psp: psp{service.NewPartner(cfg.PSP)}}
}

// Run serves until ctx ends or it cannot go on, and says why.
func (s *Service) Run(ctx context.Context) error {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		return err
	}
	var closePayments func()
	s.payments, closePayments, err = service.OpenHandler(ctx, s.env, Aggregate(codec), esjs.HandlerConfig[State]{
		Snapshots: &esjs.SnapshotPolicy[State]{Bucket: BucketSnapshots, StateVersion: stateVersion, Terminal: State.terminal},
	})
	if err != nil {
		return err
	}
	defer closePayments()
	return service.Group(ctx,
		service.Named("payment requests", func(ctx context.Context) error { return s.react(ctx, codec) }),
		service.Named("payment webhooks", func(ctx context.Context) error {
			return s.env.ServeWebhooks(ctx, s.cfg.Webhooks, s.notice)
		}),
	)
}

// Aggregate is the payment as esjs handles it.
func Aggregate(codec *esjs.Codec[events.Event]) esjs.Aggregate[State, Command, events.Event] {
	return esjs.Aggregate[State, Command, events.Event]{Category: events.CategoryPayment, Codec: codec, Apply: Apply, Decide: Decide}
}

// react does what fulfilment asks for, one order at a time in order.
func (s *Service) react(ctx context.Context, codec *esjs.Codec[events.Event]) error {
	return service.React(ctx, s.env, esjs.SubscriptionConfig[events.Event]{
		Name:   "payment",
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
func (s *Service) handle(ctx context.Context, ask Ask, caused esjs.Metadata) error {
	asked, err := s.payments.Handle(ctx, ask.PaymentID, ask, esjs.WithMetadata(caused))
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
	caused.CommandID += ":answer"
	_, err = s.payments.Handle(ctx, ask.PaymentID, Tell{Ask: ask, Answer: answer}, esjs.WithMetadata(caused))
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
