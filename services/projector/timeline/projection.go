package timeline

import (
	"context"
	"database/sql"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// Another version of the view has tables of its own: both numbers change together.
const (
	version = 1
	table   = "timeline_v1"
)

// A place in the store's order is the commit's sequence and the event's version.
const schema = `
CREATE TABLE timeline_v1 (
	order_id     TEXT NOT NULL,
	sequence     INTEGER NOT NULL,
	version      INTEGER NOT NULL,
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
)`

// Projection keeps one row for every event that belongs to an order.
func Projection(codec *esjs.Codec[events.Event]) esjs.Projection[*sql.Tx, events.Event] {
	return esjs.Projection[*sql.Tx, events.Event]{
		Name:    "timeline",
		Version: version,
		Codec:   codec,
		Query: esjs.Query{Categories: []string{
			events.CategoryOrder, events.CategoryFulfilment, events.CategoryReservation,
			events.CategoryPayment, events.CategoryShipment,
		}},
		Init: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, schema)
			return err
		},
		Apply: apply,
	}
}

func apply(ctx context.Context, tx *sql.Tx, e esjs.Recorded[events.Event]) error {
	orderID := orderOf(e)
	if orderID == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO `+table+` (order_id, sequence, version, category, key, type, time, event_id, causation_id, actor, what, data)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		orderID, int64(e.Position.Sequence()), int64(e.Version), e.Stream.Category, e.Stream.Key, e.Type,
		e.Time.UTC().Format(time.RFC3339Nano), e.ID, e.Metadata.CausationID, e.Metadata.Actor, Describe(e.Event), string(e.Data))
	return err
}

// orderOf returns the order that an event belongs to: the key of the streams
// that are named after their order, the correlation of the others.
func orderOf(e esjs.Recorded[events.Event]) string {
	switch e.Stream.Category {
	case events.CategoryPayment, events.CategoryShipment:
		return e.Metadata.CorrelationID
	default:
		return e.Stream.Key
	}
}
