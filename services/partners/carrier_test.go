package partners_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/b144f99b/orderflow/services/partners"
)

func booking(country, address string) string {
	return fmt.Sprintf(`{"address_ref":%q,"country":%q,"items":[{"sku":"beans","quantity":2}]}`, address, country)
}

func TestABookingIsIdempotentByReference(t *testing.T) {
	s, c := start(t, partners.Config{})
	_, first := c.post("/carrier/v1/shipments/s/book", "k1", booking("DE", "addr-1"))
	_, again := c.post("/carrier/v1/shipments/s/book", "k2", booking("DE", "addr-1"))
	if first.Shipment.Tracking == "" || first.Shipment.Tracking != again.Shipment.Tracking {
		t.Errorf("booked twice: %+v and %+v", first.Shipment, again.Shipment)
	}
	if shipment, _ := s.Shipment("s"); shipment.Bookings != 1 {
		t.Errorf("%d bookings", shipment.Bookings)
	}
	if status, b := c.post("/carrier/v1/shipments/s/cancel", "k3", ""); status != 200 || b.Shipment.Status != "cancelled" || b.Shipment.NothingBooked {
		t.Errorf("cancel: %d %+v", status, b)
	}
	if status, b := c.post("/carrier/v1/shipments/s/dispatch", "k4", ""); status != 422 || b.Error.Code != "cancelled" {
		t.Errorf("dispatch after cancel: %d %+v", status, b)
	}
}

func TestACancelledReferenceIsNeverBooked(t *testing.T) {
	_, c := start(t, partners.Config{})
	if status, b := c.post("/carrier/v1/shipments/s/cancel", "k1", ""); status != 200 || !b.Shipment.NothingBooked {
		t.Errorf("cancel of nothing: %d %+v", status, b)
	}
	if status, b := c.post("/carrier/v1/shipments/s/book", "k2", booking("DE", "addr-1")); status != 422 || b.Error.Code != "cancelled" {
		t.Errorf("book after cancel: %d %+v", status, b)
	}
}

func TestACarrierRefusesByScript(t *testing.T) {
	_, c := start(t, partners.Config{})
	if status, b := c.post("/carrier/v1/shipments/x/book", "k1", booking("XX", "addr-1")); status != 422 || b.Error.Code != "no_carrier" {
		t.Errorf("country XX: %d %+v", status, b)
	}
	if status, b := c.post("/carrier/v1/shipments/y/book", "k2", booking("DE", "addr-unknown")); status != 422 || b.Error.Code != "address_unknown" {
		t.Errorf("addr-unknown: %d %+v", status, b)
	}
	if status, _ := c.post("/carrier/v1/shipments/x/dispatch", "k3", ""); status != 404 {
		t.Errorf("dispatch of nothing was answered %d", status)
	}
}

var secret = []byte("shared")

// receiver takes webhooks and checks their signatures.
type receiver struct {
	url  string
	seen chan partners.Webhook
}

// receive starts one that first answers with the statuses, and then 204.
func receive(t *testing.T, statuses ...int) *receiver {
	r := &receiver{seen: make(chan partners.Webhook, 100)}
	answers := make(chan int, len(statuses))
	for _, status := range statuses {
		answers <- status
	}
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		data, err := io.ReadAll(request.Body)
		if err != nil {
			t.Error(err)
		}
		var at int64
		header := request.Header.Get("Webhook-Signature")
		if _, err := fmt.Sscanf(header, "t=%d,", &at); err != nil || header != partners.Sign(secret, data, time.Unix(at, 0)) {
			t.Errorf("the signature %q does not fit: %v", header, err)
		}
		var hook partners.Webhook
		if err := json.Unmarshal(data, &hook); err != nil {
			t.Errorf("%s: %v", data, err)
		}
		r.seen <- hook
		select {
		case status := <-answers:
			w.WriteHeader(status)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	t.Cleanup(h.Close)
	r.url = h.URL
	return r
}

func (r *receiver) next(t *testing.T) partners.Webhook {
	t.Helper()
	select {
	case hook := <-r.seen:
		return hook
	case <-time.After(10 * time.Second):
		t.Fatal("no webhook within 10 s")
		return partners.Webhook{}
	}
}

// run runs the whole program until the returned stop, which waits for its end.
func run(t *testing.T, cfg partners.Config) (*partners.Server, client, func()) {
	t.Helper()
	cfg.WebhookSecret, cfg.Retry = secret, time.Millisecond
	s, err := partners.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	addr, err := s.Addr(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stop := func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	return s, client{t, "http://" + addr}, stop
}

func TestADispatchIsToldByWebhookUntilItIsAccepted(t *testing.T) {
	r := receive(t, 500, 404)
	_, c, stop := run(t, partners.Config{CarrierWebhookURL: r.url})
	defer stop()
	c.post("/carrier/v1/shipments/s/book", "k1", booking("DE", "addr-1"))
	status, b := c.post("/carrier/v1/shipments/s/dispatch", "k2", `{"request_reference":"req-1"}`)
	if status != 202 || b.Shipment.Status != "booked" {
		t.Errorf("dispatch was answered %d %+v", status, b)
	}
	first := r.next(t)
	if first.Type != "shipment.dispatched" || first.RequestReference != "req-1" || first.Shipment == nil || first.Shipment.Status != "dispatched" {
		t.Errorf("told %+v", first)
	}
	if second, third := r.next(t), r.next(t); second.ID != first.ID || third.ID != first.ID {
		t.Errorf("repeated with other ids: %s, %s, %s", first.ID, second.ID, third.ID)
	}
	if status, b := c.post("/carrier/v1/shipments/s/cancel", "k3", ""); status != 422 || b.Error.Code != "goods_left" {
		t.Errorf("cancel after dispatch: %d %+v", status, b)
	}
}

func TestAWebhookThatNobodyAcceptedIsSentAfterARestart(t *testing.T) {
	dir := t.TempDir()
	gone := httptest.NewServer(http.NotFoundHandler())
	_, c, stop := run(t, partners.Config{Dir: dir, CarrierWebhookURL: gone.URL})
	c.post("/carrier/v1/shipments/s/book", "k1", booking("DE", "addr-1"))
	c.post("/carrier/v1/shipments/s/dispatch", "k2", "")
	stop()
	gone.Close()

	r := receive(t)
	_, _, stop = run(t, partners.Config{Dir: dir, CarrierWebhookURL: r.url})
	hook := r.next(t)
	if hook.Type != "shipment.dispatched" || hook.Shipment.Reference != "s" {
		t.Errorf("told %+v", hook)
	}
	stop()

	// Once it was accepted it is not sent again: the next news are other ones.
	_, c, stop = run(t, partners.Config{Dir: dir, CarrierWebhookURL: r.url})
	defer stop()
	c.post("/admin/shipments/s/delivered", "", "")
	if hook := r.next(t); hook.Type != "shipment.delivered" {
		t.Errorf("told %+v", hook)
	}
}

func TestWebhooksAreDuplicatedAndOvertakenByScript(t *testing.T) {
	r := receive(t)
	s, c, stop := run(t, partners.Config{CarrierWebhookURL: r.url})
	defer stop()
	if err := s.Inject(
		partners.Fault{Partner: "webhook", Op: "shipment.dispatched", Kind: partners.KindDelay, DelayMS: 300, Next: 1},
		partners.Fault{Partner: "webhook", Op: "shipment.lost", Kind: partners.KindDuplicate, Next: 1},
	); err != nil {
		t.Fatal(err)
	}
	c.post("/carrier/v1/shipments/s/book", "k1", booking("DE", "addr-lost"))
	c.post("/carrier/v1/shipments/s/dispatch", "k2", "")
	var got []string
	for range 3 {
		got = append(got, r.next(t).Type)
	}
	if want := "[shipment.lost shipment.lost shipment.dispatched]"; fmt.Sprint(got) != want {
		t.Errorf("told %v, not %v", got, want)
	}
}

func TestAManualAddressWaitsForTheOperator(t *testing.T) {
	r := receive(t)
	_, c, stop := run(t, partners.Config{CarrierWebhookURL: r.url})
	defer stop()
	c.post("/carrier/v1/shipments/s/book", "k1", booking("DE", "addr-manual"))
	c.post("/carrier/v1/shipments/s/dispatch", "k2", "")
	if status, b := c.post("/admin/shipments/s/delivered", "", ""); status != 422 || b.Error.Code != "not_possible" {
		t.Errorf("delivered before dispatched: %d %+v", status, b)
	}
	if status, _ := c.post("/admin/shipments/s/dispatched", "", ""); status != 202 {
		t.Errorf("answered %d", status)
	}
	if hook := r.next(t); hook.Type != "shipment.dispatched" {
		t.Errorf("told %+v", hook)
	}
}

// A PSP may do, and tell, what it had refused.
func TestThePSPChangesItsMind(t *testing.T) {
	r := receive(t)
	_, c, stop := run(t, partners.Config{PSPWebhookURL: r.url})
	defer stop()
	for news, want := range map[string]partners.Payment{
		"authorised": {Status: "authorised", Authorisations: 1},
		"captured":   {Status: "captured", Authorisations: 1, Captures: 1},
	} {
		c.post("/psp/v1/payments/"+news+"/authorise", news, authorise("card-soft"))
		if hook := r.next(t); hook.Type != "payment.declined" {
			t.Errorf("told %+v", hook)
		}
		path := "/admin/payments/" + news + "/"
		for body, status := range map[string]int{`{"amount":{"amount":"0","currency":"EUR"}}`: 400, "{": 400} {
			if got, _ := c.post(path+news, "", body); got != status {
				t.Errorf("%s was answered %d", body, got)
			}
		}
		if status, _ := c.post(path+"voided", "", eur10); status != 422 {
			t.Errorf("what does not happen was answered %d", status)
		}
		if status, _ := c.post(path+news, "", eur10); status != 202 {
			t.Errorf("answered %d", status)
		}
		hook := r.next(t)
		if p := hook.Payment; hook.Type != "payment."+news || p.Status != want.Status || p.Authorised.Amount != "10.00" ||
			p.Authorisations != want.Authorisations || p.Captures != want.Captures {
			t.Errorf("told %+v", hook.Payment)
		}
		if status, _ := c.post(path+news, "", eur10); status != 422 {
			t.Errorf("the second time it was answered %d", status)
		}
	}
}

func TestThePSPTellsItsNews(t *testing.T) {
	r := receive(t)
	_, c, stop := run(t, partners.Config{PSPWebhookURL: r.url})
	defer stop()
	c.post("/psp/v1/payments/p/authorise", "a", authorise("card-ok"))
	if hook := r.next(t); hook.Type != "payment.authorised" || hook.Payment.Reference != "p" {
		t.Errorf("told %+v", hook)
	}
	if status, _ := c.post("/admin/payments/p/disputed", "", ""); status != 422 {
		t.Errorf("a dispute of nothing was answered %d", status)
	}
	if status, _ := c.post("/admin/payments/p/refunded", "", eur10); status != 422 {
		t.Errorf("money of a payment that has none, given back, was answered %d", status)
	}
	c.post("/psp/v1/payments/p/capture", "c", eur10)
	if hook := r.next(t); hook.Type != "payment.captured" {
		t.Errorf("told %+v", hook)
	}
	c.post("/admin/payments/p/disputed", "", "")
	if hook := r.next(t); hook.Type != "payment.disputed" || hook.Payment.Captures != 1 {
		t.Errorf("told %+v", hook)
	}
	// Somebody gives money back that nobody asked for, and not more than there is.
	for _, want := range []int{202, 422} {
		if status, _ := c.post("/admin/payments/p/refunded", "", eur10); status != want {
			t.Errorf("10.00 given back by hand were answered %d, want %d", status, want)
		}
	}
	if hook := r.next(t); hook.Type != "payment.refunded" || hook.Payment.Status != "refunded" || len(hook.Payment.Refunds) != 1 || !strings.HasPrefix(hook.Payment.Refunds[0].RefundID, "by_hand_") {
		t.Errorf("told %+v", hook)
	}
}
