package sales

import (
	"context"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// View keeps a row for every product, day and currency, and of every order that
// was submitted what a booking needs. Amounts are in the currency's minor units.
func View() view.View {
	return view.View{
		Name: "sales",
		Form: 1,
		Events: esjs.Query{Types: []string{
			events.OrderSubmitted{}.EventType(), events.OrderPaid{}.EventType(),
			events.OrderRefundRequested{}.EventType(), events.OrderRefunded{}.EventType(),
		}, Categories: []string{events.CategoryOrder}},
		Schema: `
			CREATE TABLE {view} (
				day               TEXT NOT NULL,
				sku               TEXT NOT NULL,
				currency          TEXT NOT NULL,
				name              TEXT NOT NULL,
				quantity          BIGINT NOT NULL,
				booked            BIGINT NOT NULL,
				refunded_quantity BIGINT NOT NULL,
				refunded          BIGINT NOT NULL,
				PRIMARY KEY (day, sku, currency)
			);
			CREATE INDEX {view}_by_product ON {view} (sku, day, currency);
			CREATE TABLE {view}_orders (order_id TEXT PRIMARY KEY, document TEXT NOT NULL)`,
		Apply:   apply,
		Answers: []view.Answer{view.To(queries.SaleList, list)},
	}
}

func apply(ctx context.Context, tx view.Tx, e esjs.Recorded[events.Event]) error {
	order, err := view.DocumentOrNone[Order](tx.QueryRow(ctx, `SELECT document FROM {view}_orders WHERE order_id = $1`, e.Stream.Key))
	if err != nil {
		return err
	}
	order, bookings := Fold(order, e.Event)
	document, err := view.Marshal(order)
	if err != nil {
		return err
	}
	err = tx.Exec(ctx, `INSERT INTO {view}_orders (order_id, document) VALUES ($1, $2)
		ON CONFLICT (order_id) DO UPDATE SET document = excluded.document`, e.Stream.Key, document)
	if err != nil {
		return err
	}
	for _, b := range bookings {
		if err := book(ctx, tx, view.Day(e.Time), b); err != nil {
			return err
		}
	}
	return nil
}

func book(ctx context.Context, tx view.Tx, day string, b Booking) error {
	return tx.Exec(ctx, `
		INSERT INTO {view} (day, sku, currency, name, quantity, booked, refunded_quantity, refunded) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (day, sku, currency) DO UPDATE SET
			name = excluded.name, quantity = {view}.quantity + excluded.quantity, booked = {view}.booked + excluded.booked,
			refunded_quantity = {view}.refunded_quantity + excluded.refunded_quantity, refunded = {view}.refunded + excluded.refunded`,
		day, b.SKU, b.Currency, b.Name, b.Quantity, b.Booked.Minor(), b.RefundedQuantity, b.Refunded.Minor())
}
