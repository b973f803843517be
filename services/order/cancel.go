package order

import (
	"net/http"

	"github.com/b144f99b/orderflow/pkg/events"
)

// Cancel ends a draft. Of an order that is being fulfilled it asks for a
// cancellation, which fulfilment carries out as long as nothing is paid.
type Cancel struct {
	Reason, By string
}

func (c Cancel) decide(s State) ([]events.Event, error) {
	if err := firstOf(s.existing(), optional("reason", c.Reason)); err != nil {
		return nil, err
	}
	switch s.Status {
	case Draft:
		return one(events.OrderCancelled{Reason: c.Reason, By: c.By})
	case Submitted, Reserved, Authorized, Confirmed:
		if s.Cancellation != nil {
			return nil, nil
		}
		return one(events.OrderCancellationRequested(c))
	case Cancelled:
		return nil, nil
	case Rejected, Expired:
		return nil, reject(http.StatusConflict, "already_ended", "order %s is %s and nothing of it is left to cancel", s.OrderID, s.Status)
	}
	return nil, reject(http.StatusConflict, "too_late", "order %s is %s; an order can be cancelled until it is Paid, and refunded afterwards with request-refund", s.OrderID, s.Status)
}
