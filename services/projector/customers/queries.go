package customers

import (
	"context"
	"database/sql"
	"errors"

	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// get answers with one customer; "customer_not_found" when there is none.
func get(ctx context.Context, rows view.Reader, request queries.CustomerRequest) (queries.Customer, error) {
	if request.CustomerID == "" {
		return queries.Customer{}, view.Required("customer_id", "names the customer")
	}
	c, err := view.Document[queries.Customer](rows.QueryRow(ctx, selectOne, request.CustomerID))
	if errors.Is(err, sql.ErrNoRows) {
		return c, view.NotFound("customer_not_found", "there is no customer %q; one is known by the first order", request.CustomerID)
	}
	return c, err
}

// list answers with the selected customers, by id, a page at a time.
func list(ctx context.Context, rows view.Reader, f queries.CustomerFilter) (queries.CustomerPage, error) {
	page := queries.CustomerPage{Customers: []queries.Customer{}}
	limit, err := view.Limit(f.Limit)
	if err != nil {
		return page, err
	}
	var where view.Where
	if err := where.AndText("words", f.Text); err != nil {
		return page, err
	}
	if err := where.Behind("customer_id", f.Cursor); err != nil {
		return page, err
	}
	text := `SELECT document FROM {view}` + where.SQL() + ` ORDER BY customer_id`
	page.NextCursor, err = rows.Page(ctx, text, where, limit, func(scan func(...any) error) (string, error) {
		c, err := view.Document[queries.Customer](view.Scanner(scan))
		if err != nil {
			return "", err
		}
		page.Customers = append(page.Customers, c)
		return view.Cursor(c.CustomerID), nil
	})
	return page, err
}
