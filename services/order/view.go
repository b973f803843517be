package order

import (
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
)

// viewOf is what a reply shows of an order.
func viewOf(s State) queries.OrderView {
	v := queries.OrderView{
		OrderID: s.OrderID, Status: queries.OrderState(s.Status), CustomerID: s.CustomerID, Currency: s.Currency, Channel: s.Channel,
		Lines: []queries.OrderViewLine{}, AddressRef: s.AddressRef, Country: s.Country, MethodRef: s.MethodRef,
		PaymentID: s.PaymentID, MethodAwaited: s.MethodAwaited, Cancellation: (*queries.OrderCancellation)(s.Cancellation),
		Captured: s.Captured, RefundsSum: s.RefundsSum, Tracking: s.Tracking, End: (*queries.OrderEnd)(s.End),
	}
	for _, l := range s.Lines {
		cost, _ := l.UnitPrice.Mul(int64(l.Quantity)) // decided to be countable, with the sum
		v.Lines = append(v.Lines, queries.OrderViewLine{
			LineID: l.LineID, SKU: l.SKU, Name: l.Name, Quantity: l.Quantity, UnitPrice: l.UnitPrice, Total: cost,
		})
	}
	for _, r := range s.Refunds {
		v.Refunds = append(v.Refunds, queries.OrderRefund(r))
	}
	if v.Total, _ = sum(s.Lines); len(s.Lines) == 0 {
		v.Total, _ = events.NewMoney(0, s.Currency)
	}
	return v
}
