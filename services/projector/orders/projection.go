package orders

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/go-json-experiment/json"
)

// Another version of the view has tables of its own: both numbers change together.
const (
	version = 1
	table   = "orders_v1"
)

const schema = `
CREATE TABLE orders_v1 (
	order_id    TEXT PRIMARY KEY,
	customer_id TEXT NOT NULL,
	state       TEXT NOT NULL,
	created_at  TEXT NOT NULL,
	document    TEXT NOT NULL
);
CREATE INDEX orders_v1_by_time     ON orders_v1 (created_at, order_id);
CREATE INDEX orders_v1_by_customer ON orders_v1 (customer_id, created_at, order_id);
CREATE INDEX orders_v1_by_state    ON orders_v1 (state, created_at, order_id);`

// Projection keeps one row for every order.
func Projection(codec *esjs.Codec[events.Event]) esjs.Projection[*sql.Tx, events.Event] {
	return esjs.Projection[*sql.Tx, events.Event]{
		Name:    "orders",
		Version: version,
		Codec:   codec,
		Query:   esjs.Query{Categories: []string{events.CategoryOrder}},
		Init: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, schema)
			return err
		},
		Apply: apply,
	}
}

func apply(ctx context.Context, tx *sql.Tx, e esjs.Recorded[events.Event]) error {
	o, err := load(ctx, tx, e.Stream.Key)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	o = Fold(o, e)
	document, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("order document: %w", err)
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO `+table+` (order_id, customer_id, state, created_at, document) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (order_id) DO UPDATE SET
			customer_id = excluded.customer_id, state = excluded.state,
			created_at = excluded.created_at, document = excluded.document`,
		o.OrderID, o.CustomerID, string(o.State), sortable(o.CreatedAt), string(document))
	return err
}

// load reads one order; sql.ErrNoRows when there is none.
func load(ctx context.Context, from interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}, orderID string) (o Order, err error) {
	var document string
	err = from.QueryRowContext(ctx, `SELECT document FROM `+table+` WHERE order_id = ?`, orderID).Scan(&document)
	if err != nil {
		return o, err
	}
	return o, decode(document, &o)
}

func decode(document string, o *Order) error {
	if err := json.Unmarshal([]byte(document), o); err != nil {
		return fmt.Errorf("order document: %w", err)
	}
	return nil
}

// sortable writes a time so that texts compare as times do.
func sortable(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000000Z") }
