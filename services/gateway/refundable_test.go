package gateway_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/gateway"
)

// What is left to give back of an order is right however much has happened to it: more
// than its page shows, and more than one answer holds.
func TestWhatIsLeftToRefundOfALongOrder(t *testing.T) {
	const versions, shown = 2000, 500
	money := func(amount string) events.Money { return events.MustMoney(amount, "EUR") }
	refund, err := json.Marshal(events.OrderRefundRequested{Amount: money("10.00"), Lines: []events.RefundLine{{LineID: "l1", Quantity: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, gateway.Config{})
	env := r.Env("projector")
	env.Health.AwaitEndpoints("projector")
	r.Run(func(ctx context.Context) error {
		return env.ServeQueries(ctx, service.Queries{Name: "projector", Handlers: map[string]service.Query{
			queries.OrderGet.Subject: service.Answering(func(context.Context, queries.OrderRequest) (queries.Order, error) {
				return queries.Order{
					OrderID: "o-1", CustomerID: "c-1", State: queries.Completed, Version: versions, Currency: "EUR",
					Captured: money("50.00"), RefundRequested: money("10.00"),
					Lines: []queries.OrderLine{{LineID: "l1", SKU: "cup", Name: "Cup", Quantity: 3, UnitPrice: money("10.00"), Amount: money("30.00")}},
				}, nil
			}),
			queries.OrderTimeline.Subject: service.Answering(func(_ context.Context, q queries.TimelineRequest) (queries.Timeline, error) {
				from, _ := strconv.Atoi(q.Cursor)
				page := queries.Timeline{OrderID: "o-1", NextCursor: strconv.Itoa(from + shown)}
				for n := range shown {
					page.Entries = append(page.Entries, queries.TimelineEntry{Category: "fulfilment", Type: "StepRetried", Version: uint64(from + n + 1), Data: []byte("{}")})
				}
				return page, nil
			}),
			queries.OrderAt.Subject: service.Answering(func(context.Context, queries.OrderAtRequest) (queries.OrderMoment, error) {
				return queries.OrderMoment{Version: versions, State: queries.OrderView{OrderID: "o-1", CustomerID: "c-1", Status: queries.Completed}}, nil
			}),
			queries.OrderDiff.Subject: service.Answering(func(context.Context, queries.OrderDiffRequest) (queries.OrderDifference, error) {
				return queries.OrderDifference{}, nil
			}),
			queries.OrderEvents.Subject: service.Answering(func(_ context.Context, q queries.OrderEventsRequest) (queries.OrderEventPage, error) {
				page := queries.OrderEventPage{OrderID: "o-1"}
				for n := max(1, q.From); n <= versions; n++ {
					if len(page.Events) == q.Limit {
						page.Next = n
						break
					}
					e := queries.StoredEvent{Category: "order", Key: "o-1", Version: n, Type: "OrderDispatched", Data: []byte("{}")}
					if n == versions {
						e.Type, e.Data = "OrderRefundRequested", refund
					}
					page.Events = append(page.Events, e)
				}
				return page, nil
			}),
		}})
	})
	r.Ready(env)
	resp, err := http.Get(r.url + "/console/orders/o-1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	const want = `name="line-l1" min="0" max="2"` // of three
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
		t.Errorf("%s, without %s: %s", resp.Status, want, body)
	}
}
