package orders

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
)

const (
	defaultLimit = 50
	maxLimit     = 200
)

// Queries returns the view's endpoints by subject. wait blocks until the view
// has passed the revision that it is given; "" asks for none.
func Queries(db *sql.DB, wait func(ctx context.Context, minRevision string) error) map[string]service.Query {
	return map[string]service.Query{
		"query.orders.get": func(ctx context.Context, body []byte) (any, error) {
			var request struct {
				OrderID     string `json:"order_id"`
				MinRevision string `json:"min_revision"`
			}
			if err := service.Decode(body, &request); err != nil {
				return nil, err
			}
			if request.OrderID == "" {
				return nil, badRequest(`"order_id" is missing; it names the order`)
			}
			if err := wait(ctx, request.MinRevision); err != nil {
				return nil, err
			}
			return Get(ctx, db, request.OrderID)
		},
		"query.orders.list": func(ctx context.Context, body []byte) (any, error) {
			var filter Filter
			if len(body) > 0 {
				if err := service.Decode(body, &filter); err != nil {
					return nil, err
				}
			}
			return List(ctx, db, filter)
		},
	}
}

// Get returns one order; a *[esjs.Rejection] "order_not_found" when there is none.
func Get(ctx context.Context, db *sql.DB, orderID string) (Order, error) {
	o, err := load(ctx, db, orderID)
	if errors.Is(err, sql.ErrNoRows) {
		return o, NotFound(orderID)
	}
	return o, err
}

// NotFound says that there is no such order.
func NotFound(orderID string) error {
	return &esjs.Rejection{
		Code:    "order_not_found",
		Message: fmt.Sprintf("there is no order %q; an order created just now is found with its revision as \"min_revision\"", orderID),
		Status:  http.StatusNotFound,
	}
}

// Filter selects orders; the zero Filter selects all. Limit is 1 to 200, 0
// means 50; Cursor is the NextCursor of the page before.
type Filter struct {
	CustomerID string `json:"customer_id"`
	State      State  `json:"state"`
	Limit      int    `json:"limit"`
	Cursor     string `json:"cursor"`
}

// Page is a part of a list, newest order first. NextCursor is empty on the last one.
type Page struct {
	Orders     []Summary `json:"orders"`
	NextCursor string    `json:"next_cursor,omitzero"`
}

// List returns the selected orders, newest first, a page at a time. No order is
// on two pages; each page shows the state of the moment when it is read.
func List(ctx context.Context, db *sql.DB, f Filter) (Page, error) {
	where, args, err := f.conditions()
	if err != nil {
		return Page{}, err
	}
	limit := f.Limit
	switch {
	case limit == 0:
		limit = defaultLimit
	case limit < 0 || limit > maxLimit:
		return Page{}, badRequest(`"limit" is %d; it must be from 1 to %d`, limit, maxLimit)
	}
	rows, err := db.QueryContext(ctx, `SELECT document FROM `+table+where+` ORDER BY created_at DESC, order_id DESC LIMIT ?`,
		append(args, limit+1)...)
	if err != nil {
		return Page{}, err
	}
	defer rows.Close()
	page := Page{Orders: []Summary{}}
	for rows.Next() {
		var document string
		if err := rows.Scan(&document); err != nil {
			return Page{}, err
		}
		if len(page.Orders) == limit { // the row too many says that there is more
			page.NextCursor = cursorAt(page.Orders[limit-1])
			break
		}
		var o Order
		if err := decode(document, &o); err != nil {
			return Page{}, err
		}
		page.Orders = append(page.Orders, Summary{
			OrderID: o.OrderID, CustomerID: o.CustomerID, State: o.State, Version: o.Version,
			Total: o.Total, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt,
		})
	}
	return page, rows.Err()
}

func (f Filter) conditions() (where string, args []any, err error) {
	var all []string
	if f.CustomerID != "" {
		all, args = append(all, "customer_id = ?"), append(args, f.CustomerID)
	}
	if f.State != "" {
		if !slices.Contains(States(), f.State) {
			return "", nil, badRequest(`"state" is %q; it must be one of %s`, f.State, joined(States()))
		}
		all, args = append(all, "state = ?"), append(args, string(f.State))
	}
	if f.Cursor != "" {
		createdAt, orderID, err := parseCursor(f.Cursor)
		if err != nil {
			return "", nil, err
		}
		all, args = append(all, "(created_at, order_id) < (?, ?)"), append(args, createdAt, orderID)
	}
	if len(all) == 0 {
		return "", nil, nil
	}
	return " WHERE " + strings.Join(all, " AND "), args, nil
}

// A cursor is the place behind an order in a list.
func cursorAt(s Summary) string {
	return base64.RawURLEncoding.EncodeToString([]byte(sortable(s.CreatedAt) + " " + s.OrderID))
}

func parseCursor(cursor string) (createdAt, orderID string, err error) {
	place, err := base64.RawURLEncoding.DecodeString(cursor)
	createdAt, orderID, ok := strings.Cut(string(place), " ")
	if err != nil || !ok || len(createdAt) != len("2006-01-02T15:04:05.000000000Z") {
		return "", "", badRequest(`"cursor" is not one; give back the "next_cursor" of the page before, or none`)
	}
	return createdAt, orderID, nil
}

func badRequest(format string, args ...any) error {
	return &esjs.Rejection{Code: "bad_request", Message: fmt.Sprintf(format, args...), Status: http.StatusBadRequest}
}

func joined(states []State) string {
	words := make([]string, len(states))
	for i, s := range states {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}
