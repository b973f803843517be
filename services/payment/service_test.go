package payment_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/partners"
	"github.com/b144f99b/orderflow/services/payment"
)

// patience bounds every wait.
const patience = 30 * time.Second

var secret = []byte("shared")

// world is a store, a PSP and what is stored of payments.
type world struct {
	t      *testing.T
	server *esjstest.Deployment
	store  *esjs.Store // the test's own
	psp    *partners.Server
	pspURL string // may be set to a proxy's
	seen   chan esjs.Recorded[events.Event]
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &world{t: t, server: esjstest.Server(t), seen: make(chan esjs.Recorded[events.Event], 1000)}
	w.store = w.server.Store(t)
	for _, bucket := range []string{payment.BucketSnapshots, payment.BucketSubscriptions} {
		if err := esjs.ProvisionBucket(ctx, w.server.Dial(), bucket, 1); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if w.psp, err = partners.New(partners.Config{Dir: t.TempDir(), Hang: patience}); err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(w.psp)
	w.pspURL = h.URL
	follow := sync.WaitGroup{}
	follow.Go(func() {
		err := esjs.Subscribe(ctx, w.store, esjs.SubscriptionConfig[events.Event]{
			Name: "test", Codec: codec(t), Query: esjs.Query{Categories: []string{events.CategoryPayment}}, Workers: 1,
		}, func(_ context.Context, e esjs.Recorded[events.Event]) error {
			w.seen <- e
			return nil
		})
		if err != nil {
			t.Errorf("follow: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		follow.Wait()
		h.CloseClientConnections()
		h.Close()
		if err := w.psp.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func codec(t *testing.T) *esjs.Codec[events.Event] {
	t.Helper()
	types := make([]esjs.EventType[events.Event], 0, len(events.Types))
	for _, typ := range events.Types {
		types = append(types, esjs.EventType[events.Event](typ))
	}
	c, err := esjs.NewCodec(types...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// running is one instance of the service.
type running struct {
	webhooks string // URL
	conns    []*nats.Conn
	mu       sync.Mutex
	cancel   context.CancelFunc
	ended    chan error
}

func (w *world) start(cfg payment.Config) *running {
	w.t.Helper()
	r := &running{ended: make(chan error, 1)}
	dial := func(purpose string) (*nats.Conn, error) {
		nc, err := w.server.Dial()(purpose)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.conns = append(r.conns, nc)
		return nc, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	store, err := esjs.Open(ctx, dial, w.server.Config())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(store.Close)
	env := &service.Env{
		Name: "payment", Dial: dial, Store: store, Log: zerolog.Nop(), Metrics: service.NewMetrics(), Health: service.NewHealth(),
	}
	own, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	r.webhooks = "http://" + own.Addr().String()
	cfg.PSP.URL, cfg.Webhooks = w.pspURL+"/psp/v1", service.WebhookConfig{Listener: own, Secret: secret}
	if cfg.PSP.Timeout == 0 {
		cfg.PSP.Timeout = 200 * time.Millisecond
	}
	s := payment.New(env, cfg)
	go func() { r.ended <- s.Run(ctx) }()
	return r
}

// stop ends an instance cleanly.
func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	if err := <-r.ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// crash cuts an instance off from the store, as a kill -9 does.
func (r *running) crash() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, nc := range r.conns {
		nc.Close()
	}
}

// request publishes what fulfilment would.
func (w *world) request(order string, e events.Event) {
	w.t.Helper()
	if _, err := w.store.Append(w.t.Context(), esjs.StreamID{Category: events.CategoryFulfilment, Key: order}, esjs.Any(), e); err != nil {
		w.t.Fatal(err)
	}
}

// await reads what is stored of payments until the answer to a request.
func (w *world) await(requestID string) events.Event {
	w.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case e := <-w.seen:
			text := fmt.Sprintf("%T%+v", e.Event, e.Event)
			if strings.Contains(text, "RequestID:"+requestID+" ") && !strings.Contains(text, "Attempted") && !strings.Contains(text, "PaymentInitiated") {
				if e.Metadata.CorrelationID == "" {
					w.t.Errorf("%T has no correlation", e.Event)
				}
				return e.Event
			}
		case <-deadline:
			w.t.Fatalf("no answer to %s within %s", requestID, patience)
		}
	}
}

func (w *world) history(paymentID string) []string {
	w.t.Helper()
	var names []string
	for r, err := range w.store.Read(w.t.Context(), esjs.StreamID{Category: events.CategoryPayment, Key: paymentID}, 1, 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		names = append(names, r.Type)
	}
	return names
}

func money(t *testing.T, amount string) events.Money {
	t.Helper()
	m, err := events.ParseMoney(amount, "EUR")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func req(id string) events.Request { return events.Request{OrderID: "o", RequestID: id, Attempt: 1} }

func (w *world) authorize(id, method string) events.Event {
	w.t.Helper()
	w.request("o", events.AuthorizationRequested{Request: req(id), PaymentID: "p", Amount: money(w.t, "24.90"), MethodRef: method})
	return w.await(id)
}

func (w *world) capture(id string) events.Event {
	w.t.Helper()
	w.request("o", events.CaptureRequested{Request: req(id), PaymentID: "p", Amount: money(w.t, "24.90")})
	return w.await(id)
}

func want[T events.Event](t *testing.T, e events.Event) T {
	t.Helper()
	typed, ok := e.(T)
	if !ok {
		t.Fatalf("answered with %T%+v, not with %T", e, e, typed)
	}
	return typed
}

func TestAPaymentIsAuthorisedCapturedAndRefunded(t *testing.T) {
	w := newWorld(t)
	r := w.start(payment.Config{})
	defer r.stop(t)
	if a := want[events.PaymentAuthorized](t, w.authorize("a1", "card-ok")); a.Amount != money(t, "24.90") || a.AuthID == "" || a.ExpiresAt.IsZero() {
		t.Errorf("authorised %+v", a)
	}
	if c := want[events.PaymentCaptured](t, w.capture("c1")); c.Amount != money(t, "24.90") {
		t.Errorf("captured %+v", c)
	}
	w.request("o", events.VoidRequested{Request: req("v1"), PaymentID: "p"})
	if f := want[events.PaymentVoidFailed](t, w.await("v1")); f.Code != "captured" {
		t.Errorf("void: %+v", f)
	}
	w.request("o", events.FulfilmentRefundRequested{Request: req("r1"), PaymentID: "p", RefundID: "rf", Amount: money(t, "24.90")})
	if f := want[events.PaymentRefunded](t, w.await("r1")); f.TotalRefunded != money(t, "24.90") {
		t.Errorf("refunded %+v", f)
	}
	got := strings.Join(w.history("p"), " ")
	if got != "PaymentInitiated AuthorizationAttempted PaymentAuthorized CaptureAttempted PaymentCaptured PaymentVoidFailed RefundAttempted PaymentRefunded" {
		t.Errorf("the history is %s", got)
	}
	if p, _ := w.psp.Payment("p"); p.Captures != 1 || p.Refunded.Amount != "24.90" {
		t.Errorf("the PSP has %+v", p)
	}
}

func TestADeclinedCardIsAnswered(t *testing.T) {
	w := newWorld(t)
	r := w.start(payment.Config{})
	defer r.stop(t)
	if d := want[events.PaymentDeclined](t, w.authorize("a1", "card-soft")); d.Class != events.DeclineSoft || d.Code != "insufficient_funds" {
		t.Errorf("declined %+v", d)
	}
	w.request("o", events.VoidRequested{Request: req("v1"), PaymentID: "p"})
	if v := want[events.PaymentVoided](t, w.await("v1")); !v.NothingHeld {
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
			r := w.start(payment.Config{})
			defer r.stop(t)
			answer := w.authorize("a1", method)
			if op == "authorize" {
				if u := want[events.PaymentOutcomeUnknown](t, answer); u.Op != events.OperationAuthorize || u.Error == "" {
					t.Errorf("unknown %+v", u)
				}
				w.request("o", events.AuthorizationCheckRequested{Request: req("k1"), PaymentID: "p"})
				want[events.PaymentAuthorized](t, w.await("k1"))
				want[events.PaymentCaptured](t, w.capture("c1"))
			} else {
				want[events.PaymentAuthorized](t, answer)
				if u := want[events.PaymentOutcomeUnknown](t, w.capture("c1")); u.Op != events.OperationCapture {
					t.Errorf("unknown %+v", u)
				}
				w.request("o", events.CaptureCheckRequested{Request: req("k1"), PaymentID: "p"})
				want[events.PaymentCaptured](t, w.await("k1"))
			}
			if p, _ := w.psp.Payment("p"); p.Authorisations != 1 || p.Captures != 1 {
				t.Errorf("the PSP has %+v", p)
			}
		})
	}
}

func TestWhatNeverReachedTheProviderIsNotFoundAndAskedForAgain(t *testing.T) {
	w := newWorld(t)
	r := w.start(payment.Config{})
	defer r.stop(t)
	want[events.PaymentOutcomeUnknown](t, w.authorize("a1", "card-lost"))
	w.request("o", events.AuthorizationCheckRequested{Request: req("k1"), PaymentID: "p"})
	if n := want[events.PaymentNotFound](t, w.await("k1")); n.Op != events.OperationAuthorize {
		t.Errorf("not found %+v", n)
	}
	want[events.PaymentAuthorized](t, w.authorize("a2", "card-lost"))
	if p, _ := w.psp.Payment("p"); p.Authorisations != 1 {
		t.Errorf("the PSP has %+v", p)
	}
}

func TestAVoidOfWhatIsUnknownSettlesIt(t *testing.T) {
	w := newWorld(t)
	r := w.start(payment.Config{})
	defer r.stop(t)
	want[events.PaymentOutcomeUnknown](t, w.authorize("a1", "card-timeout"))
	w.request("o", events.VoidRequested{Request: req("v1"), PaymentID: "p"})
	if v := want[events.PaymentVoided](t, w.await("v1")); v.NothingHeld {
		t.Errorf("voided %+v: the PSP held the amount", v)
	}
	if d := want[events.PaymentDeclined](t, w.authorize("a2", "card-timeout")); d.Code != "voided" {
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
	var victim *running
	var once sync.Once
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(response *http.Response) error {
		if strings.HasSuffix(response.Request.URL.Path, "/capture") {
			once.Do(func() { victim.crash(); close(died) })
		}
		return nil
	}
	front := httptest.NewServer(proxy)
	defer front.Close()
	w.pspURL = front.URL

	victim = w.start(payment.Config{PSP: service.PartnerConfig{Timeout: patience}, Lease: time.Second})
	want[events.PaymentAuthorized](t, w.authorize("a1", "card-ok"))
	w.request("o", events.CaptureRequested{Request: req("c1"), PaymentID: "p", Amount: money(t, "24.90")})
	<-died
	if err := <-victim.ended; err == nil {
		t.Error("the instance that lost its store ended without an error")
	}
	if p, _ := w.psp.Payment("p"); p.Captures != 1 {
		t.Fatalf("the PSP has %+v", p)
	}
	if got := strings.Join(w.history("p"), " "); strings.HasSuffix(got, "PaymentCaptured") {
		t.Fatalf("the crash came too late: %s", got)
	}

	r := w.start(payment.Config{Lease: time.Second})
	defer r.stop(t)
	want[events.PaymentCaptured](t, w.await("c1"))
	got := strings.Join(w.history("p"), " ")
	if got != "PaymentInitiated AuthorizationAttempted PaymentAuthorized CaptureAttempted PaymentCaptured" {
		t.Errorf("the history is %s", got)
	}
	if p, _ := w.psp.Payment("p"); p.Captures != 1 {
		t.Errorf("the PSP has %+v", p)
	}
}

// post sends a webhook and returns the status of the answer.
func post(t *testing.T, url, signature, body string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Webhook-Signature", signature)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode
}

func TestWebhooksAreStoredOnce(t *testing.T) {
	w := newWorld(t)
	r := w.start(payment.Config{})
	defer r.stop(t)
	want[events.PaymentAuthorized](t, w.authorize("a1", "card-ok"))
	want[events.PaymentCaptured](t, w.capture("c1"))
	before := len(w.history("p"))

	body := `{"id":"evt-1","type":"payment.disputed","payment":{"reference":"p","status":"captured","captured":{"amount":"24.90","currency":"EUR"}}}`
	for range 3 {
		if status := post(t, r.webhooks, partners.Sign(secret, []byte(body), time.Now()), body); status != http.StatusNoContent {
			t.Fatalf("answered %d", status)
		}
	}
	if got := w.history("p")[before:]; len(got) != 1 || got[0] != "PaymentDisputed" {
		t.Errorf("stored %v", got)
	}
	for name, c := range map[string]struct {
		signature, body string
		status          int
	}{
		"no signature":    {"", body, 401},
		"another secret":  {partners.Sign([]byte("guess"), []byte(body), time.Now()), body, 401},
		"another body":    {partners.Sign(secret, []byte(body), time.Now()), body + " ", 401},
		"too old":         {partners.Sign(secret, []byte(body), time.Now().Add(-6*time.Minute)), body, 401},
		"from the future": {partners.Sign(secret, []byte(body), time.Now().Add(6*time.Minute)), body, 401},
		"not JSON":        {partners.Sign(secret, []byte("{"), time.Now()), "{", 400},
		"no reference":    {partners.Sign(secret, []byte("{}"), time.Now()), "{}", 400},
		"not ours": {partners.Sign(secret, []byte(`{"id":"e","payment":{"reference":"q"}}`), time.Now()),
			`{"id":"e","payment":{"reference":"q"}}`, 404},
	} {
		if status := post(t, r.webhooks, c.signature, c.body); status != c.status {
			t.Errorf("%s: answered %d, not %d", name, status, c.status)
		}
	}
	if got := len(w.history("p")); got != before+1 {
		t.Errorf("%d events were stored by webhooks that were refused", got-before-1)
	}
}
