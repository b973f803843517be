package stock

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

// levels reads the selected products, two on a page.
func levels(f queries.StockFilter) func(context.Context, view.Reader) ([]string, error) {
	return func(ctx context.Context, rows view.Reader) ([]string, error) {
		found := []string{}
		f.Limit, f.Cursor = 2, ""
		for {
			page, err := list(ctx, rows, f)
			if err != nil {
				return nil, err
			}
			for _, s := range page.Stock {
				one, err := get(ctx, rows, queries.StockRequest{SKU: s.SKU, LowAt: f.LowAt})
				if err != nil || one != s {
					return nil, fmt.Errorf("got %+v, %w; the list has %+v", one, err, s)
				}
				found = append(found, fmt.Sprintf("%s %s %s listed %t: %d-%d=%d low %t, version %d", s.SKU, s.Name, s.Price, s.Listed, s.OnHand, s.Reserved, s.Available, s.Low, s.Version))
			}
			if f.Cursor = page.NextCursor; f.Cursor == "" {
				return found, nil
			}
		}
	}
}

func TestStockIsWhatIsOnHandAndNotReserved(t *testing.T) {
	t.Parallel()
	none := 0
	for name, test := range map[string]struct {
		filter queries.StockFilter
		want   []string
	}{
		"all": {queries.StockFilter{}, []string{
			"beans Beans 19.90 EUR listed true: 40-3=37 low false, version 3",
			"cup Cup_1 7.50 EUR listed false: 0-0=0 low true, version 0",
			"tea  0 listed false: 6-2=4 low true, version 2",
		}},
		"low":                {queries.StockFilter{Low: true}, []string{"cup Cup_1 7.50 EUR listed false: 0-0=0 low true, version 0", "tea  0 listed false: 6-2=4 low true, version 2"}},
		"out of stock":       {queries.StockFilter{Low: true, LowAt: &none}, []string{"cup Cup_1 7.50 EUR listed false: 0-0=0 low true, version 0"}},
		"text":               {queries.StockFilter{Text: "UP_"}, []string{"cup Cup_1 7.50 EUR listed false: 0-0=0 low true, version 0"}},
		"text is no pattern": {queries.StockFilter{Text: "b%s"}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stock := func(sku string) esjs.StreamID {
				return esjs.StreamID{Category: events.CategoryStock, Key: sku}
			}
			product := func(sku string) esjs.StreamID {
				return esjs.StreamID{Category: events.CategoryProduct, Key: sku}
			}
			viewtest.Given(t, View(), levels(test.filter)).
				Given(product("beans"), events.ProductListed{Name: "Beans", Price: events.MustMoney("24.90", "EUR")}, events.ProductPriceChanged{Price: events.MustMoney("19.90", "EUR")}).
				Given(product("cup"), events.ProductListed{Name: "Cup_1", Price: events.MustMoney("7.50", "EUR")}, events.ProductDelisted{}).
				Given(stock("beans"), events.StockRegistered{}, events.StockReceived{Quantity: 40, OnHandAfter: 40}, events.StockReserved{Quantity: 3, OnHandAfter: 40, ReservedAfter: 3}).
				Given(stock("tea"), events.StockReceived{Quantity: 6, OnHandAfter: 6}, events.StockReserved{Quantity: 2, OnHandAfter: 6, ReservedAfter: 2}).
				Then(test.want).ThenParked()
		})
	}
}

func TestMovementsTellWhatMovedTheStock(t *testing.T) {
	t.Parallel()
	beans := esjs.StreamID{Category: events.CategoryStock, Key: "beans"}
	read := func(order string) func(context.Context, view.Reader) ([]string, error) {
		return func(ctx context.Context, rows view.Reader) ([]string, error) {
			found := []string{}
			f := queries.MovementFilter{SKU: "beans", OrderID: order, Paging: queries.Paging{Limit: 2}}
			for {
				page, err := movements(ctx, rows, f)
				if err != nil {
					return nil, err
				}
				for _, m := range page.Movements {
					found = append(found, fmt.Sprintf("%d %s %s: %+d %+d to %d %d%s", m.Version, m.Type, m.Time.Format(time.TimeOnly),
						m.OnHandDelta, m.ReservedDelta, m.OnHand, m.Reserved, " "+m.OrderID+m.Reference+m.Reason+m.By))
				}
				if f.Cursor = page.NextCursor; f.Cursor == "" {
					return found, nil
				}
			}
		}
	}
	for order, want := range map[string][]string{
		"": {
			"6 StockAdjusted 12:01:00: -1 +0 to 37 0 brokenann",
			"5 StockCommitted 12:00:00: -2 -2 to 38 0 o-1",
			"4 StockReleased 12:00:00: +0 -3 to 40 2 o-2",
			"3 StockReserved 12:00:00: +0 +3 to 40 5 o-2",
			"2 StockReserved 12:00:00: +0 +2 to 40 2 o-1",
			"1 StockReceived 12:00:00: +40 +0 to 40 0 d-1",
		},
		"o-2": {"4 StockReleased 12:00:00: +0 -3 to 40 2 o-2", "3 StockReserved 12:00:00: +0 +3 to 40 5 o-2"},
	} {
		viewtest.Given(t, View(), read(order)).
			At(noon).Given(beans, events.StockReceived{Quantity: 40, Reference: "d-1", OnHandAfter: 40},
			events.StockReserved{OrderID: "o-1", Quantity: 2, OnHandAfter: 40, ReservedAfter: 2},
			events.StockReserved{OrderID: "o-2", Quantity: 3, OnHandAfter: 40, ReservedAfter: 5},
			events.StockReleased{OrderID: "o-2", Quantity: 3, OnHandAfter: 40, ReservedAfter: 2},
			events.StockCommitted{OrderID: "o-1", Quantity: 2, OnHandAfter: 38}).
			At(noon.Add(time.Minute)).Given(beans, events.StockAdjusted{Delta: -1, Reason: "broken", By: "ann", OnHandAfter: 37}).
			Then(want).ThenParked()
	}
}

// What buyers are told is what is for sale, and nothing of how much others hold.
func TestProductsAreWhatCanBeOrdered(t *testing.T) {
	t.Parallel()
	read := func(text string) func(context.Context, view.Reader) ([]string, error) {
		return func(ctx context.Context, rows view.Reader) ([]string, error) {
			found := []string{}
			f := queries.ProductFilter{Text: text, Paging: queries.Paging{Limit: 1}}
			for {
				page, err := products(ctx, rows, f)
				if err != nil {
					return nil, err
				}
				for _, p := range page.Products {
					found = append(found, fmt.Sprintf("%s %s %s in stock %t", p.SKU, p.Name, p.Price, p.InStock))
				}
				if f.Cursor = page.NextCursor; f.Cursor == "" {
					return found, nil
				}
			}
		}
	}
	of := func(category, sku string) esjs.StreamID { return esjs.StreamID{Category: category, Key: sku} }
	for text, want := range map[string][]string{
		"":     {"beans Beans 19.90 EUR in stock true", "cup Cup 7.50 EUR in stock false", "filter Filter 1.00 EUR in stock false"},
		"EANS": {"beans Beans 19.90 EUR in stock true"},
		"tea":  {},
	} {
		viewtest.Given(t, View(), read(text)).
			Given(of("product", "beans"), events.ProductListed{Name: "Beans", Price: events.MustMoney("24.90", "EUR")}, events.ProductPriceChanged{Price: events.MustMoney("19.90", "EUR")}).
			Given(of("stock", "beans"), events.StockReceived{Quantity: 40, OnHandAfter: 40}).
			Given(of("product", "cup"), events.ProductListed{Name: "Cup", Price: events.MustMoney("7.50", "EUR")}).
			Given(of("stock", "cup"), events.StockReceived{Quantity: 2, OnHandAfter: 2}, events.StockReserved{Quantity: 2, OnHandAfter: 2, ReservedAfter: 2}).
			Given(of("product", "filter"), events.ProductListed{Name: "Filter", Price: events.MustMoney("1.00", "EUR")}).
			Given(of("product", "gone"), events.ProductListed{Name: "Gone", Price: events.MustMoney("1.00", "EUR")}, events.ProductDelisted{}).
			Given(of("stock", "gone"), events.StockReceived{Quantity: 6, OnHandAfter: 6}).
			Given(of("stock", "tea"), events.StockReceived{Quantity: 6, OnHandAfter: 6}).
			Then(want).ThenParked()
	}
}
