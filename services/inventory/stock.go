package inventory

import (
	"net/http"

	"github.com/b144f99b/orderflow/pkg/events"
)

// maxLevel bounds what is on hand of one sku, so that sums cannot overflow.
const maxLevel = 1_000_000_000

// Stock is one sku's level. Always 0 <= Reserved <= OnHand.
type Stock struct {
	Registered bool `json:"registered"`
	OnHand     int  `json:"on_hand"`
	Reserved   int  `json:"reserved"`
}

// Available is what can still be reserved.
func (s Stock) Available() int { return s.OnHand - s.Reserved }

// StockCommand is a command to one sku's stock.
type StockCommand interface {
	decide(Stock) ([]events.Event, error)
}

// Register keeps the sku in stock, with nothing on hand.
type Register struct{}

// Receive adds goods; it registers a sku that is not known.
type Receive struct {
	Quantity  int
	Reference string
}

// Adjust corrects what is on hand after a count: an operator's decision.
type Adjust struct {
	Delta      int
	Reason, By string
}

// ApplyStock folds one event of a stock: each carries the levels after it. What it does
// not know changes nothing.
func ApplyStock(s Stock, e events.Event) Stock {
	at := func(onHand, reserved int) Stock { return Stock{Registered: true, OnHand: onHand, Reserved: reserved} }
	switch e := e.(type) {
	case events.StockRegistered:
		return at(e.OnHandAfter, e.ReservedAfter)
	case events.StockReceived:
		return at(e.OnHandAfter, e.ReservedAfter)
	case events.StockReserved:
		return at(e.OnHandAfter, e.ReservedAfter)
	case events.StockReleased:
		return at(e.OnHandAfter, e.ReservedAfter)
	case events.StockCommitted:
		return at(e.OnHandAfter, e.ReservedAfter)
	case events.StockAdjusted:
		return at(e.OnHandAfter, e.ReservedAfter)
	}
	return s
}

// DecideStock decides a command to one sku's stock.
func DecideStock(s Stock, c StockCommand) ([]events.Event, error) { return c.decide(s) }

func (Register) decide(s Stock) ([]events.Event, error) {
	if s.Registered {
		return nil, nil
	}
	return []events.Event{events.StockRegistered{}}, nil
}

func (c Receive) decide(s Stock) ([]events.Event, error) {
	if c.Quantity < 1 || c.Quantity > maxLevel-s.OnHand {
		return nil, reject(http.StatusUnprocessableEntity, "quantity_out_of_range", "the quantity is %d; it must be from 1 to %d", c.Quantity, maxLevel-s.OnHand)
	}
	received := events.StockReceived{
		Quantity: c.Quantity, Reference: c.Reference,
		OnHandAfter: s.OnHand + c.Quantity, ReservedAfter: s.Reserved,
	}
	if !s.Registered {
		return []events.Event{events.StockRegistered{}, received}, nil
	}
	return []events.Event{received}, nil
}

func (c Adjust) decide(s Stock) ([]events.Event, error) {
	least, most := -s.Available(), maxLevel-s.OnHand
	switch {
	case !s.Registered:
		return nil, reject(http.StatusNotFound, "sku_not_found", "there is no such sku in stock; add it with register or receive")
	case c.Reason == "":
		return nil, reject(http.StatusUnprocessableEntity, "field_required", `the field "reason" must not be empty`)
	case c.Delta == 0:
		return nil, nil
	case c.Delta < least || c.Delta > most:
		return nil, reject(http.StatusConflict, "delta_out_of_range",
			"the delta is %d; with %d on hand and %d reserved it must be from %d to %d; what is reserved is free again when its orders are cancelled, and has left when they are paid", c.Delta, s.OnHand, s.Reserved, least, most)
	}
	return []events.Event{events.StockAdjusted{
		Delta: c.Delta, Reason: c.Reason, By: c.By,
		OnHandAfter: s.OnHand + c.Delta, ReservedAfter: s.Reserved,
	}}, nil
}
