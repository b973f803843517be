package saga_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/saga"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
	"github.com/nats-io/nats.go/jetstream"
)

// house is one with the saga in it.
type house struct {
	*servicetest.House[events.Event]
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{servicetest.New(t, events.Types, saga.BucketSnapshots, saga.BucketSubscriptions, saga.BucketInstances)}
	h.Check(esjs.ProvisionTimers(t.Context(), h.Server.Dial(), 1))
	return h
}

// run starts a saga service; stop ends it and waits.
func (h *house) run(cfg saga.Config) (stop func()) { return h.Run(saga.New(h.Env("saga"), cfg).Run) }

// answer is what the participants say to a request; nothing is silence.
type answer func(key string, e events.Event) (esjs.StreamID, events.Event)

// participants answer the saga's requests until the test ends.
func (h *house) participants(says answer) {
	h.Run(func(ctx context.Context) error {
		return esjs.Subscribe(ctx, h.Store, esjs.SubscriptionConfig[events.Event]{
			Name: "participants", EveryInstance: true, Codec: h.Codec, Query: esjs.Query{Categories: []string{events.CategoryFulfilment}},
		}, func(ctx context.Context, r esjs.Recorded[events.Event]) error {
			id, e := says(r.Stream.Key, r.Event)
			if e == nil {
				return nil
			}
			return h.append(ctx, id, r.Stream.Key, e)
		})
	})
}

func (h *house) append(ctx context.Context, id esjs.StreamID, order string, e events.Event) error {
	_, err := h.Store.AppendWrite(ctx, esjs.Write{
		Stream: id, Expect: esjs.Any(), Events: []esjs.Event{e}, Metadata: esjs.Metadata{CorrelationID: order},
	})
	return err
}

// says appends an event of an order itself.
func (h *house) says(order string, e events.Event) {
	h.T.Helper()
	h.Check(h.append(h.T.Context(), esjs.StreamID{Category: events.CategoryOrder, Key: order}, order, e))
}

// submit lets an order come as far as its submission.
func (h *house) submit(order string) {
	h.T.Helper()
	h.says(order, events.PaymentMethodSet{MethodRef: "card-1"})
	total := eur("24.90")
	h.says(order, events.OrderSubmitted{
		OrderID: order, CustomerID: "c-1", Currency: "EUR",
		Lines:    []events.OrderLine{{LineID: "l1", SKU: "beans", Name: "Beans", Quantity: 1, UnitPrice: total}},
		Subtotal: total, Total: total, AddressRef: "addr-1", Country: "DE", MethodRef: "card-1", PriceVersion: "1-1",
	})
}

func eur(amount string) events.Money { return events.MustMoney(amount, "EUR") }

// willing participants grant everything.
func willing() answer {
	total := eur("24.90")
	return func(key string, e events.Event) (esjs.StreamID, events.Event) {
		order := esjs.StreamID{Category: events.CategoryOrder, Key: key}
		reservation := esjs.StreamID{Category: events.CategoryReservation, Key: key}
		payment := func(id string) esjs.StreamID { return esjs.StreamID{Category: events.CategoryPayment, Key: id} }
		shipment := func(id string) esjs.StreamID { return esjs.StreamID{Category: events.CategoryShipment, Key: id} }
		switch e := e.(type) {
		case events.ReservationRequested:
			return reservation, events.ReservationConfirmed{OrderID: key, RequestID: e.RequestID, ReservationID: key, Lines: e.Lines, ExpiresAt: e.ExpiresAt}
		case events.AuthorizationRequested:
			return payment(e.PaymentID), events.PaymentAuthorized{OrderID: key, RequestID: e.RequestID, AuthID: "a", Amount: e.Amount, ExpiresAt: e.Deadline.Add(24 * time.Hour)}
		case events.ConfirmationRequested:
			return order, events.OrderConfirmed{RequestID: e.RequestID}
		case events.ShipmentBookingRequested:
			return shipment(e.ShipmentID), events.ShipmentBooked{OrderID: key, RequestID: e.RequestID, Carrier: "dhl", Tracking: "JD1", Cost: total}
		case events.CaptureRequested:
			return payment(e.PaymentID), events.PaymentCaptured{OrderID: key, RequestID: e.RequestID, CaptureID: "c", Amount: e.Amount}
		case events.DispatchRequested:
			return shipment(e.ShipmentID), events.ShipmentDispatched{OrderID: key, RequestID: e.RequestID, Tracking: []string{"JD1"}}
		case events.StockCommitRequested:
			return reservation, events.ReservationCommitted{OrderID: key, RequestID: e.RequestID}
		case events.CompletionRequested:
			return order, events.OrderCompleted{RequestID: e.RequestID}
		case events.ShipmentCancellationRequested:
			return shipment(e.ShipmentID), events.ShipmentCancelled{OrderID: key, RequestID: e.RequestID}
		case events.VoidRequested:
			return payment(e.PaymentID), events.PaymentVoided{OrderID: key, RequestID: e.RequestID}
		case events.ReleaseRequested:
			return reservation, events.ReservationReleased{OrderID: key, RequestID: e.RequestID, Cause: e.Cause}
		case events.OutcomeDecided:
			if e.Outcome == events.OutcomeCancelled {
				return order, events.OrderCancelled{RequestID: e.RequestID, Reason: e.Reason, By: e.By}
			}
			return order, events.OrderRejected{RequestID: e.RequestID, Code: e.Code, Unavailable: e.Unavailable}
		}
		return esjs.StreamID{}, nil
	}
}

// unless lets some requests be answered in another way than by next.
func unless(exception answer, next answer) answer {
	return func(key string, e events.Event) (esjs.StreamID, events.Event) {
		if id, said := exception(key, e); id.Category != "" {
			return id, said
		}
		return next(key, e)
	}
}

// silence swallows the requests of one type.
func silence(eventType string) answer {
	return func(key string, e events.Event) (esjs.StreamID, events.Event) {
		if e.EventType() == eventType {
			return esjs.StreamID{Category: events.CategoryOrder, Key: key}, nil
		}
		return esjs.StreamID{}, nil
	}
}

// follow collects the types of an order's fulfilment until the last one is until.
func (h *house) follow(order, until string) []string {
	h.T.Helper()
	var seen []string
	feed := h.Follow(esjs.Query{Streams: []esjs.StreamID{{Category: events.CategoryFulfilment, Key: order}}})
	feed.Find("order "+order+" comes to "+until, func(e esjs.Recorded[events.Event]) bool {
		seen = append(seen, e.Type)
		return e.Type == until
	})
	return seen
}

func (h *house) expect(got []string, want ...string) {
	h.T.Helper()
	if !slices.Equal(got, want) {
		h.T.Errorf("got  %s\nwant %s", strings.Join(got, ", "), strings.Join(want, ", "))
	}
}

func TestAnOrderCompletes(t *testing.T) {
	h := newHouse(t)
	h.participants(willing())
	h.run(saga.Config{})
	h.submit("o 1.ü") // a key that has to be escaped
	got := h.follow("o 1.ü", "FulfilmentCompleted")

	// Dispatch and commitment are answered in any order.
	slices.Sort(got[13:15])
	h.expect(got,
		"FulfilmentStarted", "ReservationRequested",
		"ReservationSucceeded", "AuthorizationRequested",
		"AuthorizationSucceeded", "ConfirmationRequested",
		"ConfirmationAccepted", "ShipmentBookingRequested",
		"ShipmentSecured", "CaptureRequested",
		"CaptureSucceeded", "DispatchRequested", "StockCommitRequested",
		"DispatchConfirmed", "StockCommitConfirmed", "CompletionRequested",
		"FulfilmentCompleted")

	// Every commit tells which input caused it, and that it is this order's.
	for _, e := range h.History(events.CategoryFulfilment, "o 1.ü") {
		if e.Metadata.CausationID == "" || e.Metadata.CorrelationID != "o 1.ü" {
			t.Errorf("%s: %+v", e.Type, e.Metadata)
		}
	}
}

func TestAnOrderIsUndone(t *testing.T) {
	h := newHouse(t)
	h.participants(unless(func(key string, e events.Event) (esjs.StreamID, events.Event) {
		switch e := e.(type) {
		case events.ReservationRequested:
			if key == "too-little" {
				return esjs.StreamID{Category: events.CategoryReservation, Key: key},
					events.ReservationRejected{OrderID: key, RequestID: e.RequestID, Code: events.ReservationOutOfStock}
			}
		case events.AuthorizationRequested:
			id := esjs.StreamID{Category: events.CategoryPayment, Key: e.PaymentID}
			switch key {
			case "declined":
				return id, events.PaymentDeclined{OrderID: key, RequestID: e.RequestID, Code: "stolen", Class: events.DeclineHard}
			case "cancelled":
				// The customer cancels while payment works.
				return esjs.StreamID{Category: events.CategoryOrder, Key: key}, events.OrderCancellationRequested{Reason: "wish", By: "c-1"}
			}
		}
		return esjs.StreamID{}, nil
	}, willing()))
	h.run(saga.Config{})
	for _, order := range []string{"too-little", "declined", "cancelled"} {
		h.submit(order)
	}
	h.expect(h.follow("too-little", "FulfilmentCompensated"),
		"FulfilmentStarted", "ReservationRequested",
		"ReservationFailed", "CompensationStarted", "OutcomeDecided",
		"FulfilmentCompensated")
	h.expect(h.follow("declined", "FulfilmentCompensated"),
		"FulfilmentStarted", "ReservationRequested", "ReservationSucceeded", "AuthorizationRequested",
		"AuthorizationFailed", "CompensationStarted", "ReleaseRequested",
		"ReleaseConfirmed", "OutcomeDecided",
		"FulfilmentCompensated")
	h.expect(h.follow("cancelled", "FulfilmentCompensated"),
		"FulfilmentStarted", "ReservationRequested", "ReservationSucceeded", "AuthorizationRequested",
		"CancellationAccepted", "CompensationStarted", "VoidRequested",
		"VoidConfirmed", "ReleaseRequested",
		"ReleaseConfirmed", "OutcomeDecided",
		"FulfilmentCompensated")
}

// An inventory that says nothing: the timers carry the order to its end.
func TestTimersCarryOn(t *testing.T) {
	h := newHouse(t)
	h.participants(unless(silence("ReservationRequested"), willing()))
	hasty := fulfilment.DefaultPolicy()
	hasty.Version = 2
	hasty.Reserve = fulfilment.Patience{First: 20 * time.Millisecond, Max: 40 * time.Millisecond, Attempts: 3}
	h.run(saga.Config{Policies: []fulfilment.Policy{fulfilment.DefaultPolicy(), hasty}})
	h.submit("o-1")
	h.expect(h.follow("o-1", "FulfilmentCompensated"),
		"FulfilmentStarted", "ReservationRequested",
		"StepTimedOut", "ReservationRequested",
		"StepTimedOut", "ReservationRequested",
		"StepTimedOut", "CompensationStarted", "ReleaseRequested",
		"ReleaseConfirmed", "OutcomeDecided",
		"FulfilmentCompensated")
}

// What a payment does after its order was undone is undone in turn: an authorisation
// is voided and a capture given back, once, however often they are told.
func TestLateEffectsAreUndone(t *testing.T) {
	h := newHouse(t)
	h.participants(unless(func(key string, e events.Event) (esjs.StreamID, events.Event) {
		switch e := e.(type) {
		case events.AuthorizationRequested:
			return esjs.StreamID{Category: events.CategoryPayment, Key: e.PaymentID}, events.PaymentDeclined{OrderID: key, RequestID: e.RequestID, Class: events.DeclineHard}
		}
		return esjs.StreamID{}, nil
	}, willing()))
	h.run(saga.Config{})
	h.submit("o-1")
	h.follow("o-1", "FulfilmentCompensated")
	payment := esjs.StreamID{Category: events.CategoryPayment, Key: servicetest.As[events.AuthorizationRequested](t, h.History(events.CategoryFulfilment, "o-1")[3].Event).PaymentID}
	refunds := h.Follow(esjs.Query{Categories: []string{events.CategoryRefund}})
	asked := func(eventType string) esjs.Recorded[events.Event] {
		return refunds.Find(eventType, func(e esjs.Recorded[events.Event]) bool { return e.Type == eventType })
	}
	tell := func(e events.Event) { h.Check(h.append(t.Context(), payment, "o-1", e)) }

	tell(events.PaymentAuthorized{OrderID: "o-1", AuthID: "a", Amount: eur("24.90"), PSPEventID: "evt-1"})
	void := servicetest.As[events.RefundVoidRequested](t, asked("RefundVoidRequested").Event)
	tell(events.PaymentCaptured{OrderID: "o-1", CaptureID: "c", Amount: eur("24.90"), PSPEventID: "evt-2"})
	tell(events.PaymentVoidFailed{OrderID: "o-1", RequestID: void.RequestID, Code: "captured"})
	back := servicetest.As[events.RefundRequested](t, asked("RefundRequested").Event)
	tell(events.PaymentCaptured{OrderID: "o-1", CaptureID: "c", Amount: eur("24.90"), PSPEventID: "evt-3"})
	tell(events.PaymentRefunded{OrderID: "o-1", RequestID: back.RequestID, RefundID: back.RefundID, Amount: back.Amount, TotalRefunded: back.Amount})
	h.Until("both refunds are settled", func() bool {
		for _, id := range []string{void.RefundID, back.RefundID} {
			if history := h.History(events.CategoryRefund, id); len(history) == 0 || history[len(history)-1].Type != "RefundSettled" {
				return false
			}
		}
		return true
	})
	h.Until("all that was told is noticed", func() bool {
		told, opened := 0, map[string]bool{}
		for _, e := range h.History(events.CategoryFulfilment, "o-1") {
			if late, ok := e.Event.(events.LateEffectDetected); ok {
				told++
				opened[late.RefundID] = true
			}
		}
		if len(opened) > 2 {
			t.Fatalf("one payment opened %d refunds", len(opened))
		}
		return told == 3
	})
	h.expect(servicetest.Types(h.History(events.CategoryRefund, void.RefundID)), "RefundOpened", "RefundVoidRequested", "RefundSettled")
	h.expect(servicetest.Types(h.History(events.CategoryRefund, back.RefundID)), "RefundOpened", "RefundRequested", "RefundPaid", "RefundSettled")
	if back.Amount != eur("24.90") || back.PaymentID != payment.Key {
		t.Errorf("given back: %+v", back)
	}
}

// An instance that waits to take over is as ready as the one that works.
func TestReadyWhenItsSubscriptionsRun(t *testing.T) {
	h := newHouse(t)
	for _, instance := range []string{"active", "standby"} {
		env := h.Env("saga")
		s := saga.New(env, saga.Config{})
		for _, name := range []string{"fulfilment", "fulfilment-timers", "refund", "refund-timers"} {
			if err := env.Health.Err(); err == nil || !strings.Contains(err.Error(), name+" subscription: is starting") {
				t.Errorf("before it runs, the %s one says: %v", instance, err)
			}
		}
		h.Run(s.Run)
		h.Ready(env)
	}
}

// Orders under way go on after a stop, however often; two instances beside each
// other decide nothing twice.
func TestStopsAndReplicasChangeNothing(t *testing.T) {
	h := newHouse(t)
	h.participants(willing())
	h.run(saga.Config{})
	const orders = 20
	for round := range 4 {
		stop := h.run(saga.Config{})
		for n := range orders / 4 {
			h.submit(fmt.Sprintf("o-%d-%d", round, n))
		}
		// Somewhere in the middle of an order.
		h.follow(fmt.Sprintf("o-%d-0", round), "AuthorizationRequested")
		stop()
	}
	h.run(saga.Config{})
	for round := range 4 {
		for n := range orders / 4 {
			got := h.follow(fmt.Sprintf("o-%d-%d", round, n), "FulfilmentCompleted")
			if len(got) != 17 {
				t.Errorf("%d events instead of 17: %s", len(got), strings.Join(got, ", "))
			}
		}
	}
}

func TestPolicyIsChecked(t *testing.T) {
	h := newHouse(t)
	bad := fulfilment.DefaultPolicy()
	bad.Book.Attempts = 0
	err := saga.New(h.Env("saga"), saga.Config{Policies: []fulfilment.Policy{bad}}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "book") {
		t.Errorf("a policy without attempts was taken: %v", err)
	}
}

// A service that lacks the policy of a fulfilment or of a refund under way, or has other
// numbers under its version, does not start, whether the list of open ones is there or
// not; with the policy it goes on.
func TestPoliciesUnderWayAreNeeded(t *testing.T) {
	h := newHouse(t)
	second := fulfilment.DefaultPolicy()
	second.Version = 2
	stop := h.run(saga.Config{Policies: []fulfilment.Policy{second}})
	h.submit("o-1")
	h.says("o-2", events.OrderRefundRequested{RefundID: "r-1", PaymentID: "p-1", Amount: eur("10.00")})
	h.follow("o-1", "ReservationRequested")
	h.Until("the refund began", func() bool { return len(h.History(events.CategoryRefund, "r-1")) > 0 })
	stop()
	refused := func(says string, policies ...fulfilment.Policy) {
		t.Helper()
		err := saga.New(h.Env("saga"), saga.Config{Policies: policies}).Run(t.Context())
		if !errors.Is(err, esjs.ErrConfig) {
			t.Fatalf("without the policy it ended with: %v", err)
		}
		for _, begins := range []string{"the fulfilment of order o-1 was started", "the refund r-1 of order o-2 was opened"} {
			if says := begins + " under policy version 2, " + says; !strings.Contains(err.Error(), says) {
				t.Errorf("it says %v, want …%s…", err, says)
			}
		}
	}
	changed := second
	changed.Compensate.Attempts++
	refused("which is not among the policies that are given")
	refused("and the one that is given has other numbers; give it back those that it had", changed)
	js, err := jetstream.New(h.NC)
	h.Check(err)
	h.Check(js.DeleteKeyValue(t.Context(), saga.BucketInstances))
	h.Check(esjs.ProvisionBucket(t.Context(), h.Server.Dial(), saga.BucketInstances, 1))
	refused("which is not among the policies that are given")

	h.participants(willing())
	h.run(saga.Config{Policies: []fulfilment.Policy{second, hasty3()}})
	h.follow("o-1", "FulfilmentCompleted")
	h.submit("o-3")
	h.follow("o-3", "FulfilmentCompleted")
	for order, version := range map[string]int{"o-1": 2, "o-3": 3} {
		if started := servicetest.As[events.FulfilmentStarted](t, h.History(events.CategoryFulfilment, order)[0].Event); started.PolicyVersion != version {
			t.Errorf("%s was started under policy version %d, want %d", order, started.PolicyVersion, version)
		}
	}
	h.run(saga.Config{Policies: []fulfilment.Policy{second}}) // of what has ended it needs none
}

func hasty3() fulfilment.Policy {
	p := hasty()
	p.Version = 3
	return p
}
