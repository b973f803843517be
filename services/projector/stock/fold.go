package stock

import (
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
)

// Fold applies one event of a product or of its stock. It is total and pure.
func Fold(s queries.Stock, r esjs.Recorded[events.Event]) queries.Stock {
	s.SKU, s.UpdatedAt = r.Stream.Key, r.Time
	if r.Stream.Category == events.CategoryStock {
		s.Version = r.Version
	}
	switch e := r.Event.(type) {
	case events.ProductListed:
		s.Name, s.Price, s.Listed = e.Name, e.Price, true
	case events.ProductPriceChanged:
		s.Price = e.Price
	case events.ProductDelisted:
		s.Listed = false
	case events.StockRegistered:
		return level(s, e.OnHandAfter, e.ReservedAfter)
	case events.StockReceived:
		return level(s, e.OnHandAfter, e.ReservedAfter)
	case events.StockReserved:
		return level(s, e.OnHandAfter, e.ReservedAfter)
	case events.StockReleased:
		return level(s, e.OnHandAfter, e.ReservedAfter)
	case events.StockCommitted:
		return level(s, e.OnHandAfter, e.ReservedAfter)
	case events.StockAdjusted:
		return level(s, e.OnHandAfter, e.ReservedAfter)
	}
	return s
}

func level(s queries.Stock, onHand, reserved int) queries.Stock {
	s.OnHand, s.Reserved, s.Available = onHand, reserved, onHand-reserved
	return s
}

// moved is the movement that an event of the stock was.
func moved(before, after queries.Stock, r esjs.Recorded[events.Event]) queries.Movement {
	m := queries.Movement{
		Version: r.Version, Type: r.Type, Time: r.Time, EventID: r.ID,
		OnHandDelta: after.OnHand - before.OnHand, ReservedDelta: after.Reserved - before.Reserved,
		OnHand: after.OnHand, Reserved: after.Reserved,
	}
	switch e := r.Event.(type) {
	case events.StockReceived:
		m.Reference = e.Reference
	case events.StockReserved:
		m.OrderID = e.OrderID
	case events.StockReleased:
		m.OrderID = e.OrderID
	case events.StockCommitted:
		m.OrderID = e.OrderID
	case events.StockAdjusted:
		m.Reason, m.By = e.Reason, e.By
	}
	return m
}
