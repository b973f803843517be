package payment_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/partners"
	"github.com/b144f99b/orderflow/services/payment"
)

var secret = []byte("shared")

// world is a house with a PSP and what is stored of payments.
type world struct {
	*servicetest.House[events.Event]
	psp    *partners.Server
	pspURL string // may be set to a proxy's
	hooks  string // URL of the service that was made last
	seen   *servicetest.Feed[events.Event]
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := newUnreadWorld(t)
	w.seen = w.Follow(esjs.Query{Categories: []string{events.CategoryPayment}})
	return w
}

// newUnreadWorld is a world in which nobody reads what is stored of payments.
func newUnreadWorld(t *testing.T) *world {
	t.Helper()
	w := &world{House: servicetest.New(t, events.Types, payment.BucketSnapshots, payment.BucketSubscriptions, payment.BucketReconciliation)}
	w.Check(esjs.ProvisionTimers(t.Context(), w.Server.Dial(), 1))
	var err error
	w.psp, err = partners.New(partners.Config{Dir: t.TempDir(), Hang: servicetest.Patience})
	w.Check(err)
	h := httptest.NewServer(w.psp)
	h.Config.SetKeepAlivesEnabled(false) // what breaks on a used connection, the client repeats by itself
	w.pspURL = h.URL
	t.Cleanup(func() {
		h.CloseClientConnections()
		h.Close()
		if err := w.psp.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// service makes an instance of the service.
func (w *world) service(env *service.Env, cfg payment.Config) *payment.Service {
	w.T.Helper()
	cfg.Webhooks.Secret = secret
	cfg.Webhooks.Listener, w.hooks = servicetest.Listen(w.T)
	cfg.PSP.URL = w.pspURL + "/psp/v1"
	if cfg.PSP.Timeout == 0 {
		cfg.PSP.Timeout = 5 * time.Second // what hangs takes all of it, and nothing else comes near
	}
	return payment.New(env, cfg)
}

// start runs the service until the test ends.
func (w *world) start(cfg payment.Config) { w.Run(w.service(w.Env("payment"), cfg).Run) }

// mortal is an environment whose connections crash cuts, as a kill -9 does.
func (w *world) mortal() (env *service.Env, crash func()) {
	w.T.Helper()
	var mu sync.Mutex
	var conns []*nats.Conn
	env = w.Env("payment")
	env.Dial = func(purpose string) (*nats.Conn, error) {
		nc, err := w.Server.Dial()(purpose)
		mu.Lock()
		defer mu.Unlock()
		conns = append(conns, nc)
		return nc, err
	}
	var err error
	env.Store, err = esjs.Open(w.T.Context(), env.Dial, w.Server.Config())
	w.Check(err)
	w.T.Cleanup(env.Store.Close)
	return env, func() {
		mu.Lock()
		defer mu.Unlock()
		for _, nc := range conns {
			nc.Close()
		}
	}
}

// request publishes what fulfilment would.
func (w *world) request(e events.Event) {
	w.T.Helper()
	w.Append(events.CategoryFulfilment, "o", e)
}

// await reads what is stored of payments until the answer to a request.
func (w *world) await(requestID string) events.Event {
	w.T.Helper()
	return w.seen.Find("an answer to "+requestID, func(e esjs.Recorded[events.Event]) bool {
		if e.Metadata.CorrelationID != "o" {
			w.T.Errorf("%T has the correlation %q", e.Event, e.Metadata.CorrelationID)
		}
		text := fmt.Sprintf("%T%+v", e.Event, e.Event)
		return strings.Contains(text, "RequestID:"+requestID+" ") && !strings.Contains(text, "Attempted") && !strings.Contains(text, "PaymentInitiated")
	}).Event
}

// history is what happened to the payment, in words.
func (w *world) history() string {
	w.T.Helper()
	return strings.Join(servicetest.Types(w.History(events.CategoryPayment, "p")), " ")
}

func eur(amount string) events.Money { return events.MustMoney(amount, "EUR") }

func req(id string) events.Request { return events.Request{OrderID: "o", RequestID: id, Attempt: 1} }

func (w *world) authorize(id, method string) events.Event {
	w.T.Helper()
	w.request(events.AuthorizationRequested{Request: req(id), PaymentID: "p", Amount: eur("24.90"), MethodRef: method})
	return w.await(id)
}

func (w *world) capture(id string) events.Event {
	w.T.Helper()
	w.request(events.CaptureRequested{Request: req(id), PaymentID: "p", Amount: eur("24.90")})
	return w.await(id)
}

func TestAPaymentIsAuthorisedCapturedAndRefunded(t *testing.T) {
	w := newWorld(t)
	w.start(payment.Config{})
	if a := servicetest.As[events.PaymentAuthorized](t, w.authorize("a1", "card-ok")); a.Amount != eur("24.90") || a.AuthID == "" || a.ExpiresAt.IsZero() {
		t.Errorf("authorised %+v", a)
	}
	if c := servicetest.As[events.PaymentCaptured](t, w.capture("c1")); c.Amount != eur("24.90") {
		t.Errorf("captured %+v", c)
	}
	w.request(events.VoidRequested{Request: req("v1"), PaymentID: "p"})
	if f := servicetest.As[events.PaymentVoidFailed](t, w.await("v1")); f.Code != "captured" {
		t.Errorf("void: %+v", f)
	}
	w.request(events.FulfilmentRefundRequested{Request: req("r1"), PaymentID: "p", RefundID: "rf", Amount: eur("24.90")})
	if f := servicetest.As[events.PaymentRefunded](t, w.await("r1")); f.TotalRefunded != eur("24.90") {
		t.Errorf("refunded %+v", f)
	}
	got := w.history()
	if got != "PaymentInitiated AuthorizationAttempted PaymentAuthorized CaptureAttempted PaymentCaptured PaymentVoidFailed RefundAttempted PaymentRefunded" {
		t.Errorf("the history is %s", got)
	}
	if p, _ := w.psp.Payment("p"); p.Captures != 1 || p.Refunded.Amount != "24.90" {
		t.Errorf("the PSP has %+v", p)
	}
}

// Fulfilment leaves an authorisation behind: the PSP lets go of it, and that is said.
func TestAnAuthorisationExpires(t *testing.T) {
	w := newWorld(t)
	w.start(payment.Config{})
	held := servicetest.As[events.PaymentAuthorized](t, w.authorize("a1", "card-brief"))
	expired := w.seen.Find("the authorisation expires", func(e esjs.Recorded[events.Event]) bool {
		return e.Type == events.AuthorizationExpired{}.EventType()
	})
	if expired.Time.Before(held.ExpiresAt) || expired.Metadata.CorrelationID != "o" || expired.Stream.Key != "p" {
		t.Errorf("%+v was held until %s", expired, held.ExpiresAt)
	}
	if f := servicetest.As[events.PaymentCaptureFailed](t, w.capture("c1")); f.Code != "expired" {
		t.Errorf("captured after that: %+v", f)
	}
}

// Refunds ask on streams of their own, at the same time: in all they get what was
// captured and not more.
func TestRefundsBesideEachOtherDoNotExceedTheCapture(t *testing.T) {
	w := newWorld(t)
	w.start(payment.Config{})
	w.authorize("a1", "card-ok")
	w.capture("c1")
	for _, refund := range []string{"x", "y", "z"} {
		w.Append(events.CategoryRefund, refund, events.RefundRequested{Request: req("r" + refund), RefundID: refund, PaymentID: "p", Amount: eur("10.00")})
	}
	refunded, refused := 0, ""
	for range 3 {
		w.seen.Find("an answer to a refund", func(e esjs.Recorded[events.Event]) bool {
			switch e := e.Event.(type) {
			case events.PaymentRefunded:
				refunded++
				return true
			case events.PaymentRefundFailed:
				refused = e.Code
				return true
			}
			return false
		})
	}
	if p, _ := w.psp.Payment("p"); refunded != 2 || refused != "exceeds_captured" || p.Refunded.Amount != "20.00" {
		t.Errorf("%d refunds are done, one is refused as %q, and the PSP has %+v", refunded, refused, p)
	}
}

func TestADeclinedCardIsAnswered(t *testing.T) {
	w := newWorld(t)
	w.start(payment.Config{})
	if d := servicetest.As[events.PaymentDeclined](t, w.authorize("a1", "card-soft")); d.Class != events.DeclineSoft || d.Code != "insufficient_funds" {
		t.Errorf("declined %+v", d)
	}
	w.request(events.VoidRequested{Request: req("v1"), PaymentID: "p"})
	if v := servicetest.As[events.PaymentVoided](t, w.await("v1")); !v.NothingHeld {
		t.Errorf("voided %+v", v)
	}
}

func TestAnOutcomeThatNobodyKnowsIsFoundOut(t *testing.T) {
	for method, op := range map[string]string{
		"card-timeout": "authorize", "card-reset": "authorize", "card-5xx": "authorize",
		"card-capture-timeout": "capture", "card-capture-lost": "capture", "card-capture-5xx": "capture",
	} {
		t.Run(method, func(t *testing.T) {
			w := newWorld(t)
			w.start(payment.Config{})
			answer := w.authorize("a1", method)
			if op == "authorize" {
				if u := servicetest.As[events.PaymentOutcomeUnknown](t, answer); u.Op != events.OperationAuthorize || u.Error == "" {
					t.Errorf("unknown %+v", u)
				}
				w.request(events.AuthorizationCheckRequested{Request: req("k1"), PaymentID: "p"})
				servicetest.As[events.PaymentAuthorized](t, w.await("k1"))
				servicetest.As[events.PaymentCaptured](t, w.capture("c1"))
			} else {
				servicetest.As[events.PaymentAuthorized](t, answer)
				if u := servicetest.As[events.PaymentOutcomeUnknown](t, w.capture("c1")); u.Op != events.OperationCapture {
					t.Errorf("unknown %+v", u)
				}
				w.request(events.CaptureCheckRequested{Request: req("k1"), PaymentID: "p"})
				servicetest.As[events.PaymentCaptured](t, w.await("k1"))
			}
			if p, _ := w.psp.Payment("p"); p.Authorisations != 1 || p.Captures != 1 {
				t.Errorf("the PSP has %+v", p)
			}
		})
	}
}

// The PSP keeps its answer to a key, a no too: what it refused once, it is asked anew.
func TestARefundThatWasRefusedOnceIsAskedAnew(t *testing.T) {
	w := newWorld(t)
	w.start(payment.Config{})
	w.authorize("a1", "card-ok")
	w.capture("c1")
	w.Check(w.psp.Inject(partners.Fault{Partner: "psp", Op: "refund", Kind: partners.KindDecline, Next: 1}))
	refund := func(id string) events.Event {
		t.Helper()
		w.request(events.RefundRequested{Request: req(id), PaymentID: "p", RefundID: "rf", Amount: eur("24.90")})
		return w.await(id)
	}
	servicetest.As[events.PaymentRefundFailed](t, refund("r1"))
	servicetest.As[events.PaymentRefunded](t, refund("r2"))
	if p, _ := w.psp.Payment("p"); len(p.Refunds) != 1 || p.Refunded.Amount != "24.90" {
		t.Errorf("the PSP has %+v", p)
	}
}

func TestAVoidThatWasRefusedOnceIsAskedAnew(t *testing.T) {
	w := newWorld(t)
	w.start(payment.Config{})
	w.authorize("a1", "card-ok")
	w.Check(w.psp.Inject(partners.Fault{Partner: "psp", Op: "void", Kind: partners.KindDecline, Next: 1}))
	void := func(id string) events.Event {
		t.Helper()
		w.request(events.VoidRequested{Request: req(id), PaymentID: "p"})
		return w.await(id)
	}
	servicetest.As[events.PaymentVoidFailed](t, void("v1"))
	servicetest.As[events.PaymentVoided](t, void("v2"))
	if p, _ := w.psp.Payment("p"); p.Status != "voided" || p.Voids != 1 {
		t.Errorf("the PSP has %+v", p)
	}
}

func TestWhatNeverReachedTheProviderIsNotFoundAndAskedForAgain(t *testing.T) {
	w := newWorld(t)
	w.start(payment.Config{})
	servicetest.As[events.PaymentOutcomeUnknown](t, w.authorize("a1", "card-lost"))
	w.request(events.AuthorizationCheckRequested{Request: req("k1"), PaymentID: "p"})
	if n := servicetest.As[events.PaymentNotFound](t, w.await("k1")); n.Op != events.OperationAuthorize {
		t.Errorf("not found %+v", n)
	}
	servicetest.As[events.PaymentAuthorized](t, w.authorize("a2", "card-lost"))
	if p, _ := w.psp.Payment("p"); p.Authorisations != 1 {
		t.Errorf("the PSP has %+v", p)
	}
}

func TestAVoidOfWhatIsUnknownSettlesIt(t *testing.T) {
	w := newWorld(t)
	w.start(payment.Config{})
	servicetest.As[events.PaymentOutcomeUnknown](t, w.authorize("a1", "card-timeout"))
	w.request(events.VoidRequested{Request: req("v1"), PaymentID: "p"})
	if v := servicetest.As[events.PaymentVoided](t, w.await("v1")); v.NothingHeld {
		t.Errorf("voided %+v: the PSP held the amount", v)
	}
	if d := servicetest.As[events.PaymentDeclined](t, w.authorize("a2", "card-timeout")); d.Code != "voided" {
		t.Errorf("authorised after the void: %+v", d)
	}
	if p, _ := w.psp.Payment("p"); p.Status != "voided" {
		t.Errorf("the PSP has %+v", p)
	}
}

// The program dies when the PSP has captured and before that is stored. The
// next one asks again by the same key (proof P6).
func TestACrashBetweenTheEffectAndItsEventCapturesOnce(t *testing.T) {
	w := newWorld(t)
	target, err := url.Parse(w.pspURL)
	if err != nil {
		t.Fatal(err)
	}
	died := make(chan struct{})
	env, crash := w.mortal()
	var once sync.Once
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(response *http.Response) error {
		if strings.HasSuffix(response.Request.URL.Path, "/capture") {
			once.Do(func() { crash(); close(died) })
		}
		return nil
	}
	front := httptest.NewServer(proxy)
	defer front.Close()
	w.pspURL = front.URL

	victim := w.service(env, payment.Config{PSP: service.PartnerConfig{Timeout: servicetest.Patience}, Lease: time.Second})
	ended := make(chan error, 1)
	go func() { ended <- victim.Run(context.Background()) }()
	servicetest.As[events.PaymentAuthorized](t, w.authorize("a1", "card-ok"))
	w.request(events.CaptureRequested{Request: req("c1"), PaymentID: "p", Amount: eur("24.90")})
	<-died
	if err := <-ended; err == nil {
		t.Error("the instance that lost its store ended without an error")
	}
	if p, _ := w.psp.Payment("p"); p.Captures != 1 {
		t.Fatalf("the PSP has %+v", p)
	}
	if got := w.history(); strings.HasSuffix(got, "PaymentCaptured") {
		t.Fatalf("the crash came too late: %s", got)
	}

	w.start(payment.Config{Lease: time.Second})
	servicetest.As[events.PaymentCaptured](t, w.await("c1"))
	got := w.history()
	if got != "PaymentInitiated AuthorizationAttempted PaymentAuthorized CaptureAttempted PaymentCaptured" {
		t.Errorf("the history is %s", got)
	}
	if p, _ := w.psp.Payment("p"); p.Captures != 1 {
		t.Errorf("the PSP has %+v", p)
	}
}
