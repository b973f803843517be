package orders

import (
	"context"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
	"github.com/b144f99b/orderflow/services/projector/view/viewtest"
)

// The rows in a real database, read as the queries read them.
func TestOrdersAreListedNewestFirst(t *testing.T) {
	t.Parallel()
	first := esjs.StreamID{Category: events.CategoryOrder, Key: "o-1"}
	second := esjs.StreamID{Category: events.CategoryOrder, Key: "o-2"}
	one := queries.OrderSummary{OrderID: "o-1", CustomerID: "c-1", State: queries.Draft, Version: 1, CreatedAt: noon, UpdatedAt: noon}
	two := queries.OrderSummary{OrderID: "o-2", CustomerID: "c-2", State: queries.Draft, Version: 1, CreatedAt: noon.Add(time.Minute), UpdatedAt: noon.Add(time.Minute)}
	cancelled := one
	cancelled.State, cancelled.Version, cancelled.UpdatedAt = queries.Cancelled, 3, noon.Add(time.Hour)

	viewtest.Given(t, View(), func(ctx context.Context, rows view.Reader) ([]queries.OrderSummary, error) {
		page, err := list(ctx, rows, queries.OrderFilter{})
		return page.Orders, err
	}).
		Then([]queries.OrderSummary{}).
		At(noon).Given(first, events.OrderCreated{OrderID: "o-1", CustomerID: "c-1", Currency: "EUR"}).
		Then([]queries.OrderSummary{one}).
		At(noon.Add(time.Minute)).Given(second, events.OrderCreated{OrderID: "o-2", CustomerID: "c-2", Currency: "EUR"}).
		Given(esjs.StreamID{Category: events.CategoryPayment, Key: "p-1"}, events.PaymentVoided{OrderID: "o-1"}).
		Then([]queries.OrderSummary{two, one}).
		At(noon.Add(time.Hour)).Given(first, events.ShippingAddressSet{AddressRef: "a"}, events.OrderCancelled{Reason: "dear"}).
		Then([]queries.OrderSummary{two, cancelled}).
		ThenParked()
}
