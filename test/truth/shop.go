// Package truth says what must be true of orders, whoever tells it: what is stored
// about them is compared with what the partners' own ledger knows.
//
//	P1 stock is conserved and never negative
//	P2 captured <= authorised, refunded <= captured
//	P3 a terminal order tells the truth
//	P4 every saga ends or asks for attention
//	P6 the PSP's ledger is ours, at most one capture per order that we asked for or used
//
// P5, about replays, needs the events and not the orders; see test/simulation.
package truth

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/inventory"
	"github.com/b144f99b/orderflow/services/order"
	"github.com/b144f99b/orderflow/services/payment"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
	"github.com/b144f99b/orderflow/services/saga/refund"
	"github.com/b144f99b/orderflow/services/shipping"
)

// Shop is what the events of all streams say, folded as the services fold them.
type Shop struct {
	Orders       map[string]order.State
	Stocks       map[string]inventory.Stock
	Reservations map[string]inventory.Reservation
	Payments     map[string]payment.State
	Shipments    map[string]shipping.State
	Fulfilments  map[string]fulfilment.State
	Refunds      map[string]refund.State

	Received  map[string]int       // by sku, what came into the house, restocked goods not counted
	Submitted map[string]time.Time // by order
	Ended     map[string]time.Time // by order, when it was completed, cancelled, rejected or expired
	Resolved  map[string]bool      // by order, that an operator said of its fulfilment that something is done

	// Violations are those of P1 and P2, which hold after each event.
	Violations []Violation
}

// NewShop returns an empty one.
func NewShop() *Shop {
	return &Shop{
		Orders: map[string]order.State{}, Stocks: map[string]inventory.Stock{}, Reservations: map[string]inventory.Reservation{},
		Payments: map[string]payment.State{}, Shipments: map[string]shipping.State{},
		Fulfilments: map[string]fulfilment.State{}, Refunds: map[string]refund.State{},
		Received: map[string]int{}, Submitted: map[string]time.Time{}, Ended: map[string]time.Time{}, Resolved: map[string]bool{},
	}
}

// Read folds everything that a store has. The error is the store's, or says that
// an event does not decode.
func Read(ctx context.Context, store *esjs.Store, codec *esjs.Codec[events.Event]) (*Shop, error) {
	s := NewShop()
	for record, err := range store.ReadAll(ctx, esjs.Query{}) {
		if err != nil {
			return nil, err
		}
		e, err := codec.Decode(record)
		if err != nil {
			return nil, err
		}
		s.Apply(e)
	}
	return s, nil
}

// Apply folds the next event of any stream.
func (s *Shop) Apply(e esjs.Recorded[events.Event]) {
	key := e.Stream.Key
	switch e.Stream.Category {
	case events.CategoryOrder:
		before := s.Orders[key]
		s.Orders[key] = order.Apply(before, e.Event)
		if _, ok := e.Event.(events.OrderSubmitted); ok {
			s.Submitted[key] = e.Time
		}
		if s.Orders[key].Ended() && !before.Ended() {
			s.Ended[key] = e.Time
		}
	case events.CategoryStock:
		switch moved := e.Event.(type) {
		case events.StockReceived:
			if !strings.HasPrefix(moved.Reference, "refund ") {
				s.Received[key] += moved.Quantity
			}
		case events.StockAdjusted:
			s.Received[key] += moved.Delta
		}
		s.Stocks[key] = inventory.ApplyStock(s.Stocks[key], e.Event)
		s.checkLevel(key)
	case events.CategoryReservation:
		s.Reservations[key] = inventory.ApplyReservation(s.Reservations[key], e.Event)
	case events.CategoryPayment:
		s.Payments[key] = payment.Apply(s.Payments[key], e.Event)
		s.checkMoney(key)
	case events.CategoryShipment:
		s.Shipments[key] = shipping.Apply(s.Shipments[key], e.Event)
	case events.CategoryFulfilment:
		s.Fulfilments[key] = fulfilment.Apply(s.Fulfilments[key], e.Event)
		if did, ok := e.Event.(events.OperatorIntervened); ok && did.Action == string(fulfilment.Resolve) {
			s.Resolved[key] = true
		}
	case events.CategoryRefund:
		s.Refunds[key] = refund.Apply(s.Refunds[key], e.Event)
	}
}

// Unsettled says what has yet to end or to ask for attention: orders that were
// submitted, and refunds.
func (s *Shop) Unsettled() (left []string) {
	for id := range s.Submitted {
		f := s.Fulfilments[id]
		if !f.Status.Terminal() && f.Attention == "" || f.Status.Terminal() && !s.Orders[id].Ended() {
			left = append(left, fmt.Sprintf("order %s is %s, its fulfilment %s until %s, asked %v", id, s.Orders[id].Status, f.Status, f.Step.At.Format(time.TimeOnly), f.Asked))
		}
	}
	for id, r := range s.Refunds {
		if r.Status != refund.Settled && r.Attention == "" {
			left = append(left, fmt.Sprintf("refund %s of %s is %s until %s", id, r.OrderID, r.Status, r.Step.At.Format(time.TimeOnly)))
		}
	}
	return left
}
