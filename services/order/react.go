package order

import (
	"net/http"
	"slices"

	"github.com/b144f99b/orderflow/pkg/events"
)

// Reaction is an event of the order's fulfilment or of one of its refunds. What the order has passed
// already is nothing to do; what comes before its time is refused with
// "too_early", and the caller tries it again.
type Reaction struct {
	Event events.Event
}

// concerns tells that an event means something to an order.
func concerns(e events.Event) bool {
	switch e := e.(type) {
	case events.RefundPaid:
		return e.Cause == events.RefundCustomer // a late effect is none of an order that has ended
	case events.ReservationSucceeded, events.PaymentMethodAwaited, events.AuthorizationSucceeded, events.ConfirmationRequested,
		events.CaptureSucceeded, events.DispatchConfirmed, events.CompletionRequested, events.CancellationRefused, events.OutcomeDecided:
		return true
	}
	return false
}

func (c Reaction) decide(s State) ([]events.Event, error) {
	switch e := c.Event.(type) {
	case events.ReservationSucceeded:
		return s.when(Submitted, e, events.OrderReserved{ReservationID: e.ReservationID})
	case events.PaymentMethodAwaited:
		if s.MethodAwaited.Equal(e.Until) {
			return nil, nil
		}
		return s.when(Reserved, e, events.OrderPaymentMethodAwaited{Until: e.Until})
	case events.AuthorizationSucceeded:
		if s.Status == Reserved && e.Amount != s.Total {
			return nil, reject(http.StatusConflict, "amount_mismatch", "%s is authorised and the order's total is %s", e.Amount, s.Total)
		}
		return s.when(Reserved, e, events.OrderPaymentAuthorized{PaymentID: e.PaymentID, Amount: e.Amount})
	case events.ConfirmationRequested:
		return s.confirm(e)
	case events.CaptureSucceeded:
		return s.when(Confirmed, e, events.OrderPaid{PaymentID: e.PaymentID, Captured: e.Amount})
	case events.DispatchConfirmed:
		dispatched := events.OrderDispatched{Tracking: e.Tracking}
		if s.Status == Dispatched && len(e.Tracking) > 0 && !slices.Equal(e.Tracking, s.Tracking) {
			return one(dispatched) // a parcel in the place of a lost one
		}
		return s.when(Paid, e, dispatched)
	case events.CompletionRequested:
		completed := events.OrderCompleted{RequestID: e.RequestID}
		if s.Status == Completed {
			return s.again(e.RequestID, completed)
		}
		return s.when(Dispatched, e, completed)
	case events.CancellationRefused:
		if s.Cancellation == nil {
			return nil, nil
		}
		if !s.reached(Paid) {
			return nil, s.tooEarly(e)
		}
		return one(events.OrderCancellationRefused{Reason: e.Reason})
	case events.OutcomeDecided:
		return s.end(e)
	case events.RefundPaid:
		for _, refund := range s.Refunds {
			if refund.RefundID == e.RefundID && !refund.Done {
				return one(events.OrderRefunded{RefundID: e.RefundID, Amount: e.Amount})
			}
		}
	}
	return nil, nil
}

// confirm decides, alone and for good, whether an order whose cancellation was
// asked for goes on: whichever event is stored first wins.
func (s State) confirm(e events.ConfirmationRequested) ([]events.Event, error) {
	confirmed := events.OrderConfirmed{RequestID: e.RequestID}
	switch {
	case s.Status == Confirmed:
		return s.again(e.RequestID, confirmed)
	case s.Status == Authorized && s.Cancellation != nil:
		return s.again(e.RequestID, events.OrderConfirmationRefused{RequestID: e.RequestID, Reason: "cancellation_requested"})
	}
	return s.when(Authorized, e, confirmed)
}

// end ends the order as fulfilment decided, which it may until the order is paid.
func (s State) end(e events.OutcomeDecided) ([]events.Event, error) {
	if s.Status == Cancelled || s.Status == Rejected || s.Status == Expired {
		return s.again(e.RequestID, ending(s.Status, e.RequestID, *s.End))
	}
	if s.reached(Paid) {
		return nil, reject(http.StatusConflict, "already_paid", "order %s is %s and cannot end as %s", s.OrderID, s.Status, e.Outcome)
	}
	if !s.reached(Submitted) {
		return nil, s.tooEarly(e)
	}
	end := End{Code: e.Code, Unavailable: e.Unavailable, Reason: e.Reason, By: e.By}
	switch e.Outcome {
	case events.OutcomeRejected:
		return one(ending(Rejected, e.RequestID, end))
	case events.OutcomeCancelled:
		return one(ending(Cancelled, e.RequestID, end))
	case events.OutcomeExpired:
		return one(ending(Expired, e.RequestID, end))
	}
	return nil, reject(http.StatusUnprocessableEntity, "unknown_outcome", "an order ends as rejected, cancelled or expired, not as %q", e.Outcome)
}

func ending(status Status, requestID string, end End) events.Event {
	switch status {
	case Rejected:
		return events.OrderRejected{RequestID: requestID, Code: end.Code, Unavailable: end.Unavailable}
	case Expired:
		return events.OrderExpired{RequestID: requestID}
	}
	return events.OrderCancelled{RequestID: requestID, Reason: end.Reason, By: end.By}
}

// again answers a request unless it was answered. A new request for what
// already is gets its answer too, because its sender waits for one.
func (s State) again(requestID string, answer events.Event) ([]events.Event, error) {
	if s.Answered == requestID {
		return nil, nil
	}
	return one(answer)
}

// when returns the event if the order is where the cause expects it.
func (s State) when(status Status, cause, e events.Event) ([]events.Event, error) {
	switch {
	case s.Status == status:
		return one(e)
	case !s.exists() || slices.Index(way, s.Status) >= 0 && !s.reached(status):
		return nil, s.tooEarly(cause)
	}
	return nil, nil // passed, or ended
}

func (s State) tooEarly(cause events.Event) error {
	return reject(http.StatusConflict, "too_early", "%s came while the order was %q", cause.EventType(), s.Status)
}
