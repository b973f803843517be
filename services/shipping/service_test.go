package shipping_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/partners"
	"github.com/b144f99b/orderflow/services/shipping"
)

// patience bounds every wait.
const patience = 30 * time.Second

var secret = []byte("shared")

// world is a store, a carrier, a shipping service, and what is stored of shipments.
type world struct {
	t       *testing.T
	store   *esjs.Store
	carrier *partners.Server
	url     string // the carrier's
	hooks   string // the service's
	seen    chan esjs.Recorded[events.Event]
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	server := esjstest.Server(t)
	w := &world{t: t, store: server.Store(t), seen: make(chan esjs.Recorded[events.Event], 1000)}
	for _, bucket := range []string{shipping.BucketSnapshots, shipping.BucketSubscriptions} {
		if err := esjs.ProvisionBucket(ctx, server.Dial(), bucket, 1); err != nil {
			t.Fatal(err)
		}
	}
	var running sync.WaitGroup
	run := func(name string, part func(context.Context) error) {
		running.Go(func() {
			if err := part(ctx); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	t.Cleanup(func() { cancel(); running.Wait() })

	// The two know each other's address: the listeners come first.
	own, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.url = "http://" + own.Addr().String()
	hooks, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.hooks = "http://" + hooks.Addr().String()
	run("shipping", shipping.New(&service.Env{
		Name: "shipping", Dial: server.Dial(), Store: w.store, Log: zerolog.Nop(),
		Metrics: service.NewMetrics(), Health: service.NewHealth(),
	}, shipping.Config{
		Carrier:  service.PartnerConfig{URL: w.url + "/carrier/v1", Timeout: 200 * time.Millisecond},
		Retry:    10 * time.Millisecond,
		Webhooks: service.WebhookConfig{Listener: hooks, Secret: secret},
	}).Run)
	w.carrier, err = partners.New(partners.Config{
		Listener: own, Dir: t.TempDir(), CarrierWebhookURL: w.hooks, WebhookSecret: secret,
		Retry: time.Millisecond, Hang: patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	run("partners", w.carrier.Run)
	run("follow", func(ctx context.Context) error {
		return esjs.Subscribe(ctx, w.store, esjs.SubscriptionConfig[events.Event]{
			Name: "test", Codec: codec(t), Query: esjs.Query{Categories: []string{events.CategoryShipment}}, Workers: 1,
		}, func(_ context.Context, e esjs.Recorded[events.Event]) error {
			w.seen <- e
			return nil
		})
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

// request publishes what fulfilment would.
func (w *world) request(e events.Event) {
	w.t.Helper()
	if _, err := w.store.Append(w.t.Context(), esjs.StreamID{Category: events.CategoryFulfilment, Key: "o"}, esjs.Any(), e); err != nil {
		w.t.Fatal(err)
	}
}

func req(id string) events.Request { return events.Request{OrderID: "o", RequestID: id, Attempt: 1} }

func (w *world) book(id, country, address string) events.Event {
	w.t.Helper()
	w.request(events.ShipmentBookingRequested{
		Request: req(id), ShipmentID: "s", AddressRef: address, Country: country, Lines: []events.StockLine{{SKU: "beans", Quantity: 2}},
	})
	return w.await(id)
}

// await reads what is stored of shipments until the answer to a request.
func (w *world) await(requestID string) events.Event {
	w.t.Helper()
	return w.find(func(e events.Event) bool {
		return strings.Contains(fmt.Sprintf("%+v", e), "RequestID:"+requestID+" ")
	})
}

func (w *world) find(match func(events.Event) bool) events.Event {
	w.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case e := <-w.seen:
			if e.Metadata.CorrelationID != "o" {
				w.t.Errorf("%T has the correlation %q", e.Event, e.Metadata.CorrelationID)
			}
			if match(e.Event) {
				return e.Event
			}
		case <-deadline:
			w.t.Fatalf("not stored within %s", patience)
		}
	}
}

func want[T events.Event](t *testing.T, e events.Event) T {
	t.Helper()
	typed, ok := e.(T)
	if !ok {
		t.Fatalf("answered with %T%+v, not with %T", e, e, typed)
	}
	return typed
}

func (w *world) tell(path string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.url+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusAccepted {
		w.t.Fatalf("%s answered %d", path, answer.StatusCode)
	}
}

func TestAShipmentIsBookedDispatchedAndDelivered(t *testing.T) {
	w := newWorld(t)
	b := want[events.ShipmentBooked](t, w.book("b1", "DE", "addr-1"))
	if b.Tracking == "" || b.Carrier == "" || b.Cost.Sign() <= 0 || b.ETA.IsZero() {
		t.Errorf("booked %+v", b)
	}
	w.request(events.DispatchRequested{Request: req("d1"), ShipmentID: "s"})
	if d := want[events.ShipmentDispatched](t, w.await("d1")); len(d.Tracking) != 1 || d.Tracking[0] != b.Tracking || d.CarrierEventID == "" {
		t.Errorf("dispatched %+v, not by the webhook of %s", d, b.Tracking)
	}
	w.tell("/admin/shipments/s/delivered")
	w.find(func(e events.Event) bool { _, ok := e.(events.ShipmentDelivered); return ok })
	w.request(events.ShipmentCancellationRequested{Request: req("x1"), ShipmentID: "s", Cause: "late"})
	if r := want[events.ShipmentCancellationRefused](t, w.await("x1")); r.Reason != "goods_left" {
		t.Errorf("refused %+v", r)
	}
}

func TestNobodyDeliversToXX(t *testing.T) {
	w := newWorld(t)
	if f := want[events.ShipmentBookingFailed](t, w.book("b1", "XX", "addr-1")); f.Code != "no_carrier" || f.Transient {
		t.Errorf("failed %+v", f)
	}
}

func TestABookingWhoseAnswerWasLostIsFoundAgain(t *testing.T) {
	for _, address := range []string{"addr-timeout", "addr-5xx"} {
		t.Run(address, func(t *testing.T) {
			w := newWorld(t)
			if f := want[events.ShipmentBookingFailed](t, w.book("b1", "DE", address)); !f.Transient {
				t.Errorf("failed %+v", f)
			}
			want[events.ShipmentBooked](t, w.book("b2", "DE", address))
			if s, _ := w.carrier.Shipment("s"); s.Bookings != 1 {
				t.Errorf("the carrier has %+v", s)
			}
		})
	}
}

func TestACancellationInsteadOfTheBookingStopsIt(t *testing.T) {
	w := newWorld(t)
	w.request(events.ShipmentCancellationRequested{Request: req("x1"), ShipmentID: "s", Cause: "customer"})
	if v := want[events.ShipmentVoided](t, w.await("x1")); v.Cause != "customer" {
		t.Errorf("voided %+v", v)
	}
	if f := want[events.ShipmentBookingFailed](t, w.book("b1", "DE", "addr-1")); f.Code != "voided" || f.Transient {
		t.Errorf("failed %+v", f)
	}
	if s, _ := w.carrier.Shipment("s"); s.Bookings != 0 {
		t.Errorf("the carrier has %+v", s)
	}
}

func TestABookingWhoseAnswerWasLostIsCancelled(t *testing.T) {
	w := newWorld(t)
	want[events.ShipmentBookingFailed](t, w.book("b1", "DE", "addr-timeout"))
	w.request(events.ShipmentCancellationRequested{Request: req("x1"), ShipmentID: "s", Cause: "carrier_timeout"})
	want[events.ShipmentCancelled](t, w.await("x1"))
	if s, _ := w.carrier.Shipment("s"); s.Status != "cancelled" {
		t.Errorf("the carrier has %+v", s)
	}
}

func TestADispatchIsRepeatedUntilTheCarrierAnswers(t *testing.T) {
	w := newWorld(t)
	want[events.ShipmentBooked](t, w.book("b1", "DE", "addr-1"))
	if err := w.carrier.Inject(partners.Fault{Partner: "carrier", Op: "dispatch", Kind: partners.KindUnavailable, Next: 1}); err != nil {
		t.Fatal(err)
	}
	w.request(events.DispatchRequested{Request: req("d1"), ShipmentID: "s"})
	want[events.ShipmentDispatched](t, w.await("d1"))
	if s, _ := w.carrier.Shipment("s"); s.Dispatches != 1 {
		t.Errorf("the carrier has %+v", s)
	}
}

func TestALostParcelIsToldAndRebooked(t *testing.T) {
	w := newWorld(t)
	want[events.ShipmentBooked](t, w.book("b1", "DE", "addr-lost"))
	w.request(events.DispatchRequested{Request: req("d1"), ShipmentID: "s"})
	w.find(func(e events.Event) bool { _, ok := e.(events.ShipmentLost); return ok })
	w.request(events.ShipmentRebookRequested{
		Request: req("b2"), ShipmentID: "s-2", Replaces: "s", AddressRef: "addr-1", Country: "DE", Lines: []events.StockLine{{SKU: "beans", Quantity: 2}},
	})
	want[events.ShipmentBooked](t, w.await("b2"))
}

func TestWebhooksThatAreRepeatedOrForgedChangeNothing(t *testing.T) {
	w := newWorld(t)
	if err := w.carrier.Inject(partners.Fault{Partner: "webhook", Kind: partners.KindDuplicate, Next: 1}); err != nil {
		t.Fatal(err)
	}
	want[events.ShipmentBooked](t, w.book("b1", "DE", "addr-1"))
	w.request(events.DispatchRequested{Request: req("d1"), ShipmentID: "s"})
	want[events.ShipmentDispatched](t, w.await("d1"))
	forged := `{"id":"e","type":"shipment.lost","shipment":{"reference":"s","status":"lost"}}`
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.hooks, strings.NewReader(forged))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Webhook-Signature", partners.Sign([]byte("guess"), []byte(forged), time.Now()))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("a forged webhook was answered %d", answer.StatusCode)
	}
	// What follows proves that nothing was stored in between.
	w.tell("/admin/shipments/s/delivered")
	e := w.find(func(events.Event) bool { return true })
	want[events.ShipmentDelivered](t, e)
}
