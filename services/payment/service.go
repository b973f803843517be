package payment

import (
	"context"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// KV buckets of the service.
const (
	BucketSnapshots     = "SNAPSHOTS_payment"
	BucketSubscriptions = "SUBSCRIPTIONS_payment"
)

// Buckets are the KV buckets of the service, which provisioning creates.
func Buckets() []string { return []string{BucketSnapshots, BucketSubscriptions, BucketReconciliation} }

// requests is the subscription to fulfilment and refunds.
const requests = "payment"

// Config of the service. The partner's URL is required; the zero value of the
// rest works.
type Config struct {
	PSP      service.PartnerConfig
	Webhooks service.WebhookConfig // of the PSP
	Lease    time.Duration         // see [esjs.SubscriptionConfig]

	// Reconcile is how often our payments are compared with the PSP's list; default 1 h.
	// What differs is looked at again after Settle, default 10 s: what is
	// under way differs for a moment.
	Reconcile time.Duration
	Settle    time.Duration
}

// Service is the payment service.
type Service struct {
	env   *service.Env
	cfg   Config
	psp   *service.Partner
	asked *prometheus.CounterVec
	// reconciler compares with the PSP's list.
	reconciler *reconciler
}

// New prepares the service. It is not ready before its subscription runs and it
// takes webhooks.
func New(env *service.Env, cfg Config) *Service {
	set, fired := service.DeadlineSubscriptions(events.CategoryPayment)
	env.Health.AwaitSubscriptions(requests, set, fired)
	env.Health.AwaitEndpoints(env.Name)
	env.AwaitWebhooks()
	return &Service{
		env: env, cfg: cfg, psp: env.Partner("psp", cfg.PSP),
		asked: promauto.With(env.Metrics.Registry).NewCounterVec(prometheus.CounterOpts{
			Name: "psp_requests_total",
			Help: "Requests to the payment provider about a payment, by what they ask for and by its answer: done, refused, missing, or unknown when it told nothing.",
		}, []string{"op", "class"}),
		reconciler: newReconciler(env, cfg),
	}
}

// Run serves until ctx ends or it cannot go on, and says why.
func (s *Service) Run(ctx context.Context) error {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		return err
	}
	payments, closePayments, err := service.OpenHandler(ctx, s.env, Aggregate(codec), esjs.HandlerConfig[State]{
		Snapshots: snapshots(),
	})
	if err != nil {
		return err
	}
	defer closePayments()
	defer s.psp.Close()
	desk := NewDesk(s.env, s.psp, stored{payments})
	desk.psp.asked = s.asked
	s.reconciler.desk = desk
	return service.Group(ctx,
		service.Named("parked keys", func(ctx context.Context) error {
			return s.env.ServeParkedKeys(ctx, service.ParkedKeys{Bucket: BucketSubscriptions})
		}),
		service.Named("reconciliation", s.reconciler.run),
		service.Named("payment requests", func(ctx context.Context) error { return s.react(ctx, codec, desk) }),
		service.Named("payment webhooks", func(ctx context.Context) error {
			return s.env.ServeWebhooks(ctx, s.cfg.Webhooks, desk.Notice)
		}),
		service.Named("expiry of authorisations", func(ctx context.Context) error { return s.expiry(codec, desk).Keep(ctx, s.env) }),
	)
}

// Aggregate is the payment as esjs handles it.
func Aggregate(codec *esjs.Codec[events.Event]) esjs.Aggregate[State, Command, events.Event] {
	return esjs.Aggregate[State, Command, events.Event]{Category: events.CategoryPayment, Codec: codec, Apply: Apply, Decide: Decide}
}

// snapshots keeps the payments' snapshots in the service's bucket.
func snapshots() *esjs.SnapshotPolicy[State] {
	return &esjs.SnapshotPolicy[State]{Bucket: BucketSnapshots, StateVersion: stateVersion, Terminal: State.terminal}
}

// SnapshotChecks compare the service's snapshots with its events.
func SnapshotChecks(codec *esjs.Codec[events.Event]) []esjs.SnapshotCheck {
	return []esjs.SnapshotCheck{esjs.CheckSnapshots(Aggregate(codec), *snapshots())}
}

// react does what fulfilment and refunds ask for, each of them in order.
func (s *Service) react(ctx context.Context, codec *esjs.Codec[events.Event], desk Desk) error {
	return service.React(ctx, s.env, esjs.SubscriptionConfig[events.Event]{
		Name:   requests,
		Codec:  codec,
		Query:  esjs.Query{Categories: []string{events.CategoryFulfilment, events.CategoryRefund}, Types: requestTypes()},
		Bucket: BucketSubscriptions,
		Lease:  s.cfg.Lease,
	}, func(ctx context.Context, e esjs.Recorded[events.Event], caused esjs.Metadata) error {
		return desk.Request(ctx, e.Event, caused)
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
		events.RefundRequested{}.EventType(),
		events.RefundVoidRequested{}.EventType(),
	}
}

// readRequest returns what an event of fulfilment or of a refund asks of us.
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
	case events.RefundRequested:
		return Ask{
			PaymentID: e.PaymentID, OrderID: e.OrderID, RequestID: e.RequestID,
			Op: events.OperationRefund, Amount: e.Amount, RefundID: e.RefundID,
		}, true
	case events.RefundVoidRequested:
		return Ask{PaymentID: e.PaymentID, OrderID: e.OrderID, RequestID: e.RequestID, Op: events.OperationVoid}, true
	}
	return Ask{}, false
}
