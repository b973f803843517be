package saga_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/saga"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
)

const patience = 30 * time.Second // for what is expected to come at once

// house is a server with a store and the saga's buckets.
type house struct {
	t      *testing.T
	server *esjstest.Deployment
	store  *esjs.Store
	codec  *esjs.Codec[events.Event]
}

func newHouse(t *testing.T) *house {
	t.Helper()
	server := esjstest.Server(t)
	h := &house{t: t, server: server, store: server.Store(t)}
	for _, bucket := range []string{saga.BucketSnapshots, saga.BucketSubscriptions, saga.BucketInstances} {
		if err := esjs.ProvisionBucket(t.Context(), server.Dial(), bucket, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := esjs.ProvisionTimers(t.Context(), server.Dial(), 1); err != nil {
		t.Fatal(err)
	}
	types := make([]esjs.EventType[events.Event], len(events.Types))
	for i, typ := range events.Types {
		types[i] = esjs.EventType[events.Event](typ)
	}
	var err error
	if h.codec, err = esjs.NewCodec(types...); err != nil {
		t.Fatal(err)
	}
	return h
}

// run starts a saga service; stop ends it and waits.
func (h *house) run(cfg saga.Config) (stop func()) {
	h.t.Helper()
	env := &service.Env{
		Name: "saga", Dial: h.server.Dial(), Store: h.store, Log: zerolog.New(zerolog.NewTestWriter(h.t)),
		Metrics: service.NewMetrics(), Health: service.NewHealth(),
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- saga.New(env, cfg).Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			h.t.Errorf("the service ended with %v", err)
		}
	})
	h.t.Cleanup(stop)
	return stop
}

// answer is what the participants say to a request; nothing is silence.
type answer func(key string, e events.Event) (esjs.StreamID, events.Event)

// participants answer the saga's requests until the test ends.
func (h *house) participants(says answer) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() {
		err := esjs.Subscribe(ctx, h.store, esjs.SubscriptionConfig[events.Event]{
			Name: "participants", Codec: h.codec, Query: esjs.Query{Categories: []string{events.CategoryFulfilment}},
		}, func(ctx context.Context, r esjs.Recorded[events.Event]) error {
			id, e := says(r.Stream.Key, r.Event)
			if e == nil {
				return nil
			}
			return h.append(ctx, id, r.Stream.Key, e)
		})
		if err != nil {
			h.t.Errorf("the participants ended with %v", err)
		}
	})
	h.t.Cleanup(func() { cancel(); ended.Wait() })
}

func (h *house) append(ctx context.Context, id esjs.StreamID, order string, e events.Event) error {
	_, err := h.store.AppendAll(ctx, esjs.Write{
		Stream: id, Expect: esjs.Any(), Events: []esjs.Event{e}, Metadata: esjs.Metadata{CorrelationID: order},
	})
	return err
}

// says appends an event of an order itself.
func (h *house) says(order string, e events.Event) {
	h.t.Helper()
	if err := h.append(h.t.Context(), esjs.StreamID{Category: events.CategoryOrder, Key: order}, order, e); err != nil {
		h.t.Fatal(err)
	}
}

// submit lets an order come as far as its submission.
func (h *house) submit(order string) {
	h.t.Helper()
	h.says(order, events.PaymentMethodSet{MethodRef: "card-1"})
	total := eur(h.t, "24.90")
	h.says(order, events.OrderSubmitted{
		OrderID: order, CustomerID: "c-1", Currency: "EUR",
		Lines:    []events.OrderLine{{LineID: "l1", SKU: "beans", Name: "Beans", Quantity: 1, UnitPrice: total}},
		Subtotal: total, Total: total, AddressRef: "addr-1", Country: "DE", MethodRef: "card-1", PriceVersion: "1-1",
	})
}

func eur(t *testing.T, amount string) events.Money {
	t.Helper()
	m, err := events.ParseMoney(amount, "EUR")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// willing participants grant everything.
func willing(t *testing.T) answer {
	total := eur(t, "24.90")
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
	h.t.Helper()
	var seen []string
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	err := esjs.Subscribe(ctx, h.store, esjs.SubscriptionConfig[events.Event]{
		Name: "follow", Codec: h.codec, Query: esjs.Query{Streams: []esjs.StreamID{{Category: events.CategoryFulfilment, Key: order}}},
	}, func(_ context.Context, r esjs.Recorded[events.Event]) error {
		seen = append(seen, r.Type)
		if r.Type == until {
			cancel()
		}
		return nil
	})
	if err != nil || len(seen) == 0 || !slices.Contains(seen, until) {
		h.t.Fatalf("order %s did not come to %s (%v): %s", order, until, err, strings.Join(seen, ", "))
	}
	return seen
}

func (h *house) expect(got []string, want ...string) {
	h.t.Helper()
	if !slices.Equal(got, want) {
		h.t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), strings.Join(want, ", "))
	}
}

func TestAnOrderCompletes(t *testing.T) {
	h := newHouse(t)
	h.participants(willing(t))
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
	for r, err := range h.store.Read(t.Context(), esjs.StreamID{Category: events.CategoryFulfilment, Key: "o 1.ü"}, 1, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Metadata.CausationID == "" || r.Metadata.CorrelationID != "o 1.ü" {
			t.Errorf("%s: %+v", r.Type, r.Metadata)
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
	}, willing(t)))
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
	h.participants(unless(silence("ReservationRequested"), willing(t)))
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

// Orders under way go on after a stop, however often; two instances beside each
// other decide nothing twice.
func TestStopsAndReplicasChangeNothing(t *testing.T) {
	h := newHouse(t)
	h.participants(willing(t))
	h.run(saga.Config{Owner: "standby"})
	const orders = 20
	for round := range 4 {
		stop := h.run(saga.Config{Owner: fmt.Sprint("round-", round)})
		for n := range orders / 4 {
			h.submit(fmt.Sprintf("o-%d-%d", round, n))
		}
		// Somewhere in the middle of an order.
		h.follow(fmt.Sprintf("o-%d-0", round), "AuthorizationRequested")
		stop()
	}
	h.run(saga.Config{Owner: "last"})
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
	env := &service.Env{Name: "saga", Dial: h.server.Dial(), Store: h.store, Log: zerolog.Nop(), Metrics: service.NewMetrics(), Health: service.NewHealth()}
	bad := fulfilment.DefaultPolicy()
	bad.Book.Attempts = 0
	err := saga.New(env, saga.Config{Policies: []fulfilment.Policy{bad}}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "book") {
		t.Errorf("a policy without attempts was taken: %v", err)
	}
}
