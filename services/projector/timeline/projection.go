package timeline

import (
	"context"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// View keeps one row for every event that belongs to an order. A place in the
// store's order is the commit's sequence and the event's version.
func View() view.View {
	return view.View{
		Name: "timeline",
		Form: 1,
		Events: esjs.Query{Categories: []string{
			events.CategoryOrder, events.CategoryFulfilment, events.CategoryReservation,
			events.CategoryPayment, events.CategoryShipment, events.CategoryRefund,
		}},
		Schema: `
			CREATE TABLE {view} (
				order_id     TEXT NOT NULL,
				sequence     BIGINT NOT NULL,
				version      BIGINT NOT NULL,
				category     TEXT NOT NULL,
				key          TEXT NOT NULL,
				type         TEXT NOT NULL,
				time         TEXT NOT NULL,
				event_id     TEXT NOT NULL,
				causation_id TEXT NOT NULL,
				actor        TEXT NOT NULL,
				what         TEXT NOT NULL,
				data         TEXT NOT NULL,
				PRIMARY KEY (order_id, sequence, version)
			)`,
		Apply:   apply,
		Answers: []view.Answer{view.To(queries.OrderTimeline, get)},
	}
}

func apply(ctx context.Context, tx view.Tx, e esjs.Recorded[events.Event]) error {
	orderID := events.OrderOf(e.Stream.Category, e.Stream.Key, e.Data)
	if orderID == "" {
		return nil
	}
	return tx.Exec(ctx, `
		INSERT INTO {view} (order_id, sequence, version, category, key, type, time, event_id, causation_id, actor, what, data)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		orderID, int64(e.Position.Sequence()), int64(e.Version), e.Stream.Category, e.Stream.Key, e.Type,
		view.Sortable(e.Time), e.ID, e.Metadata.CausationID, e.Metadata.Actor, Describe(e.Event), string(e.Data))
}
