package shipping_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/partners"
	"github.com/b144f99b/orderflow/services/shipping"
)

var secret = []byte("shared")

// world is a house with a carrier, a shipping service and what is stored of
// shipments.
type world struct {
	*servicetest.House[events.Event]
	carrier *partners.Server
	url     string // the carrier's
	hooks   string // the service's
	seen    *servicetest.Feed[events.Event]
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldBehind(t, func(h http.Handler) http.Handler { return h })
}

// newWorldBehind is one whose carrier is reached through front.
func newWorldBehind(t *testing.T, front func(http.Handler) http.Handler) *world {
	t.Helper()
	w := &world{House: servicetest.New(t, events.Types, shipping.BucketSnapshots, shipping.BucketSubscriptions)}
	// The two know each other's address: the listeners come first.
	theirs, url := servicetest.Listen(t)
	ours, hooks := servicetest.Listen(t)
	w.url, w.hooks = url, hooks
	var err error
	w.carrier, err = partners.New(partners.Config{
		Listener: theirs, Dir: t.TempDir(), CarrierWebhookURL: hooks, WebhookSecret: secret,
		Retry: time.Millisecond, Hang: servicetest.Patience,
	})
	w.Check(err)
	w.Run(w.carrier.Run)
	seen := httptest.NewServer(front(w.carrier))
	t.Cleanup(seen.Close)
	w.Run(shipping.New(w.Env("shipping"), shipping.Config{
		Carrier:  service.PartnerConfig{URL: seen.URL + "/carrier/v1", Timeout: 5 * time.Second},
		Retry:    10 * time.Millisecond,
		Webhooks: service.WebhookConfig{Listener: ours, Secret: secret},
	}).Run)
	w.seen = w.Follow(esjs.Query{Categories: []string{events.CategoryShipment}})
	return w
}

// request publishes what fulfilment would.
func (w *world) request(e events.Event) {
	w.T.Helper()
	w.Append(events.CategoryFulfilment, "o", e)
}

func req(id string) events.Request { return events.Request{OrderID: "o", RequestID: id, Attempt: 1} }

func (w *world) book(id, country, address string) events.Event {
	w.T.Helper()
	w.request(events.ShipmentBookingRequested{
		Request: req(id), ShipmentID: "s", AddressRef: address, Country: country, Lines: []events.StockLine{{SKU: "beans", Quantity: 2}},
	})
	return w.await(id)
}

// await reads what is stored of shipments until the answer to a request.
func (w *world) await(requestID string) events.Event {
	w.T.Helper()
	return w.find("an answer to "+requestID, func(e events.Event) bool {
		return strings.Contains(fmt.Sprintf("%+v", e), "RequestID:"+requestID+" ")
	})
}

func (w *world) find(what string, match func(events.Event) bool) events.Event {
	w.T.Helper()
	return w.seen.Find(what, func(e esjs.Recorded[events.Event]) bool {
		if e.Metadata.CorrelationID != "o" {
			w.T.Errorf("%T has the correlation %q", e.Event, e.Metadata.CorrelationID)
		}
		return match(e.Event)
	}).Event
}

// deliver lets the parcel arrive.
func (w *world) deliver() {
	w.T.Helper()
	if status := servicetest.Post(w.T, w.url+"/admin/shipments/s/delivered", ""); status != http.StatusAccepted {
		w.T.Fatalf("the carrier answered %d", status)
	}
}

func TestAShipmentIsBookedDispatchedAndDelivered(t *testing.T) {
	w := newWorld(t)
	b := servicetest.As[events.ShipmentBooked](t, w.book("b1", "DE", "addr-1"))
	if b.Tracking == "" || b.Carrier == "" || b.Cost.Sign() <= 0 || b.ETA.IsZero() {
		t.Errorf("booked %+v", b)
	}
	w.request(events.DispatchRequested{Request: req("d1"), ShipmentID: "s"})
	if d := servicetest.As[events.ShipmentDispatched](t, w.await("d1")); len(d.Tracking) != 1 || d.Tracking[0] != b.Tracking || d.CarrierEventID == "" {
		t.Errorf("dispatched %+v, not by the webhook of %s", d, b.Tracking)
	}
	w.deliver()
	w.find("the delivery", func(e events.Event) bool { _, ok := e.(events.ShipmentDelivered); return ok })
	w.request(events.ShipmentCancellationRequested{Request: req("x1"), ShipmentID: "s", Cause: "late"})
	if r := servicetest.As[events.ShipmentCancellationRefused](t, w.await("x1")); r.Reason != "goods_left" {
		t.Errorf("refused %+v", r)
	}
}

func TestNobodyDeliversToXX(t *testing.T) {
	w := newWorld(t)
	if f := servicetest.As[events.ShipmentBookingFailed](t, w.book("b1", "XX", "addr-1")); f.Code != "no_carrier" || f.Transient {
		t.Errorf("failed %+v", f)
	}
}

func TestABookingWhoseAnswerWasLostIsFoundAgain(t *testing.T) {
	for _, address := range []string{"addr-timeout", "addr-5xx"} {
		t.Run(address, func(t *testing.T) {
			w := newWorld(t)
			if f := servicetest.As[events.ShipmentBookingFailed](t, w.book("b1", "DE", address)); !f.Transient {
				t.Errorf("failed %+v", f)
			}
			servicetest.As[events.ShipmentBooked](t, w.book("b2", "DE", address))
			if s, _ := w.carrier.Shipment("s"); s.Bookings != 1 {
				t.Errorf("the carrier has %+v", s)
			}
		})
	}
}

// A carrier that cannot be reached for a moment costs the order's process none of its attempts.
func TestAMomentsOutageIsNotTold(t *testing.T) {
	for _, address := range []string{"addr-timeout", "addr-5xx"} {
		t.Run(address, func(t *testing.T) {
			w := newWorld(t)
			r := req("b1")
			r.Deadline = time.Now().Add(time.Hour)
			w.request(events.ShipmentBookingRequested{Request: r, ShipmentID: "s", AddressRef: address, Country: "DE", Lines: []events.StockLine{{SKU: "beans", Quantity: 2}}})
			servicetest.As[events.ShipmentBooked](t, w.await("b1"))
			if s, _ := w.carrier.Shipment("s"); s.Bookings != 1 {
				t.Errorf("the carrier has %+v", s)
			}
		})
	}
}

func TestACancellationInsteadOfTheBookingStopsIt(t *testing.T) {
	w := newWorld(t)
	w.request(events.ShipmentCancellationRequested{Request: req("x1"), ShipmentID: "s", Cause: "customer"})
	if v := servicetest.As[events.ShipmentVoided](t, w.await("x1")); v.Cause != "customer" {
		t.Errorf("voided %+v", v)
	}
	if f := servicetest.As[events.ShipmentBookingFailed](t, w.book("b1", "DE", "addr-1")); f.Code != "voided" || f.Transient {
		t.Errorf("failed %+v", f)
	}
	if s, _ := w.carrier.Shipment("s"); s.Bookings != 0 {
		t.Errorf("the carrier has %+v", s)
	}
}

func TestABookingWhoseAnswerWasLostIsCancelled(t *testing.T) {
	w := newWorld(t)
	servicetest.As[events.ShipmentBookingFailed](t, w.book("b1", "DE", "addr-timeout"))
	w.request(events.ShipmentCancellationRequested{Request: req("x1"), ShipmentID: "s", Cause: "carrier_timeout"})
	servicetest.As[events.ShipmentCancelled](t, w.await("x1"))
	if s, _ := w.carrier.Shipment("s"); s.Status != "cancelled" {
		t.Errorf("the carrier has %+v", s)
	}
}

func TestADispatchIsRepeatedUntilTheCarrierAnswers(t *testing.T) {
	w := newWorld(t)
	servicetest.As[events.ShipmentBooked](t, w.book("b1", "DE", "addr-1"))
	if err := w.carrier.Inject(partners.Fault{Partner: "carrier", Op: "dispatch", Kind: partners.KindUnavailable, Next: 1}); err != nil {
		t.Fatal(err)
	}
	w.request(events.DispatchRequested{Request: req("d1"), ShipmentID: "s"})
	servicetest.As[events.ShipmentDispatched](t, w.await("d1"))
	if s, _ := w.carrier.Shipment("s"); s.Dispatches != 1 {
		t.Errorf("the carrier has %+v", s)
	}
}

// A carrier that does not understand the request has said nothing of the parcel,
// which another booking would send a second time.
func TestADispatchThatIsNotUnderstoodIsNoCancellation(t *testing.T) {
	var refused atomic.Bool
	w := newWorldBehind(t, func(carrier http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/dispatch") && refused.CompareAndSwap(false, true) {
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprint(w, `{"error":{"code":"bad_request","message":"a field is not known"}}`)
				return
			}
			carrier.ServeHTTP(w, r)
		})
	})
	servicetest.As[events.ShipmentBooked](t, w.book("b1", "DE", "addr-1"))
	w.request(events.DispatchRequested{Request: req("d1"), ShipmentID: "s"})
	servicetest.As[events.ShipmentDispatched](t, w.await("d1"))
	if s, _ := w.carrier.Shipment("s"); s.Dispatches != 1 || !refused.Load() {
		t.Errorf("the carrier has %+v", s)
	}
}

// A no is kept by the carrier for the key that it was given with, and not for the parcel.
func TestADispatchThatWasDeclinedOnceIsAskedAgain(t *testing.T) {
	w := newWorld(t)
	servicetest.As[events.ShipmentBooked](t, w.book("b1", "DE", "addr-1"))
	w.Check(w.carrier.Inject(partners.Fault{Partner: "carrier", Op: "dispatch", Kind: partners.KindDecline, Next: 1}))
	w.request(events.DispatchRequested{Request: req("d1"), ShipmentID: "s"})
	servicetest.As[events.ShipmentDispatched](t, w.await("d1"))
}

func TestACancellationThatWasRefusedOnceIsAskedAnew(t *testing.T) {
	w := newWorld(t)
	servicetest.As[events.ShipmentBooked](t, w.book("b1", "DE", "addr-1"))
	w.Check(w.carrier.Inject(partners.Fault{Partner: "carrier", Op: "cancel", Kind: partners.KindDecline, Next: 1}))
	cancel := func(id string) events.Event {
		t.Helper()
		w.request(events.ShipmentCancellationRequested{Request: req(id), ShipmentID: "s", Cause: "customer"})
		return w.await(id)
	}
	servicetest.As[events.ShipmentCancellationRefused](t, cancel("x1"))
	servicetest.As[events.ShipmentCancelled](t, cancel("x2"))
	if s, _ := w.carrier.Shipment("s"); s.Status != "cancelled" {
		t.Errorf("the carrier has %+v", s)
	}
}

// A carrier that booked a parcel, and for a while does not know it, said nothing about the
// goods: they are neither given up nor sent again with another booking.
func TestABookingThatTheCarrierDoesNotKnowForAWhileIsAskedAboutAgain(t *testing.T) {
	var forgets atomic.Int32
	w := newWorldBehind(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/book") && forgets.Add(-1) >= 0 {
				w.WriteHeader(http.StatusNotFound)
				_, _ = io.WriteString(w, `{"error":{"code":"not_found"}}`) // who is gone asks again
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	servicetest.As[events.ShipmentBooked](t, w.book("b1", "DE", "addr-manual"))
	forgets.Store(2)
	w.request(events.DispatchRequested{Request: req("d1"), ShipmentID: "s"})
	w.Until("the carrier is asked until it knows the parcel", func() bool { return forgets.Load() < 0 })
	forgets.Store(2)
	w.request(events.ShipmentCancellationRequested{Request: req("x1"), ShipmentID: "s", Cause: "customer"})
	servicetest.As[events.ShipmentCancelled](t, w.await("x1"))
	if got := strings.Join(servicetest.Types(w.History(events.CategoryShipment, "s")), " "); got != "ShipmentBooked ShipmentCancelled" {
		t.Errorf("the history is %s", got)
	}
}

// A request that the carrier never answers is over at its deadline, when the order's process asks anew: it keeps up
// neither what comes after it for its order nor, with many like it, those of others.
func TestWhatIsNeverAnsweredEndsWithItsDeadline(t *testing.T) {
	soon := req("never")
	soon.Deadline = time.Now().Add(50 * time.Millisecond)
	dispatch := func(r events.Request) events.Event { return events.DispatchRequested{Request: r, ShipmentID: "s"} }
	cancel := func(r events.Request) events.Event {
		return events.ShipmentCancellationRequested{Request: r, ShipmentID: "s", Cause: "customer"}
	}
	for _, c := range []struct {
		never       string
		asked, next func(events.Request) events.Event
		history     string
	}{
		{"/dispatch", dispatch, cancel, "ShipmentBooked ShipmentCancelled"},
		{"/cancel", cancel, dispatch, "ShipmentBooked ShipmentDispatched"},
	} {
		t.Run(c.never[1:], func(t *testing.T) {
			w := newWorldBehind(t, func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasSuffix(r.URL.Path, c.never) {
						w.WriteHeader(http.StatusNotFound)
						_, _ = io.WriteString(w, `{"error":{"code":"not_found"}}`) // who is gone asks again
						return
					}
					h.ServeHTTP(w, r)
				})
			})
			servicetest.As[events.ShipmentBooked](t, w.book("b1", "DE", "addr-1"))
			w.request(c.asked(soon))
			w.request(c.next(req("next")))
			w.await("next")
			if got := strings.Join(servicetest.Types(w.History(events.CategoryShipment, "s")), " "); got != c.history {
				t.Errorf("the history is %s", got)
			}
		})
	}
}

func TestALostParcelIsToldAndRebooked(t *testing.T) {
	w := newWorld(t)
	servicetest.As[events.ShipmentBooked](t, w.book("b1", "DE", "addr-lost"))
	w.request(events.DispatchRequested{Request: req("d1"), ShipmentID: "s"})
	w.find("the loss", func(e events.Event) bool { _, ok := e.(events.ShipmentLost); return ok })
	w.request(events.ShipmentRebookRequested{
		Request: req("b2"), ShipmentID: "s-2", Replaces: "s", AddressRef: "addr-1", Country: "DE", Lines: []events.StockLine{{SKU: "beans", Quantity: 2}},
	})
	servicetest.As[events.ShipmentBooked](t, w.await("b2"))
}

func TestWebhooksThatAreRepeatedOrForgedChangeNothing(t *testing.T) {
	w := newWorld(t)
	if err := w.carrier.Inject(partners.Fault{Partner: "webhook", Kind: partners.KindDuplicate, Next: 1}); err != nil {
		t.Fatal(err)
	}
	servicetest.As[events.ShipmentBooked](t, w.book("b1", "DE", "addr-1"))
	w.request(events.DispatchRequested{Request: req("d1"), ShipmentID: "s"})
	servicetest.As[events.ShipmentDispatched](t, w.await("d1"))
	forged := `{"id":"e","type":"shipment.lost","shipment":{"reference":"s","status":"lost"}}`
	signature := partners.Sign([]byte("guess"), []byte(forged), time.Now())
	if status := servicetest.Post(t, w.hooks, forged, "Webhook-Signature", signature); status != http.StatusUnauthorized {
		t.Errorf("a forged webhook was answered %d", status)
	}
	// What follows proves that nothing was stored in between.
	w.deliver()
	e := w.find("anything", func(events.Event) bool { return true })
	servicetest.As[events.ShipmentDelivered](t, e)
}
