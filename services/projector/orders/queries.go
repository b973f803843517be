package orders

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// get answers with one order; "order_not_found" when there is none.
func get(ctx context.Context, rows view.Reader, request queries.OrderRequest) (queries.Order, error) {
	if request.OrderID == "" {
		return queries.Order{}, view.Required("order_id", "names the order")
	}
	o, err := view.Document[queries.Order](rows.QueryRow(ctx, selectOne, request.OrderID))
	if errors.Is(err, sql.ErrNoRows) {
		return o, view.NotFound("order_not_found",
			"there is no order %q, or the view has not come to it yet", request.OrderID)
	}
	return o, err
}

// list answers with the selected orders, newest first, a page at a time. No order
// is on two pages. A text is looked for in every order that is selected otherwise.
func list(ctx context.Context, rows view.Reader, f queries.OrderFilter) (queries.OrderPage, error) {
	page := queries.OrderPage{Orders: []queries.OrderSummary{}}
	where, err := conditions(f)
	if err != nil {
		return page, err
	}
	limit, err := view.Limit(f.Limit)
	if err != nil {
		return page, err
	}
	text := `SELECT document FROM {view}` + where.SQL() + ` ORDER BY created_at DESC, order_id DESC`
	page.NextCursor, err = rows.Page(ctx, text, where, limit, func(scan func(...any) error) (string, error) {
		o, err := view.Document[queries.OrderSummary](view.Scanner(scan)) // an order has all that a summary has
		if err != nil {
			return "", err
		}
		page.Orders = append(page.Orders, o)
		return view.Place{Time: view.Sortable(o.CreatedAt), ID: o.OrderID}.Cursor(), nil
	})
	return page, err
}

func conditions(f queries.OrderFilter) (where view.Where, err error) {
	if f.CustomerID != "" {
		where.And("customer_id = ?", f.CustomerID)
	}
	if f.State != "" {
		if !slices.Contains(queries.OrderStates(), f.State) {
			return where, view.BadRequest(`"state" is %.60q; it must be one of %s`, f.State, view.Words(queries.OrderStates()))
		}
		where.And("state = ?", string(f.State))
	}
	if !f.CreatedFrom.IsZero() {
		where.And("created_at >= ?", view.Sortable(f.CreatedFrom))
	}
	if !f.CreatedBefore.IsZero() {
		where.And("created_at < ?", view.Sortable(f.CreatedBefore))
	}
	if err := where.AndText("words", f.Text); err != nil {
		return where, err
	}
	if f.Cursor != "" {
		at, err := view.ParsePlace(f.Cursor)
		if err != nil {
			return where, err
		}
		where.And("(created_at, order_id) < (?, ?)", at.Time, at.ID)
	}
	return where, nil
}
