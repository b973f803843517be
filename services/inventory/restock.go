package inventory

import (
	"slices"

	"github.com/b144f99b/orderflow/pkg/events"
)

// restock puts goods back that had left the house, once for each refund and
// never more of a sku than left.
func (r Reservation) restock(e events.RestockRequested, levels func(string) Stock) ([]events.Event, []Move) {
	if slices.Contains(r.Answered, e.RequestID) {
		return nil, nil
	}
	back := events.ReservationRestocked{OrderID: e.OrderID, RequestID: e.RequestID, RefundID: e.RefundID, Lines: merged(e.Lines)}
	failed := events.ReservationRestockFailed{OrderID: e.OrderID, RequestID: e.RequestID, RefundID: e.RefundID}
	if i := slices.IndexFunc(r.Restocks, func(s Restock) bool { return s.RefundID == e.RefundID }); i >= 0 {
		back.Lines, back.AlreadyBack = r.Restocks[i].Lines, true
		return []events.Event{back}, nil
	}
	if r.Status != Committed {
		failed.Code = events.RestockNotCommitted
		return []events.Event{failed}, nil
	}
	moves := make([]Move, len(back.Lines))
	for i, l := range back.Lines {
		s := levels(l.SKU)
		if l.Quantity < 1 || l.Quantity > r.away(l.SKU) || l.Quantity > maxLevel-s.OnHand {
			failed.Code = events.RestockExceeds
			return []events.Event{failed}, nil
		}
		moves[i] = Move{l.SKU, events.StockReceived{
			Quantity: l.Quantity, Reference: "refund " + e.RefundID, OnHandAfter: s.OnHand + l.Quantity, ReservedAfter: s.Reserved,
		}}
	}
	return []events.Event{back}, moves
}

// away is how much of a sku left the house for the order and is not back.
func (r Reservation) away(sku string) (n int) {
	for _, l := range r.Lines {
		if l.SKU == sku {
			n += l.Quantity
		}
	}
	for _, s := range r.Restocks {
		for _, l := range s.Lines {
			if l.SKU == sku {
				n -= l.Quantity
			}
		}
	}
	return n
}
