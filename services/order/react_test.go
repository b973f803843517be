package order

import (
	"slices"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func request(id string) events.Request {
	return events.Request{OrderID: "o-1", RequestID: id, Attempt: 1}
}

func TestReactionsCarryWhatFulfilmentSaid(t *testing.T) {
	missing := []events.Unavailable{{SKU: "beans", Wanted: 2, Available: 1}}
	for _, sc := range []scenario{
		{name: "reserved", given: toSubmitted, when: Reaction{events.ReservationSucceeded{ReservationID: "o-1"}}, then: only(reserved)},
		{name: "awaiting", given: toReserved, when: Reaction{events.PaymentMethodAwaited{Until: noon}}, then: only(awaited)},
		{name: "awaiting longer", given: then(toReserved, awaited), when: Reaction{events.PaymentMethodAwaited{Until: noon.Add(time.Hour)}}, then: only(events.OrderPaymentMethodAwaited{Until: noon.Add(time.Hour)})},
		{name: "authorized", given: toReserved, when: Reaction{events.AuthorizationSucceeded{PaymentID: "p-1", Amount: eur("52.80")}}, then: only(authorized)},
		{name: "confirmed", given: toAuthorized, when: Reaction{events.ConfirmationRequested{Request: request("confirm-1")}}, then: only(confirmed)},
		{name: "paid", given: toConfirmed, when: Reaction{events.CaptureSucceeded{PaymentID: "p-1", Amount: eur("52.80")}}, then: only(paid)},
		{name: "dispatched", given: toPaid, when: Reaction{events.DispatchConfirmed{Tracking: []string{"T1"}}}, then: only(dispatched)},
		{
			name: "another parcel", given: toDispatched, when: Reaction{events.DispatchConfirmed{Tracking: []string{"T2"}}},
			then: only(events.OrderDispatched{Tracking: []string{"T2"}}),
		},
		{name: "another parcel, told by an operator", given: toDispatched, when: Reaction{events.DispatchConfirmed{By: "ada"}}},
		{name: "completed", given: toDispatched, when: Reaction{events.CompletionRequested{Request: request("complete-1")}}, then: only(completed)},
		{
			name: "rejected", given: toSubmitted,
			when: Reaction{events.OutcomeDecided{Request: request("end-1"), Outcome: events.OutcomeRejected, Code: "out_of_stock", Unavailable: missing}},
			then: only(events.OrderRejected{RequestID: "end-1", Code: "out_of_stock", Unavailable: missing}),
		},
		{
			name: "cancelled", given: then(toSubmitted, cancelling),
			when: Reaction{events.OutcomeDecided{Request: request("end-1"), Outcome: events.OutcomeCancelled, Reason: "changed my mind", By: "c-1"}},
			then: only(cancelled),
		},
		{
			name: "rejected, asked again", given: toRejected,
			when: Reaction{events.OutcomeDecided{Request: request("end-2"), Outcome: events.OutcomeRejected}},
			then: only(events.OrderRejected{RequestID: "end-2", Code: "declined"}),
		},
		{name: "expired", given: then(toReserved, awaited), when: Reaction{events.OutcomeDecided{Request: request("end-1"), Outcome: events.OutcomeExpired}}, then: only(expired)},
	} {
		t.Run(sc.name, sc.run)
	}
}

// A refund that was requested is done once, and no other is.
func TestARefundIsDone(t *testing.T) {
	requested := then(toCompleted, events.OrderRefundRequested{RefundID: "r-1", PaymentID: "p-1", Amount: eur("10.00"), Reason: "broken"})
	paid := Reaction{events.RefundPaid{RefundID: "r-1", OrderID: "o-1", Amount: eur("10.00"), Cause: events.RefundCustomer}}
	done := events.OrderRefunded{RefundID: "r-1", Amount: eur("10.00")}
	for _, sc := range []scenario{
		{name: "that was requested", given: requested, when: paid, then: only(done)},
		{name: "that is done", given: then(requested, done), when: paid},
		{name: "of another order", given: toCompleted, when: paid},
	} {
		t.Run(sc.name, sc.run)
	}
	before, after := fold(requested...), fold(then(requested, done)...)
	want := []queries.OrderRefund{{RefundID: "r-1", Amount: eur("10.00"), Reason: "broken", Done: true}}
	if !slices.Equal(viewOf(after).Refunds, want) || before.Refunds[0].Done {
		t.Errorf("it is shown as %+v, and was %+v", viewOf(after).Refunds, before.Refunds)
	}
	if concerns(events.RefundPaid{Cause: events.RefundLateEffect}) {
		t.Error("a late effect concerns the order, which has ended")
	}
}

// Between a customer's cancellation and fulfilment's confirmation, whichever
// the order stored first wins.
func TestTheOrderArbitratesBetweenCancellingAndConfirming(t *testing.T) {
	refused := events.OrderConfirmationRefused{RequestID: "confirm-1", Reason: "cancellation_requested"}
	confirm := Reaction{events.ConfirmationRequested{Request: request("confirm-1")}}
	for _, sc := range []scenario{
		{name: "cancellation first", given: then(toAuthorized, cancelling), when: confirm, then: only(refused)},
		{name: "cancellation first, long before", given: then(toSubmitted, cancelling, reserved, authorized), when: confirm, then: only(refused)},
		{name: "cancellation first, asked again", given: then(toAuthorized, cancelling, refused), when: confirm},
		{
			name: "cancellation first, another attempt", given: then(toAuthorized, cancelling, refused),
			when: Reaction{events.ConfirmationRequested{Request: request("confirm-2")}},
			then: only(events.OrderConfirmationRefused{RequestID: "confirm-2", Reason: "cancellation_requested"}),
		},
		{name: "confirmation first", given: toConfirmed, when: Cancel{Reason: "changed my mind", By: "c-1"}, then: only(cancelling)},
		{name: "confirmation first, asked again", given: then(toConfirmed, cancelling), when: confirm},
		{name: "paid before the cancellation was heard", given: then(toConfirmed, cancelling, paid), when: Reaction{events.CancellationRefused{Reason: "already_paid"}}, then: only(events.OrderCancellationRefused{Reason: "already_paid"})},
		{name: "completed before the cancellation was heard", given: then(toConfirmed, cancelling, paid, dispatched, completed), when: Reaction{events.CancellationRefused{Reason: "already_paid"}}, then: only(events.OrderCancellationRefused{Reason: "already_paid"})},
		{name: "refused already", given: then(toConfirmed, cancelling, paid, events.OrderCancellationRefused{Reason: "already_paid"}), when: Reaction{events.CancellationRefused{Reason: "already_paid"}}},
		{name: "refused before it was paid", given: then(toConfirmed, cancelling), when: Reaction{events.CancellationRefused{Reason: "already_paid"}}, code: "too_early"},
	} {
		t.Run(sc.name, sc.run)
	}
}
