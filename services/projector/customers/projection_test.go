package customers

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
	"github.com/b144f99b/orderflow/services/projector/view/viewtest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestCustomersAreCountedByTheirOrders(t *testing.T) {
	t.Parallel()
	order := func(id string) esjs.StreamID { return esjs.StreamID{Category: events.CategoryOrder, Key: id} }
	created := func(customer string) events.OrderCreated { return events.OrderCreated{CustomerID: customer} }
	read := func(text string) func(context.Context, view.Reader) ([]string, error) {
		return func(ctx context.Context, rows view.Reader) ([]string, error) {
			found := []string{}
			for f := (queries.CustomerFilter{Text: text, Paging: queries.Paging{Limit: 1}}); ; {
				page, err := list(ctx, rows, f)
				if err != nil {
					return nil, err
				}
				for _, c := range page.Customers {
					if one, err := get(ctx, rows, queries.CustomerRequest{CustomerID: c.CustomerID}); err != nil || one.Orders != c.Orders {
						return nil, fmt.Errorf("got %+v, %w; the list has %+v", one, err, c)
					}
					line := fmt.Sprintf("%s %d orders, %d submitted, %d open, %d %d %d %d, %s to %s", c.CustomerID, c.Orders, c.Submitted, c.Open,
						c.Completed, c.Cancelled, c.Rejected, c.Expired, c.FirstOrderAt.Format(time.TimeOnly), c.LastOrderAt.Format(time.TimeOnly))
					for _, s := range c.Spend {
						line += fmt.Sprintf("; %s-%s=%s", s.Paid, s.Refunded, s.Net)
					}
					found = append(found, line)
				}
				if f.Cursor = page.NextCursor; f.Cursor == "" {
					return found, nil
				}
			}
		}
	}
	ann := "Ann 3 orders, 2 submitted, 1 open, 1 1 0 0, 12:00:00 to 12:02:00; 30.00 EUR-10.00 EUR=20.00 EUR; 800 JPY-0 JPY=800 JPY"
	bob := "bob 2 orders, 2 submitted, 0 open, 0 0 1 1, 12:00:00 to 12:00:00"
	for text, want := range map[string][]string{"": {ann, bob}, "AN": {ann}, "none": {}} {
		viewtest.Given(t, View(), read(text)).
			At(noon).Given(order("o-1"), created("Ann"), events.OrderSubmitted{}, events.OrderPaid{Captured: events.MustMoney("30.00", "EUR")}, events.OrderCompleted{}).
			Given(order("o-2"), created("Ann"), events.OrderCancelled{}).
			Given(order("o-4"), created("bob"), events.OrderSubmitted{}, events.OrderRejected{}).
			Given(order("o-5"), created("bob"), events.OrderSubmitted{}, events.OrderExpired{}).
			At(noon.Add(2*time.Minute)).Given(order("o-3"), created("Ann"), events.OrderSubmitted{}, events.OrderPaid{Captured: events.MustMoney("800", "JPY")}).
			Given(order("o-1"), events.OrderRefunded{Amount: events.MustMoney("10.00", "EUR")}).
			Then(want).ThenParked()
	}
}
