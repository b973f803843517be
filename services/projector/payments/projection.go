package payments

import (
	"context"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// View keeps one row for every payment. Amounts in columns, which sums are made
// of, are in the currency's minor units.
func View() view.View {
	return view.View{
		Name:   "payments",
		Form:   1,
		Events: esjs.Query{Categories: []string{events.CategoryPayment}},
		Schema: `
			CREATE TABLE {view} (
				payment_id  TEXT PRIMARY KEY,
				order_id    TEXT NOT NULL,
				state       TEXT NOT NULL,
				unsure      BIGINT NOT NULL,
				disputed    BIGINT NOT NULL,
				created_at  TEXT NOT NULL,
				document    TEXT NOT NULL
			);
			CREATE INDEX {view}_by_time     ON {view} (created_at, payment_id);
			CREATE INDEX {view}_by_order    ON {view} (order_id, created_at, payment_id);
			CREATE INDEX {view}_by_state    ON {view} (state, created_at, payment_id);
			CREATE INDEX {view}_by_question ON {view} (unsure, disputed, created_at, payment_id);
			CREATE TABLE {view}_sums (
				currency    TEXT PRIMARY KEY,
				authorized  BIGINT NOT NULL,
				captured    BIGINT NOT NULL,
				refunded    BIGINT NOT NULL,
				outstanding BIGINT NOT NULL
			)`,
		Apply: apply,
		Answers: []view.Answer{
			view.To(queries.PaymentGet, get),
			view.To(queries.PaymentList, list),
			view.To(queries.PaymentSummary, summarize),
		},
	}
}

func apply(ctx context.Context, tx view.Tx, e esjs.Recorded[events.Event]) error {
	before, err := view.DocumentOrNone[queries.Payment](tx.QueryRow(ctx, selectOne, e.Stream.Key))
	if err != nil {
		return err
	}
	after := Fold(before, e)
	document, err := view.Marshal(after)
	if err != nil {
		return err
	}
	err = tx.Exec(ctx, `
		INSERT INTO {view} (payment_id, order_id, state, unsure, disputed, created_at, document) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (payment_id) DO UPDATE SET order_id = excluded.order_id, state = excluded.state,
			unsure = excluded.unsure, disputed = excluded.disputed, document = excluded.document`,
		after.PaymentID, after.OrderID, string(after.State), view.Flag(after.Unknown != ""), view.Flag(after.Disputed.Sign() > 0),
		view.Sortable(after.CreatedAt), document)
	if err != nil {
		return err
	}
	return add(ctx, tx, before, after)
}

// add adds what an event changed to the sums of the currency.
func add(ctx context.Context, tx view.Tx, before, after queries.Payment) error {
	authorized, captured := after.Authorized.Minor()-before.Authorized.Minor(), after.Captured.Minor()-before.Captured.Minor()
	refunded, outstanding := after.Refunded.Minor()-before.Refunded.Minor(), after.Outstanding.Minor()-before.Outstanding.Minor()
	if authorized == 0 && captured == 0 && refunded == 0 && outstanding == 0 {
		return nil
	}
	return tx.Exec(ctx, `
		INSERT INTO {view}_sums (currency, authorized, captured, refunded, outstanding) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (currency) DO UPDATE SET
			authorized = {view}_sums.authorized + excluded.authorized, captured = {view}_sums.captured + excluded.captured,
			refunded = {view}_sums.refunded + excluded.refunded, outstanding = {view}_sums.outstanding + excluded.outstanding`,
		currency(after), authorized, captured, refunded, outstanding)
}

// currency is that of the payment: the same in all of its amounts.
func currency(p queries.Payment) string {
	for _, m := range []events.Money{p.Amount, p.Authorized, p.Captured, p.Refunded} {
		if m.Currency() != "" {
			return m.Currency()
		}
	}
	return ""
}

const selectOne = `SELECT document FROM {view} WHERE payment_id = $1`
