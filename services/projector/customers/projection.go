package customers

import (
	"context"
	"strings"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// View keeps one row for every customer, and of every order whose it is.
func View() view.View {
	return view.View{
		Name: "customers",
		Form: 1,
		Events: esjs.Query{Categories: []string{events.CategoryOrder}, Types: []string{
			events.OrderCreated{}.EventType(), events.OrderSubmitted{}.EventType(), events.OrderPaid{}.EventType(),
			events.OrderRefunded{}.EventType(), events.OrderCompleted{}.EventType(), events.OrderCancelled{}.EventType(),
			events.OrderRejected{}.EventType(), events.OrderExpired{}.EventType(),
		}},
		Schema: `
			CREATE TABLE {view} (
				customer_id TEXT PRIMARY KEY,
				words       TEXT NOT NULL,
				document    TEXT NOT NULL
			);
			CREATE TABLE {view}_orders (order_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL)`,
		Apply: apply,
		Answers: []view.Answer{
			view.To(queries.CustomerGet, get),
			view.To(queries.CustomerList, list),
		},
	}
}

func apply(ctx context.Context, tx view.Tx, e esjs.Recorded[events.Event]) error {
	id, err := customerOf(ctx, tx, e)
	if err != nil {
		return err
	}
	customer, err := view.DocumentOrNone[queries.Customer](tx.QueryRow(ctx, selectOne, id))
	if err != nil {
		return err
	}
	customer.CustomerID = id
	customer = Fold(customer, e)
	document, err := view.Marshal(customer)
	if err != nil {
		return err
	}
	return tx.Exec(ctx, `
		INSERT INTO {view} (customer_id, words, document) VALUES ($1, $2, $3)
		ON CONFLICT (customer_id) DO UPDATE SET document = excluded.document`, id, strings.ToLower(id), document)
}

// customerOf tells whose order an event is about: its first event says so.
func customerOf(ctx context.Context, tx view.Tx, e esjs.Recorded[events.Event]) (id string, err error) {
	if created, ok := e.Event.(events.OrderCreated); ok {
		return created.CustomerID, tx.Exec(ctx, `INSERT INTO {view}_orders (order_id, customer_id) VALUES ($1, $2)`, e.Stream.Key, created.CustomerID)
	}
	err = tx.QueryRow(ctx, `SELECT customer_id FROM {view}_orders WHERE order_id = $1`, e.Stream.Key).Scan(&id)
	return id, err
}

const selectOne = `SELECT document FROM {view} WHERE customer_id = $1`
