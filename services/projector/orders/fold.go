package orders

import (
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
)

// Fold applies one event of the order. It is total and pure: an event that
// changes nothing here still moves version and time.
func Fold(o queries.Order, r esjs.Recorded[events.Event]) queries.Order {
	o.OrderID = r.Stream.Key
	o.Version = r.Version
	o.UpdatedAt = r.Time

	switch e := r.Event.(type) {
	case events.OrderCreated:
		o.State, o.CustomerID, o.Currency, o.Channel, o.CreatedAt = queries.Draft, e.CustomerID, e.Currency, e.Channel, r.Time
	case events.ItemAdded:
		return withLines(o, append(slices.Clone(o.Lines), line(events.OrderLine{
			LineID: e.LineID, SKU: e.SKU, Name: e.Name, Quantity: e.Quantity, UnitPrice: e.UnitPrice,
		})))
	case events.ItemQuantityChanged:
		return withLines(o, mapped(o.Lines, func(l queries.OrderLine) queries.OrderLine {
			if l.LineID == e.LineID {
				l.Quantity, l.Amount = e.New, amount(l.UnitPrice, e.New)
			}
			return l
		}))
	case events.ItemRemoved:
		return withLines(o, slices.DeleteFunc(slices.Clone(o.Lines), func(l queries.OrderLine) bool { return l.LineID == e.LineID }))
	case events.ShippingAddressSet:
		o.Shipping = queries.Shipping{AddressRef: e.AddressRef, Country: e.Country}
	case events.PaymentMethodSet:
		o.PaymentMethod, o.PaymentMethodUntil = e.MethodRef, time.Time{}
	case events.OrderSubmitted:
		o.State, o.SubmittedAt = queries.Submitted, r.Time
		o.Lines, o.Total = mapped(e.Lines, line), e.Total
	case events.OrderReserved:
		o.State, o.ReservationID = queries.Reserved, e.ReservationID
	case events.OrderPaymentMethodAwaited:
		o.PaymentMethodUntil = e.Until
	case events.OrderPaymentAuthorized:
		o.State, o.PaymentID, o.Authorized, o.PaymentMethodUntil = queries.Authorized, e.PaymentID, e.Amount, time.Time{}
	case events.OrderConfirmed:
		o.State = queries.Confirmed
	case events.OrderPaid:
		o.State, o.PaymentID, o.Captured = queries.Paid, e.PaymentID, e.Captured
	case events.OrderDispatched:
		o.State, o.Tracking = queries.Dispatched, e.Tracking
	case events.OrderCompleted:
		o.State, o.EndedAt = queries.Completed, r.Time
	case events.OrderCancellationRequested:
		o.Cancellation = queries.Cancellation{Reason: e.Reason, By: e.By}
	case events.OrderCancellationRefused:
		o.Cancellation.Refused = e.Reason
	case events.OrderCancelled:
		o.State, o.EndedAt, o.PaymentMethodUntil = queries.Cancelled, r.Time, time.Time{}
		o.Cancellation = queries.Cancellation{Reason: e.Reason, By: e.By}
	case events.OrderRejected:
		o.State, o.EndedAt, o.PaymentMethodUntil = queries.Rejected, r.Time, time.Time{}
		o.Rejection = queries.Rejection{Code: e.Code, Unavailable: e.Unavailable}
	case events.OrderExpired:
		o.State, o.EndedAt, o.PaymentMethodUntil = queries.Expired, r.Time, time.Time{}
	case events.OrderRefundRequested:
		if sum, err := o.RefundRequested.Add(e.Amount); err == nil {
			o.RefundRequested = sum
		}
	case events.OrderRefunded:
		if sum, err := o.Refunded.Add(e.Amount); err == nil {
			o.Refunded = sum
		}
	}
	return o
}

// withLines sets the lines of a draft and their sum; a sum that no Money can
// hold is not shown.
func withLines(o queries.Order, lines []queries.OrderLine) queries.Order {
	o.Lines, o.Total = lines, events.Money{}
	for _, l := range lines {
		sum, err := o.Total.Add(l.Amount)
		if err != nil {
			o.Total = events.Money{}
			break
		}
		o.Total = sum
	}
	return o
}

func line(l events.OrderLine) queries.OrderLine {
	return queries.OrderLine{
		LineID: l.LineID, SKU: l.SKU, Name: l.Name, Quantity: l.Quantity,
		UnitPrice: l.UnitPrice, Amount: amount(l.UnitPrice, l.Quantity),
	}
}

// amount is the zero Money when the product is one that no Money can hold.
func amount(price events.Money, quantity int) events.Money {
	product, err := price.Mul(int64(quantity))
	if err != nil {
		return events.Money{}
	}
	return product
}

func mapped[A, B any](in []A, f func(A) B) []B {
	out := make([]B, len(in))
	for i, a := range in {
		out[i] = f(a)
	}
	return out
}
