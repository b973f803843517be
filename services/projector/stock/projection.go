package stock

import (
	"context"
	"strings"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// View keeps one row for every product, and one for every movement of its stock.
func View() view.View {
	return view.View{
		Name:   "stock",
		Form:   2,
		Events: esjs.Query{Categories: []string{events.CategoryStock, events.CategoryProduct}},
		Schema: `
			CREATE TABLE {view} (
				sku       TEXT PRIMARY KEY,
				available BIGINT NOT NULL,
				listed    BIGINT NOT NULL,
				words     TEXT NOT NULL,
				document  TEXT NOT NULL
			);
			CREATE INDEX {view}_by_available ON {view} (available, sku);
			CREATE INDEX {view}_by_listed ON {view} (listed, sku);
			CREATE TABLE {view}_movements (
				sku      TEXT NOT NULL,
				version  BIGINT NOT NULL,
				order_id TEXT NOT NULL,
				document TEXT NOT NULL,
				PRIMARY KEY (sku, version)
			);
			CREATE INDEX {view}_movements_by_order ON {view}_movements (sku, order_id, version)`,
		Apply: apply,
		Answers: []view.Answer{
			view.To(queries.StockGet, get),
			view.To(queries.StockList, list),
			view.To(queries.StockMovements, movements),
			view.To(queries.ProductList, products),
		},
	}
}

func apply(ctx context.Context, tx view.Tx, e esjs.Recorded[events.Event]) error {
	before, err := view.DocumentOrNone[queries.Stock](tx.QueryRow(ctx, selectOne, e.Stream.Key))
	if err != nil {
		return err
	}
	after := Fold(before, e)
	document, err := view.Marshal(after)
	if err != nil {
		return err
	}
	err = tx.Exec(ctx, `
		INSERT INTO {view} (sku, available, listed, words, document) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (sku) DO UPDATE SET available = excluded.available, listed = excluded.listed, words = excluded.words, document = excluded.document`,
		after.SKU, after.Available, view.Flag(after.Listed), strings.ToLower(after.SKU+"\n"+after.Name), document)
	if err != nil || e.Stream.Category != events.CategoryStock {
		return err
	}
	m := moved(before, after, e)
	if document, err = view.Marshal(m); err != nil {
		return err
	}
	return tx.Exec(ctx, `INSERT INTO {view}_movements (sku, version, order_id, document) VALUES ($1, $2, $3, $4)`,
		after.SKU, int64(e.Version), m.OrderID, document)
}

const selectOne = `SELECT document FROM {view} WHERE sku = $1`
