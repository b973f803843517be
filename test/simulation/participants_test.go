package simulation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/inventory"
	"github.com/b144f99b/orderflow/services/order"
	"github.com/b144f99b/orderflow/services/payment"
	"github.com/b144f99b/orderflow/services/shipping"
)

// of subscribes to categories, keyed by their streams.
func of(categories ...string) func(esjs.Recorded[events.Event]) string {
	return func(e esjs.Recorded[events.Event]) string {
		if slices.Contains(categories, e.Stream.Category) {
			return e.Stream.Key
		}
		return ""
	}
}

// requestsOf subscribes to what asks something of somebody.
func requestsOf(categories ...string) func(esjs.Recorded[events.Event]) string {
	all := of(categories...)
	return func(e esjs.Recorded[events.Event]) string {
		if strings.HasSuffix(e.Type, "Requested") {
			return all(e)
		}
		return ""
	}
}

func (w *world) addParticipants(takings payment.Desk, dispatch shipping.Desk) {
	requests := requestsOf(events.CategoryFulfilment, events.CategoryRefund)
	w.subscribe("order", of(events.CategoryFulfilment, events.CategoryRefund), w.orderReads)
	w.subscribe("inventory", requests, w.inventoryReads)
	w.subscribe("payment", requests, func(ctx context.Context, e esjs.Recorded[events.Event]) error {
		return takings.Request(ctx, e.Event, esjs.Metadata{CommandID: e.ID})
	})
	w.subscribe("shipping", requestsOf(events.CategoryFulfilment), func(ctx context.Context, e esjs.Recorded[events.Event]) error {
		return dispatch.Request(ctx, e.Event, esjs.Metadata{CommandID: e.ID})
	})
}

// orderReads lets an order follow its fulfilment and its refunds.
func (w *world) orderReads(ctx context.Context, e esjs.Recorded[events.Event]) error {
	key := e.Stream.Key
	if e.Stream.Category == events.CategoryRefund {
		paid, ok := e.Event.(events.RefundPaid)
		if !ok || paid.Cause != events.RefundCustomer {
			return nil
		}
		key = paid.OrderID
	}
	if err := w.mortal(ctx); err != nil || w.repeated(events.CategoryOrder, key, e.ID) {
		return err
	}
	caused, err := order.Decide(w.orders.states[key], order.Reaction{Event: e.Event})
	if err != nil {
		return err
	}
	store(w, w.orders, key, e.ID, caused...)
	return w.mortal(ctx)
}

func (w *world) inventoryReads(ctx context.Context, e esjs.Recorded[events.Event]) error {
	if err := w.mortal(ctx); err != nil {
		return err
	}
	if asked, ok := e.Event.(events.ReservationRequested); ok && w.chance(30) {
		// Others changed the levels all the time: it is refused for now.
		if r := w.reservations.states[asked.OrderID]; !slices.Contains(r.Answered, asked.RequestID) {
			store(w, w.reservations, asked.OrderID, e.ID, events.ReservationRejected{
				OrderID: asked.OrderID, RequestID: asked.RequestID, Code: events.ReservationBusy,
			})
		}
		return nil
	}
	switch asked := e.Event.(type) {
	case events.ReservationRequested:
		w.inventoryAnswers(asked.OrderID, e.ID, asked)
	case events.ReleaseRequested:
		w.inventoryAnswers(asked.OrderID, e.ID, asked)
	case events.StockCommitRequested:
		w.inventoryAnswers(asked.OrderID, e.ID, asked)
	case events.RestockRequested:
		w.inventoryAnswers(asked.OrderID, e.ID, asked)
	}
	return w.mortal(ctx)
}

// inventoryAnswers stores what a request changes, all of it at once.
func (w *world) inventoryAnswers(key, command string, request events.Event) {
	answer, moves := inventory.DecideRequest(w.reservations.states[key], request, func(sku string) inventory.Stock {
		return w.defect.ofLevel(w.stocks.states[sku])
	})
	for _, m := range w.defect.ofMoves(moves) {
		store(w, w.stocks, m.SKU, command, m.Event)
	}
	store(w, w.reservations, key, command, answer...)
	for _, m := range moves {
		w.shop.CheckStock(m.SKU)
	}
}

func (w *world) reservationDue(ctx context.Context, fired esjs.Fired) error {
	if err := w.mortal(ctx); err != nil {
		return err
	}
	w.inventoryAnswers(fired.Stream.Key, "", inventory.Due{OrderID: fired.Stream.Key, At: fired.FiredAt})
	return w.mortal(ctx)
}

// stockUp brings goods into the house.
func (w *world) stockUp(sku string, quantity int) {
	received, err := inventory.DecideStock(w.stocks.states[sku], inventory.Receive{Quantity: quantity, Reference: "delivery"})
	if err == nil {
		store(w, w.stocks, sku, "", received...)
	}
}

// paymentBooks are the world's payments, as payment's desk wants them.
type paymentBooks struct{ w *world }

func (b paymentBooks) Load(ctx context.Context, id string) (payment.State, error) {
	return b.w.payments.states[id], b.w.mortal(ctx)
}

func (b paymentBooks) Handle(ctx context.Context, id string, c payment.Command, m esjs.Metadata) (payment.State, bool, error) {
	w := b.w
	if err := w.mortal(ctx); err != nil {
		return payment.State{}, false, err
	}
	if w.repeated(events.CategoryPayment, id, m.CommandID) {
		return w.payments.states[id], w.defect != newKeys, nil
	}
	caused, err := payment.Decide(w.payments.states[id], c)
	if err != nil {
		return payment.State{}, false, err
	}
	store(w, w.payments, id, m.CommandID, w.defect.ofPayment(caused)...)
	return w.payments.states[id], false, w.mortal(ctx)
}

// shipmentBooks are the world's shipments, as shipping's desk wants them.
type shipmentBooks struct{ w *world }

func (b shipmentBooks) Load(ctx context.Context, id string) (shipping.State, error) {
	return b.w.shipments.states[id], b.w.mortal(ctx)
}

func (b shipmentBooks) Handle(ctx context.Context, id string, c shipping.Command, m esjs.Metadata) (shipping.State, error) {
	w := b.w
	if err := w.mortal(ctx); err != nil {
		return shipping.State{}, err
	}
	if w.repeated(events.CategoryShipment, id, m.CommandID) {
		return w.shipments.states[id], nil
	}
	caused, err := shipping.Decide(w.shipments.states[id], c)
	if err != nil {
		return shipping.State{}, err
	}
	store(w, w.shipments, id, m.CommandID, caused...)
	return w.shipments.states[id], w.mortal(ctx)
}

// goods are what the shop sells.
var goods = map[string]order.Product{
	"beans":  {Name: "Beans", Price: events.MustMoney("24.90", "EUR"), Revision: "1-1", Listed: true},
	"filter": {Name: "Filter", Price: events.MustMoney("3.05", "EUR"), Revision: "1-2", Listed: true},
	"mug":    {Name: "Mug", Price: events.MustMoney("7.00", "EUR"), Revision: "1-3", Listed: true},
}

// customer is one order's.
type customer struct {
	w      *world
	id     string
	placed bool
}

// command gives the order a command; what is refused changes nothing.
func (c *customer) command(command order.Command) {
	if decided, err := order.Decide(c.w.orders.states[c.id], command); err == nil {
		store(c.w, c.w.orders, c.id, "", decided...)
	}
}

// pick takes the usual value most of the time.
func pick[T any](w *world, usual T, others ...T) T {
	if n := w.rand.IntN(len(others) + 2*len(others)); n < len(others) {
		return others[n]
	}
	return usual
}

func (c *customer) method() string {
	return pick(c.w, "card-ok", "card-declined", "card-soft", "card-soft", "card-soft", "card-fraud", "card-slow", "card-timeout", "card-lost", "card-5xx", "card-reset",
		"card-capture-refused", "card-expired", "card-brief", "card-capture-timeout", "card-capture-lost", "card-capture-5xx",
		"card-void-refused", "card-void-timeout", "card-refund-refused", "card-refund-timeout")
}

// wish is what the customer, the carrier or the bank thinks of next.
func (c *customer) wish() {
	w := c.w
	if !c.placed {
		c.place()
		return
	}
	o := w.orders.states[c.id]
	switch w.rand.IntN(16) {
	case 0, 1:
		c.command(order.Cancel{Reason: "changed my mind", By: "c-1"})
	case 2, 3, 4:
		if !o.MethodAwaited.IsZero() {
			c.command(order.SetPaymentMethod{MethodRef: c.method(), At: time.Now()})
			if w.rand.IntN(2) == 0 {
				w.partners.changesItsMind(c.id, pick(w, "authorised", "captured"))
			}
		}
	case 5:
		if len(o.Lines) > 0 {
			l := o.Lines[w.rand.IntN(len(o.Lines))]
			c.command(order.RequestRefund{
				Lines: []events.RefundLine{{LineID: l.LineID, Quantity: 1 + w.rand.IntN(l.Quantity)}}, Reason: "broken", Restock: w.rand.IntN(2) == 0,
			})
		}
	case 6:
		c.command(order.RequestRefund{Amount: fmt.Sprintf("%d.50", w.rand.IntN(9)), Reason: "late"})
	case 7:
		w.partners.happens(c.id, []string{"delivered", "lost", "dispatched"}[w.rand.IntN(3)])
	case 8:
		if w.rand.IntN(4) == 0 {
			w.partners.disputes(o.PaymentID)
		}
	case 12:
		if slices.Contains([]order.Status{order.Paid, order.Dispatched, order.Completed}, o.Status) && w.rand.IntN(2) == 0 {
			w.partners.givesBack(o.PaymentID, pick(w, "1.00", o.Captured.Amount()))
		}
	case 10, 11:
		w.partners.changesItsMind(c.id, pick(w, "authorised", "captured"))
	case 9:
		if w.rand.IntN(8) == 0 {
			w.stockUp(sortedKeys(goods)[w.rand.IntN(len(goods))], 1+w.rand.IntN(3))
		}
	}
}

// place drafts the order and submits it; some leave it, or cancel the draft.
func (c *customer) place() {
	w := c.w
	if c.placed {
		return
	}
	c.placed = true
	c.command(order.Create{OrderID: c.id, CustomerID: "c-1", Currency: "EUR", Channel: "simulation"})
	for range 1 + w.rand.IntN(3) {
		sku := sortedKeys(goods)[w.rand.IntN(len(goods))]
		c.command(order.AddItem{SKU: sku, Quantity: 1 + w.rand.IntN(3), Product: goods[sku]})
	}
	c.command(order.SetShipping{
		AddressRef: pick(w, "addr-1", "addr-unknown", "addr-slow", "addr-timeout", "addr-5xx", "addr-cancel-refused", "addr-lost", "addr-manual"),
		Country:    []string{"DE", "XX"}[w.rand.IntN(16)/15],
	})
	c.command(order.SetPaymentMethod{MethodRef: c.method()})
	switch w.rand.IntN(40) {
	case 0: // never submitted
	case 1:
		c.command(order.Cancel{Reason: "too dear"})
	default:
		c.command(order.Submit{})
	}
}
