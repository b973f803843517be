package payment_test

import (
	"context"
	"errors"
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
		cfg.PSP.Timeout = time.Second
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

func sign(body string) string { return partners.Sign(secret, []byte(body), time.Now()) }

func TestWebhooksAreStoredOnce(t *testing.T) {
	w := newWorld(t)
	w.start(payment.Config{})
	servicetest.As[events.PaymentAuthorized](t, w.authorize("a1", "card-ok"))
	servicetest.As[events.PaymentCaptured](t, w.capture("c1"))
	before := w.history()

	body := `{"id":"evt-1","type":"payment.disputed","payment":{"reference":"p","status":"captured","captured":{"amount":"24.90","currency":"EUR"}}}`
	for range 3 {
		if status := servicetest.Post(t, w.hooks, body, "Webhook-Signature", sign(body)); status != http.StatusNoContent {
			t.Fatalf("answered %d", status)
		}
	}
	disputed := before + " PaymentDisputed"
	if got := w.history(); got != disputed {
		t.Errorf("the history is %s", got)
	}
	type webhook struct {
		signature, body string
		status          int
	}
	told := func(id, fields string, status int) webhook {
		body := `{"id":"` + id + `","type":"payment.captured","payment":{"reference":"p","status":"captured",` + fields + `}}`
		return webhook{sign(body), body, status}
	}
	news := func(amounts string, status int) webhook { return told("evt-2", amounts, status) }
	for name, c := range map[string]webhook{
		"no signature":                       {"", body, 401},
		"another secret":                     {partners.Sign([]byte("guess"), []byte(body), time.Now()), body, 401},
		"another body":                       {sign(body), body + " ", 401},
		"too old":                            {partners.Sign(secret, []byte(body), time.Now().Add(-6*time.Minute)), body, 401},
		"from the future":                    {partners.Sign(secret, []byte(body), time.Now().Add(6*time.Minute)), body, 401},
		"not JSON":                           {sign("{"), "{", 400},
		"more than was to be paid":           news(`"captured":{"amount":"24.91","currency":"EUR"}`, 422),
		"another amount authorised":          news(`"authorised":{"amount":"24.89","currency":"EUR"}`, 422),
		"another currency":                   news(`"captured":{"amount":"24.90","currency":"USD"}`, 422),
		"less than nothing":                  news(`"refunded":{"amount":"-1.00","currency":"EUR"}`, 422),
		"too many decimals":                  news(`"captured":{"amount":"24.900","currency":"EUR"}`, 400),
		"an amount out of range":             news(`"captured":{"amount":"99999999999999999999","currency":"EUR"}`, 400),
		"an amount that is a number":         news(`"captured":{"amount":24.90,"currency":"EUR"}`, 400),
		"a currency that is none":            news(`"captured":{"amount":"24.90","currency":"EURO"}`, 400),
		"an authorisation without an amount": news(`"authorisation_id":"auth-2"`, 400),
		"a capture without an amount":        news(`"capture_id":"cap-2"`, 400),
		"a refund without an amount":         news(`"refunds":[{"refund_id":"r"}]`, 400),
		"a refund without an id":             news(`"refunds":[{"amount":{"amount":"1.00","currency":"EUR"}}]`, 400),
		"refunds above the capture": news(`"refunds":[{"refund_id":"r","amount":{"amount":"24.90","currency":"EUR"}},
			{"refund_id":"s","amount":{"amount":"0.01","currency":"EUR"}}]`, 422),
		"an id without end":            told(strings.Repeat("x", 201), `"authorisation_id":""`, 400),
		"an id that cannot be printed": told(`evt\n`, `"authorisation_id":""`, 400),
		"no reference":                 {sign("{}"), "{}", 400},
		"not ours": {sign(`{"id":"e","payment":{"reference":"q"}}`),
			`{"id":"e","payment":{"reference":"q"}}`, 404},
	} {
		if status := servicetest.Post(t, w.hooks, c.body, "Webhook-Signature", c.signature); status != c.status {
			t.Errorf("%s: answered %d, not %d", name, status, c.status)
		}
	}
	if got := w.history(); got != disputed {
		t.Errorf("webhooks that were refused made the history %s", got)
	}
}

// garbled is stored as a request, and is none that can be decoded.
type garbled struct {
	Amount string `json:"amount"`
}

func (garbled) EventType() string { return "AuthorizationRequested" }

// A request that cannot be read sets its order aside. An operator may try again, or give
// the request up, with a reason and a name; what came after it is then done, in order.
func TestAnOperatorDecidesAboutWhatIsParked(t *testing.T) {
	w := newWorld(t)
	env := w.Env("payment")
	w.Run(w.service(env, payment.Config{}).Run)
	w.Ready(env)
	_, err := w.Store.Append(t.Context(), esjs.StreamID{Category: events.CategoryFulfilment, Key: "o"}, esjs.Any(), garbled{Amount: "much"})
	w.Check(err)
	w.request(events.AuthorizationRequested{Request: req("a1"), PaymentID: "p", Amount: eur("24.90"), MethodRef: "card-ok"})
	parked := func(since time.Time, count int) (found esjs.Parked) {
		t.Helper()
		w.Until("the order is set aside", func() bool {
			all, err := esjs.Subscriptions(t.Context(), w.Store, payment.BucketSubscriptions)
			w.Check(err)
			for _, s := range all {
				for _, p := range s.Parked {
					if s.Name == "payment" && p.Since.After(since) && p.Count == count && !p.Released {
						found = p
					}
				}
			}
			return found.Key != ""
		})
		return found
	}
	decide := func(verb, body, actor string) string {
		t.Helper()
		_, err := service.Client{Conn: w.NC}.Send(t.Context(), service.Command{
			Category: "subscription.payment", Key: "payment", Verb: verb, Body: []byte(body), Actor: actor,
		})
		var p *service.Problem
		if err != nil && !errors.As(err, &p) {
			t.Fatal(err)
		}
		if p != nil {
			return p.Code
		}
		return ""
	}
	first := parked(time.Time{}, 2)
	if first.Key != "fulfilment/o" || !strings.Contains(first.Reason, "AuthorizationRequested") {
		t.Errorf("parked is %+v", first)
	}
	drop := fmt.Sprintf(`{"key":"fulfilment/o","from":%q,"reason":"it was never meant"}`, first.From)
	for _, refused := range []struct{ verb, body, actor, code string }{
		{"release", `{"key":"fulfilment/o"}`, "alice", "field_required"},
		{"release", `{"key":"fulfilment/o","reason":"x"}`, "", "actor_required"},
		{"release", `{"key":"fulfilment/other","reason":"x"}`, "alice", "not_found"},
		{"drop", `{"key":"fulfilment/o","reason":"x"}`, "alice", "field_required"},
		{"drop", `{"key":"fulfilment/o","from":"somewhere","reason":"x"}`, "alice", "bad_request"},
		{"drop", `{"key":"fulfilment/o","from":"0-1000","reason":"x"}`, "alice", "another_waits"},
		{"drop", drop, "", "actor_required"},
	} {
		if code := decide(refused.verb, refused.body, refused.actor); code != refused.code {
			t.Errorf("%s %s by %q is answered %q, not %s", refused.verb, refused.body, refused.actor, code, refused.code)
		}
	}
	if code := decide("release", `{"key":"fulfilment/o","reason":"it may work now"}`, "alice"); code != "" {
		t.Fatalf("the release is refused with %s", code)
	}
	if again := parked(first.Since, 2); again.From != first.From {
		t.Errorf("released before the repair, it waits at %s, not at %s", again.From, first.From)
	}
	if code := decide("drop", drop, "alice"); code != "" {
		t.Fatalf("the drop is refused with %s", code)
	}
	servicetest.As[events.PaymentAuthorized](t, w.await("a1"))
}
