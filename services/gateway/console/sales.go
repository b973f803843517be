package console

import (
	"slices"
	"strconv"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
)

// salesData is what was sold in one currency.
type salesData struct {
	Currencies []queries.Sale // each with its sums over everything
	Sum        queries.Sale
	Days       []queries.Sale // of the last [plotted] days
	Plots      [2]plot
	Products   []bar
	Table      []queries.Sale // by product
	Cut        bool           // there are more products than [maxSales]
}

const (
	plotted  = 30   // days
	maxSales = 1000 // rows of a table
)

func salesPage(v *visit) error {
	var data salesData
	all, _, err := v.sales(queries.SaleFilter{By: queries.SalesByCurrency})
	if err != nil {
		return err
	}
	data.Currencies = all
	if len(all) == 0 {
		return v.show("sales", "Sales", v.everything(), data)
	}
	chosen := v.URL.Query().Get("currency")
	i := max(0, slices.IndexFunc(all, func(s queries.Sale) bool { return s.Currency == chosen }))
	data.Sum = all[i]
	today := time.Now().UTC()
	if data.Days, _, err = v.sales(queries.SaleFilter{By: queries.SalesByDay, Currency: data.Sum.Currency, From: today.AddDate(0, 0, 1-plotted)}); err != nil {
		return err
	}
	if data.Table, data.Cut, err = v.sales(queries.SaleFilter{By: queries.SalesByProduct, Currency: data.Sum.Currency}); err != nil {
		return err
	}
	data.Plots = plots(everyDay(data.Days, today))
	slices.SortStableFunc(data.Table, func(a, b queries.Sale) int { return compare(amount(b.Net), amount(a.Net)) })
	for _, s := range data.Table {
		name := s.Name
		if name == "" {
			name = s.SKU
		}
		data.Products = append(data.Products, bar{Label: name, Note: s.SKU, Value: amount(s.Net), Text: grouped(s.Net)})
	}
	data.Products = scale(data.Products[:min(len(data.Products), 12)])
	return v.show("sales", "Sales", v.everything(), data)
}

// sales reads the pages of a grouping, up to [maxSales] rows; more tells that there
// are others.
func (v *visit) sales(request queries.SaleFilter) (all []queries.Sale, more bool, err error) {
	request.Limit = 200
	for {
		request.ReadYourWrites = v.after()
		page, err := ask(v, queries.SaleList, request)
		if err != nil {
			return nil, false, err
		}
		all = append(all, page.Sales...)
		if request.Cursor = page.NextCursor; request.Cursor == "" || len(all) >= maxSales {
			return all, request.Cursor != "", nil
		}
	}
}

// everyDay has a point for each of the [plotted] days up to end, so that a day without
// sales is seen as one.
func everyDay(sales []queries.Sale, end time.Time) []point {
	byDay := make(map[string]queries.Sale, len(sales))
	for _, s := range sales {
		byDay[s.Day] = s
	}
	var points []point
	for back := plotted - 1; back >= 0; back-- {
		at := end.AddDate(0, 0, -back)
		s, sold := byDay[at.Format(time.DateOnly)]
		caption := at.Format("2 Jan 2006") + ": nothing"
		if sold {
			caption = at.Format("2 Jan 2006") + ": " + s.Booked.String() + " booked, " + s.Refunded.String() + " refunded"
		}
		points = append(points, point{Label: at.Format("2 Jan"), Caption: caption, Value: amount(s.Booked), Lost: amount(s.Refunded)})
	}
	return points
}

// amount is money as a length to draw; never to count with.
func amount(m events.Money) float64 {
	f, _ := strconv.ParseFloat(m.Amount(), 64) // the zero Money has no amount, which is 0
	return f
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
