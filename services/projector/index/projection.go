package index

import (
	"context"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// View keeps one row for every event whose type is known. Their data is read from
// the store.
func View(store *esjs.Store, codec *esjs.Codec[events.Event]) view.View {
	return view.View{
		Name: "events",
		Form: 1,
		Schema: `
			CREATE TABLE {view} (
				sequence       BIGINT NOT NULL,
				version        BIGINT NOT NULL,
				event_id       TEXT NOT NULL,
				type           TEXT NOT NULL,
				category       TEXT NOT NULL,
				key            TEXT NOT NULL,
				time           TEXT NOT NULL,
				actor          TEXT NOT NULL,
				correlation_id TEXT NOT NULL,
				causation_id   TEXT NOT NULL,
				command_id     TEXT NOT NULL,
				PRIMARY KEY (sequence, version)
			);
			CREATE UNIQUE INDEX {view}_by_id   ON {view} (event_id);
			CREATE INDEX {view}_by_type        ON {view} (type, sequence, version);
			CREATE INDEX {view}_by_aggregate   ON {view} (category, key, sequence, version);
			CREATE INDEX {view}_by_correlation ON {view} (correlation_id, sequence, version) WHERE correlation_id <> '';
			CREATE INDEX {view}_by_causation   ON {view} (causation_id, sequence, version) WHERE causation_id <> '';
			CREATE INDEX {view}_by_actor       ON {view} (actor, sequence, version) WHERE actor <> '';
			CREATE INDEX {view}_by_command     ON {view} (command_id) WHERE command_id <> ''`,
		Apply: apply,
		Answers: []view.Answer{
			view.To(queries.EventGet, detail{store, codec}.get),
			view.To(queries.EventList, list),
			view.To(queries.EventCausation, causation),
			view.To(queries.EventCorrelation, correlation),
		},
	}
}

func apply(ctx context.Context, tx view.Tx, e esjs.Recorded[events.Event]) error {
	return tx.Exec(ctx, `
		INSERT INTO {view} (sequence, version, event_id, type, category, key, time, actor, correlation_id, causation_id, command_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		int64(e.Position.Sequence()), int64(e.Version), e.ID, e.Type, e.Stream.Category, e.Stream.Key, view.Sortable(e.Time),
		e.Metadata.Actor, e.Metadata.CorrelationID, e.Metadata.CausationID, e.Metadata.CommandID)
}
