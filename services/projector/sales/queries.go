package sales

import (
	"context"
	"slices"
	"strings"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// keys are the columns that a grouping keeps, in the order of its list.
func keys(by queries.SaleGrouping) ([]string, error) {
	switch by {
	case queries.SalesByProductAndDay:
		return []string{"day", "sku", "currency"}, nil
	case queries.SalesByDay:
		return []string{"day", "currency"}, nil
	case queries.SalesByProduct:
		return []string{"sku", "currency"}, nil
	case queries.SalesByCurrency:
		return []string{"currency"}, nil
	}
	return nil, view.BadRequest(`"by" is %.60q; it must be one of %s, or missing`, by, view.Words(queries.SaleGroupings()))
}

// list answers with sums of the selected rows, a page at a time.
func list(ctx context.Context, rows view.Reader, f queries.SaleFilter) (queries.SalePage, error) {
	page := queries.SalePage{Sales: []queries.Sale{}}
	limit, err := view.Limit(f.Limit)
	if err != nil {
		return page, err
	}
	columns, err := keys(f.By)
	if err != nil {
		return page, err
	}
	where := view.Days(f.From, f.Before)
	if f.SKU != "" {
		where.And("sku = ?", f.SKU)
	}
	if f.Currency != "" {
		where.And("currency = ?", f.Currency)
	}
	group := strings.Join(columns, ", ")
	if f.Cursor != "" {
		place, err := view.ParseCursor(f.Cursor, len(columns))
		if err != nil {
			return page, err
		}
		after := make([]any, len(place))
		for i, part := range place {
			after[i] = part
		}
		where.And("("+group+") > ("+strings.TrimPrefix(strings.Repeat(", ?", len(columns)), ", ")+")", after...)
	}
	// What is summed over is shown empty.
	kept := func(column, summed string) string {
		if slices.Contains(columns, column) {
			return column
		}
		return summed
	}
	text := `SELECT ` + kept("day", "''") + `, ` + kept("sku", "''") + `, currency, ` + named(columns) + `,
			CAST(SUM(quantity) AS BIGINT), CAST(SUM(booked) AS BIGINT), CAST(SUM(refunded_quantity) AS BIGINT), CAST(SUM(refunded) AS BIGINT)
		FROM {view}` + where.SQL() + ` GROUP BY ` + group + ` ORDER BY ` + group
	page.NextCursor, err = rows.Page(ctx, text, where, limit, func(scan func(...any) error) (string, error) {
		var (
			s                queries.Sale
			booked, refunded int64
		)
		if err := scan(&s.Day, &s.SKU, &s.Currency, &s.Name, &s.Quantity, &booked, &s.RefundedQuantity, &refunded); err != nil {
			return "", err
		}
		if err := amounts(&s, booked, refunded); err != nil {
			return "", err
		}
		page.Sales = append(page.Sales, s)
		place := map[string]string{"day": s.Day, "sku": s.SKU, "currency": s.Currency}
		parts := make([]string, len(columns))
		for i, column := range columns {
			parts[i] = place[column]
		}
		return view.Cursor(parts...), nil
	})
	return page, err
}

// named is the product's name where one product is on a row.
func named(columns []string) string {
	if slices.Contains(columns, "sku") {
		return "MAX(name)"
	}
	return "''"
}

func amounts(s *queries.Sale, booked, refunded int64) (err error) {
	if s.Booked, err = events.NewMoney(booked, s.Currency); err != nil {
		return err
	}
	if s.Refunded, err = events.NewMoney(refunded, s.Currency); err != nil {
		return err
	}
	s.Net, err = s.Booked.Sub(s.Refunded)
	return err
}
