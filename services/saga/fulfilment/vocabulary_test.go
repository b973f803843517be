package fulfilment

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// The words of testdata/*.txt: each is an input as the participants and the
// clock would cause it in the state.

var submittedAt = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

const orderID = "o-1"

func euros(amount string) events.Money { return events.MustMoney(amount, "EUR") }

func submitted(t rapid.TB) events.OrderSubmitted {
	return events.OrderSubmitted{
		OrderID: orderID, CustomerID: "c-1", Currency: "EUR",
		Lines: []events.OrderLine{
			{LineID: "l1", SKU: "beans", Name: "Beans", Quantity: 2, UnitPrice: euros("10.00")},
			{LineID: "l2", SKU: "mug", Name: "Mug", Quantity: 1, UnitPrice: euros("4.90")},
		},
		Subtotal: euros("24.90"), Total: euros("24.90"),
		AddressRef: "addr-1", Country: "DE", MethodRef: "card-1", PriceVersion: "1-1",
	}
}

// asked is the id of the newest request of q.
func (s State) requestOf(q Question) string { return requestID(s.OrderID, q, s.Asked[q]) }

// words maps each word to the event that it stands for in a state.
func words(t rapid.TB) map[string]func(State) events.Event {
	return map[string]func(State) events.Event{
		"submitted": func(State) events.Event { return submitted(t) },
		"cancellation-requested": func(State) events.Event {
			return events.OrderCancellationRequested{Reason: "changed my mind", By: "c-1"}
		},
		"method-set":      func(State) events.Event { return events.PaymentMethodSet{MethodRef: "card-2"} },
		"order-confirmed": func(s State) events.Event { return events.OrderConfirmed{RequestID: s.requestOf(confirm)} },
		"confirmation-refused": func(s State) events.Event {
			return events.OrderConfirmationRefused{RequestID: s.requestOf(confirm), Reason: "cancellation is open"}
		},
		"order-completed": func(s State) events.Event { return events.OrderCompleted{RequestID: s.requestOf(complete)} },
		"order-rejected": func(s State) events.Event {
			return events.OrderRejected{RequestID: s.requestOf(decideOutcome), Code: s.cause()}
		},
		"order-cancelled": func(s State) events.Event {
			return events.OrderCancelled{RequestID: s.requestOf(decideOutcome), Reason: "changed my mind", By: "c-1"}
		},
		"order-expired": func(s State) events.Event { return events.OrderExpired{RequestID: s.requestOf(decideOutcome)} },

		"reserved": func(s State) events.Event {
			return events.ReservationConfirmed{OrderID: orderID, RequestID: s.requestOf(reserve), ReservationID: orderID, Lines: s.Lines, ExpiresAt: submittedAt.Add(90 * time.Minute)}
		},
		"out-of-stock": func(s State) events.Event {
			return events.ReservationRejected{OrderID: orderID, RequestID: s.requestOf(reserve), Code: events.ReservationOutOfStock,
				Unavailable: []events.Unavailable{{SKU: "beans", Wanted: 2, Available: 1}}}
		},
		"inventory-busy": func(s State) events.Event {
			return events.ReservationRejected{OrderID: orderID, RequestID: s.requestOf(reserve), Code: events.ReservationBusy}
		},
		"released": func(s State) events.Event {
			return events.ReservationReleased{OrderID: orderID, RequestID: s.requestOf(release), Cause: s.cause()}
		},
		"reservation-voided": func(s State) events.Event {
			return events.ReservationVoided{OrderID: orderID, RequestID: s.requestOf(release), Cause: s.cause()}
		},
		"reservation-expired": func(State) events.Event { return events.ReservationExpired{OrderID: orderID} },
		"committed": func(s State) events.Event {
			return events.ReservationCommitted{OrderID: orderID, RequestID: s.requestOf(commit), ShipmentID: s.TakesFor}
		},
		"first-committed": func(s State) events.Event {
			return events.ReservationCommitted{OrderID: orderID, RequestID: requestID(orderID, commit, 1)}
		},
		"commit-failed": func(s State) events.Event {
			return events.ReservationCommitFailed{OrderID: orderID, RequestID: s.requestOf(commit), Code: events.ReservationGone, ShipmentID: s.TakesFor}
		},
		"commit-out-of-stock": func(s State) events.Event {
			return events.ReservationCommitFailed{OrderID: orderID, RequestID: s.requestOf(commit), Code: events.ReservationOutOfStock, ShipmentID: s.TakesFor}
		},

		"authorized": func(s State) events.Event {
			return events.PaymentAuthorized{OrderID: orderID, RequestID: s.requestOf(authorize), AuthID: "a-1", Amount: euros("24.90"), ExpiresAt: submittedAt.Add(7 * 24 * time.Hour)}
		},
		"authorized-other-amount": func(s State) events.Event {
			return events.PaymentAuthorized{OrderID: orderID, RequestID: s.requestOf(authorize), AuthID: "a-1", Amount: euros("24.00"), ExpiresAt: submittedAt.Add(7 * 24 * time.Hour)}
		},
		"authorized-briefly": func(s State) events.Event {
			return events.PaymentAuthorized{OrderID: orderID, RequestID: s.requestOf(authorize), AuthID: "a-1", Amount: euros("24.90"), ExpiresAt: submittedAt.Add(20 * time.Minute)}
		},
		"declined": func(s State) events.Event {
			return events.PaymentDeclined{OrderID: orderID, RequestID: s.requestOf(authorize), Code: "stolen_card", Class: events.DeclineHard}
		},
		"declined-soft": func(s State) events.Event {
			return events.PaymentDeclined{OrderID: orderID, RequestID: s.requestOf(authorize), Code: "insufficient_funds", Class: events.DeclineSoft}
		},
		"outcome-unknown": func(s State) events.Event {
			return events.PaymentOutcomeUnknown{OrderID: orderID, RequestID: s.requestOf(authorize), Op: events.OperationAuthorize, Error: "timeout"}
		},
		"never-authorized": func(s State) events.Event {
			return events.PaymentNotFound{OrderID: orderID, RequestID: s.requestOf(checkAuthorization), Op: events.OperationAuthorize}
		},
		"never-captured": func(s State) events.Event {
			return events.PaymentNotFound{OrderID: orderID, RequestID: s.requestOf(checkCapture), Op: events.OperationCapture}
		},
		"authorization-expired": func(State) events.Event { return events.AuthorizationExpired{OrderID: orderID} },
		"captured": func(s State) events.Event {
			return events.PaymentCaptured{OrderID: orderID, RequestID: s.requestOf(capture), CaptureID: "cp-1", Amount: euros("24.90")}
		},
		"captured-again": func(State) events.Event {
			return events.PaymentCaptured{OrderID: orderID, CaptureID: "cp-2", Amount: euros("24.90"), PSPEventID: "evt-8"}
		},
		"captured-other-amount": func(s State) events.Event {
			return events.PaymentCaptured{OrderID: orderID, RequestID: s.requestOf(capture), CaptureID: "cp-1", Amount: euros("20.00")}
		},
		"capture-failed": func(s State) events.Event {
			return events.PaymentCaptureFailed{OrderID: orderID, RequestID: s.requestOf(capture), Code: "expired"}
		},
		"voided": func(s State) events.Event {
			return events.PaymentVoided{OrderID: orderID, RequestID: s.requestOf(void)}
		},
		"void-too-late": func(s State) events.Event {
			return events.PaymentVoidFailed{OrderID: orderID, RequestID: s.requestOf(void), Code: "captured"}
		},
		"void-failed": func(s State) events.Event {
			return events.PaymentVoidFailed{OrderID: orderID, RequestID: s.requestOf(void), Code: "busy"}
		},
		"refunded-unasked": func(State) events.Event {
			return events.PaymentRefunded{OrderID: orderID, RefundID: "by-hand", Amount: euros("5.00"), TotalRefunded: euros("5.00"), Unasked: true, PSPEventID: "evt-9"}
		},
		"refunded": func(s State) events.Event {
			return events.PaymentRefunded{OrderID: orderID, RequestID: s.requestOf(refund), RefundID: identity(orderID, "refund", 1), Amount: s.Refund, TotalRefunded: s.Refund}
		},
		"refund-failed": func(s State) events.Event {
			return events.PaymentRefundFailed{OrderID: orderID, RequestID: s.requestOf(refund), RefundID: identity(orderID, "refund", 1), Code: "no"}
		},
		"refund-requested": func(State) events.Event {
			return events.OrderRefundRequested{RefundID: "r-1", PaymentID: "p-1", Amount: euros("12.45"), Lines: []events.RefundLine{{LineID: "l1", Quantity: 1}}}
		},
		"total-refund-requested": func(s State) events.Event {
			return events.OrderRefundRequested{RefundID: "r-1", PaymentID: "p-1", Amount: s.Total}
		},
		"amount-refund-requested": func(State) events.Event {
			return events.OrderRefundRequested{RefundID: "r-1", PaymentID: "p-1", Amount: euros("1.00")}
		},
		"disputed": func(State) events.Event {
			return events.PaymentDisputed{OrderID: orderID, DisputeID: "d-1", Amount: euros("24.90"), Reason: "unknown to the customer", PSPEventID: "evt-9"}
		},

		"booked": func(s State) events.Event {
			return events.ShipmentBooked{OrderID: orderID, RequestID: s.requestOf(book), Carrier: "dhl", Tracking: "JD1", Cost: euros("3.90"), ETA: submittedAt.Add(48 * time.Hour)}
		},
		"no-carrier": func(s State) events.Event {
			return events.ShipmentBookingFailed{OrderID: orderID, RequestID: s.requestOf(book), Code: "country_not_served"}
		},
		"carrier-busy": func(s State) events.Event {
			return events.ShipmentBookingFailed{OrderID: orderID, RequestID: s.requestOf(book), Code: "unavailable", Transient: true}
		},
		"dispatched": func(s State) events.Event {
			return events.ShipmentDispatched{OrderID: orderID, RequestID: s.requestOf(dispatch), Tracking: []string{"JD1"}}
		},
		"shipment-cancelled": func(s State) events.Event {
			return events.ShipmentCancelled{OrderID: orderID, RequestID: s.requestOf(cancelShipment)}
		},
		"shipment-voided": func(s State) events.Event {
			return events.ShipmentVoided{OrderID: orderID, RequestID: s.requestOf(cancelShipment), Cause: s.cause()}
		},
		"shipment-not-cancelled": func(s State) events.Event {
			return events.ShipmentCancellationRefused{OrderID: orderID, RequestID: s.requestOf(cancelShipment), Reason: "dispatched"}
		},
		"shipment-lost": func(State) events.Event { return events.ShipmentLost{OrderID: orderID} },
	}
}

// streamOf is where the participants store an event about the fulfilment s.
func streamOf(s State, e events.Event) esjs.StreamID {
	switch e.(type) {
	case events.ReservationConfirmed, events.ReservationRejected, events.ReservationReleased, events.ReservationVoided,
		events.ReservationExpired, events.ReservationCommitted, events.ReservationCommitFailed:
		return esjs.StreamID{Category: events.CategoryReservation, Key: orderID}
	case events.PaymentAuthorized, events.PaymentDeclined, events.PaymentOutcomeUnknown, events.PaymentNotFound,
		events.AuthorizationExpired, events.PaymentCaptured, events.PaymentCaptureFailed, events.PaymentVoided,
		events.PaymentVoidFailed, events.PaymentRefunded, events.PaymentRefundFailed, events.PaymentDisputed:
		return esjs.StreamID{Category: events.CategoryPayment, Key: s.PaymentID}
	case events.ShipmentBooked, events.ShipmentBookingFailed, events.ShipmentDispatched, events.ShipmentCancelled,
		events.ShipmentVoided, events.ShipmentCancellationRefused, events.ShipmentLost:
		return esjs.StreamID{Category: events.CategoryShipment, Key: s.ShipmentID}
	}
	return esjs.StreamID{Category: events.CategoryOrder, Key: orderID}
}

// givenUpStreamOf is where they store it about what another payment or shipment took the place of last.
func givenUpStreamOf(s State, e events.Event) esjs.StreamID {
	id := streamOf(s, e)
	before := s.PaymentsGivenUp
	if id.Category == events.CategoryShipment {
		before = s.ShipmentsGivenUp
	}
	if len(before) > 0 {
		id.Key = before[len(before)-1]
	}
	return id
}

// tale is one fulfilment as a test tells it.
type tale struct {
	machine *Machine
	state   State
	now     time.Time
	inputs  int
	history []events.Event
}

func newTale(t rapid.TB, policies ...Policy) *tale {
	t.Helper()
	m, err := NewMachine(policies...)
	if err != nil {
		t.Fatal(err)
	}
	return &tale{machine: m, now: submittedAt.Add(-time.Second)}
}

// input reads a word: an event one second after the last input, "timer NAME"
// when it is due, or "late timer NAME", which was armed in an earlier state.
func (ta *tale) input(t rapid.TB, word string) Input {
	t.Helper()
	ta.inputs++
	var name string
	if n, _ := fmt.Sscanf(word, "late timer %s", &name); n == 1 {
		return Input{Timer: name, At: ta.now.Add(time.Second)}
	}
	if n, _ := fmt.Sscanf(word, "timer %s", &name); n == 1 {
		for _, timer := range ta.machine.Timers(ta.state) {
			if timer.Name == name {
				return Input{Timer: name, At: timer.At}
			}
		}
		t.Fatalf("no timer %s is armed in %s: %v", name, ta.state.Status, ta.machine.Timers(ta.state))
	}
	make := words(t)[word]
	if make == nil {
		t.Fatalf("unknown word %q", word)
	}
	e := make(ta.state)
	return Input{Event: e, EventID: fmt.Sprintf("event-%d", ta.inputs), Stream: streamOf(ta.state, e), Version: uint64(ta.inputs), At: ta.now.Add(time.Second)}
}

// happens lets an input happen and folds what it causes.
func (ta *tale) happens(t rapid.TB, word string) Reaction {
	t.Helper()
	in := ta.input(t, word)
	ta.now = in.At
	r, err := ta.machine.React(ta.state, in)
	if err != nil {
		t.Fatalf("%s in %s: %v", word, ta.state.Status, err)
	}
	for _, e := range r.Events {
		ta.state = Apply(ta.state, e)
	}
	ta.history = append(ta.history, r.Events...)
	return r
}
