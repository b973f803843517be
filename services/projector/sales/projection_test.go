package sales

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

func money(amount, currency string) events.Money { return events.MustMoney(amount, currency) }

func order(id string) esjs.StreamID { return esjs.StreamID{Category: events.CategoryOrder, Key: id} }

// rows reads the selected sales, two on a page.
func rows(f queries.SaleFilter) func(context.Context, view.Reader) ([]string, error) {
	return func(ctx context.Context, r view.Reader) ([]string, error) {
		found := []string{}
		f.Limit, f.Cursor = 2, ""
		for {
			page, err := list(ctx, r, f)
			if err != nil {
				return nil, err
			}
			for _, s := range page.Sales {
				found = append(found, fmt.Sprintf("%s %s %s: %d for %s, %d for %s back, %s", s.Day, s.SKU, s.Name,
					s.Quantity, s.Booked, s.RefundedQuantity, s.Refunded, s.Net))
			}
			if f.Cursor = page.NextCursor; f.Cursor == "" {
				return found, nil
			}
		}
	}
}

func TestSalesAreBookedWhenPaidLessWhatGoesBack(t *testing.T) {
	t.Parallel()
	beans := events.OrderLine{LineID: "l1", SKU: "beans", Name: "Beans", Quantity: 2, UnitPrice: money("24.90", "EUR")}
	cup := events.OrderLine{LineID: "l2", SKU: "cup", Name: "Cup", Quantity: 3, UnitPrice: money("7.50", "EUR")}
	tea := events.OrderLine{LineID: "l1", SKU: "tea", Name: "Tea", Quantity: 1, UnitPrice: money("500", "JPY")}
	next, third := noon.AddDate(0, 0, 1), noon.AddDate(0, 0, 2)
	for name, test := range map[string]struct {
		filter queries.SaleFilter
		want   []string
	}{
		"all": {queries.SaleFilter{}, []string{
			"2026-03-01 beans Beans: 2 for 49.80 EUR, 0 for 0.00 EUR back, 49.80 EUR",
			"2026-03-01 cup Cup: 3 for 22.50 EUR, 0 for 0.00 EUR back, 22.50 EUR",
			"2026-03-02 beans Beans: 0 for 0.00 EUR, 1 for 24.90 EUR back, -24.90 EUR",
			"2026-03-02 cup Cup: 3 for 22.50 EUR, 0 for 0.00 EUR back, 22.50 EUR",
			"2026-03-02 tea Tea: 1 for 500 JPY, 0 for 0 JPY back, 500 JPY",
			"2026-03-03 beans Beans: 0 for 0.00 EUR, 0 for 6.89 EUR back, -6.89 EUR",
			"2026-03-03 cup Cup: 0 for 0.00 EUR, 0 for 3.11 EUR back, -3.11 EUR",
		}},
		"by day": {queries.SaleFilter{By: queries.SalesByDay}, []string{
			"2026-03-01  : 5 for 72.30 EUR, 0 for 0.00 EUR back, 72.30 EUR",
			"2026-03-02  : 3 for 22.50 EUR, 1 for 24.90 EUR back, -2.40 EUR",
			"2026-03-02  : 1 for 500 JPY, 0 for 0 JPY back, 500 JPY",
			"2026-03-03  : 0 for 0.00 EUR, 0 for 10.00 EUR back, -10.00 EUR",
		}},
		"by product": {queries.SaleFilter{By: queries.SalesByProduct}, []string{
			" beans Beans: 2 for 49.80 EUR, 1 for 31.79 EUR back, 18.01 EUR",
			" cup Cup: 6 for 45.00 EUR, 0 for 3.11 EUR back, 41.89 EUR",
			" tea Tea: 1 for 500 JPY, 0 for 0 JPY back, 500 JPY",
		}},
		"by currency": {queries.SaleFilter{By: queries.SalesByCurrency}, []string{
			"  : 8 for 94.80 EUR, 1 for 34.90 EUR back, 59.90 EUR",
			"  : 1 for 500 JPY, 0 for 0 JPY back, 500 JPY",
		}},
		"one product": {queries.SaleFilter{SKU: "beans", Before: third}, []string{
			"2026-03-01 beans Beans: 2 for 49.80 EUR, 0 for 0.00 EUR back, 49.80 EUR",
			"2026-03-02 beans Beans: 0 for 0.00 EUR, 1 for 24.90 EUR back, -24.90 EUR",
		}},
		"one day and currency": {queries.SaleFilter{Currency: "JPY", From: next, Before: third}, []string{
			"2026-03-02 tea Tea: 1 for 500 JPY, 0 for 0 JPY back, 500 JPY",
		}},
		"nothing": {queries.SaleFilter{From: third.AddDate(0, 0, 1)}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			viewtest.Given(t, View(), rows(test.filter)).
				At(noon).Given(order("o-1"), events.OrderCreated{OrderID: "o-1", Currency: "EUR"},
				events.OrderSubmitted{Lines: []events.OrderLine{beans, cup}}, events.OrderPaid{Captured: money("72.30", "EUR")}).
				At(next).Given(order("o-2"), events.OrderSubmitted{Lines: []events.OrderLine{tea}}, events.OrderPaid{Captured: money("500", "JPY")}).
				Given(order("o-3"), events.OrderSubmitted{Lines: []events.OrderLine{cup}}, events.OrderPaid{Captured: money("22.50", "EUR")}).
				Given(order("o-4"), events.OrderSubmitted{Lines: []events.OrderLine{beans}}, events.OrderCancelled{}).
				Given(order("o-1"), events.OrderRefundRequested{RefundID: "r-1", Amount: money("24.90", "EUR"), Lines: []events.RefundLine{{LineID: "l1", Quantity: 1}}}).
				Given(order("o-1"), events.OrderRefundRequested{RefundID: "r-2", Amount: money("10.00", "EUR")}).
				Given(order("o-1"), events.OrderRefunded{RefundID: "r-1", Amount: money("24.90", "EUR")}).
				At(third).Given(order("o-1"), events.OrderRefunded{RefundID: "r-2", Amount: money("10.00", "EUR")}).
				Then(test.want).ThenParked()
		})
	}
}

func TestWhatCannotBeSharedIsNotBooked(t *testing.T) {
	line := events.OrderLine{LineID: "l1", SKU: "beans", Quantity: 1, UnitPrice: money("1.00", "EUR")}
	submitted, _ := Fold(Order{}, events.OrderSubmitted{Lines: []events.OrderLine{line}})
	asked, _ := Fold(submitted, events.OrderRefundRequested{RefundID: "r-1", Lines: []events.RefundLine{{LineID: "l9", Quantity: 1}}})
	if _, booked := Fold(asked, events.OrderRefunded{RefundID: "r-1", Amount: money("1.00", "EUR")}); len(booked) != 0 {
		t.Errorf("a refund of a line that is not there books %+v", booked)
	}
	if _, booked := Fold(Order{}, events.OrderPaid{Captured: money("1.00", "EUR")}); len(booked) != 0 {
		t.Errorf("an order without lines books %+v", booked)
	}
	if len(submitted.Refunds) != 0 {
		t.Error("Fold changed the order that it was given")
	}
}
