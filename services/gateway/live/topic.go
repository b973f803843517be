package live

import (
	"context"
	"slices"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// Topic selects commits: those for which every field that is set holds.
type Topic struct {
	OrderID    string // of everything that happens to this order
	CustomerID string // of orders of this customer; see [Config.Owner]
	Categories []string
	// asCustomer: of the events only what a customer sees is told.
	asCustomer bool
}

// ofOrders are the categories whose events belong to an order.
var ofOrders = []string{
	events.CategoryOrder, events.CategoryFulfilment, events.CategoryReservation,
	events.CategoryPayment, events.CategoryShipment, events.CategoryRefund,
}

// selects tells that a commit, given by its first event, is of the topic, but for
// whose order it is about: see [Hub.shows].
func (t Topic) selects(r esjs.Record) bool {
	if len(t.Categories) > 0 && !slices.Contains(t.Categories, r.Stream.Category) {
		return false
	}
	return t.OrderID == "" || events.OrderOf(r.Stream.Category, r.Stream.Key, r.Data) == t.OrderID
}

// shows tells that a commit which the topic selects is about an order of its customer.
// An error says that nobody knows just now, and who goes on would miss something.
func (h *Hub) shows(ctx context.Context, topic Topic, c *commit) (bool, error) {
	if topic.CustomerID == "" {
		return true, nil
	}
	customer, err := c.ownedBy(ctx, h.cfg.Owner)
	return err == nil && customer == topic.CustomerID, err
}

// query is what has to be read of the store to find the topic's commits.
func (t Topic) query() esjs.Query {
	q := esjs.Query{Categories: t.Categories}
	if t.OrderID != "" && len(q.Categories) == 0 {
		q.Categories = ofOrders
	}
	return q
}
