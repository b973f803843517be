package orders

import (
	"context"
	"strings"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// View keeps one row for every order. What a text is looked for in stands in one
// column, in lower case.
func View() view.View {
	return view.View{
		Name:   "orders",
		Form:   1,
		Events: esjs.Query{Categories: []string{events.CategoryOrder}},
		Schema: `
			CREATE TABLE {view} (
				order_id    TEXT PRIMARY KEY,
				customer_id TEXT NOT NULL,
				state       TEXT NOT NULL,
				created_at  TEXT NOT NULL,
				words       TEXT NOT NULL,
				document    TEXT NOT NULL
			);
			CREATE INDEX {view}_by_time     ON {view} (created_at, order_id);
			CREATE INDEX {view}_by_customer ON {view} (customer_id, created_at, order_id);
			CREATE INDEX {view}_by_state    ON {view} (state, created_at, order_id)`,
		Apply: apply,
		Answers: []view.Answer{
			view.To(queries.OrderGet, get),
			view.To(queries.OrderList, list),
		},
	}
}

func apply(ctx context.Context, tx view.Tx, e esjs.Recorded[events.Event]) error {
	o, err := view.DocumentOrNone[queries.Order](tx.QueryRow(ctx, selectOne, e.Stream.Key))
	if err != nil {
		return err
	}
	o = Fold(o, e)
	document, err := view.Marshal(o)
	if err != nil {
		return err
	}
	return tx.Exec(ctx, `
		INSERT INTO {view} (order_id, customer_id, state, created_at, words, document) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (order_id) DO UPDATE SET
			customer_id = excluded.customer_id, state = excluded.state, created_at = excluded.created_at,
			words = excluded.words, document = excluded.document`,
		o.OrderID, o.CustomerID, string(o.State), view.Sortable(o.CreatedAt), words(o), document)
}

const selectOne = `SELECT document FROM {view} WHERE order_id = $1`

// words is what a text is looked for in.
func words(o queries.Order) string {
	all := []string{o.OrderID, o.CustomerID}
	for _, l := range o.Lines {
		all = append(all, l.SKU, l.Name)
	}
	return strings.ToLower(strings.Join(all, "\n"))
}
