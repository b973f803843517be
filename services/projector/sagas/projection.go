package sagas

import (
	"context"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// View keeps one row for every saga, and counts, by day, how long steps took and
// why orders were undone. m counts as well; nil: nothing does.
func View(m *Metrics) view.View {
	return view.View{
		Name:   "sagas",
		Form:   1,
		Events: esjs.Query{Categories: []string{events.CategoryFulfilment, events.CategoryRefund}},
		Schema: `
			CREATE TABLE {view} (
				id         TEXT PRIMARY KEY,
				kind       TEXT NOT NULL,
				order_id   TEXT NOT NULL,
				state      TEXT NOT NULL,
				step       TEXT NOT NULL,
				cause      TEXT NOT NULL,
				attention  BIGINT NOT NULL,
				ended      BIGINT NOT NULL,
				deadline   TEXT NOT NULL,
				started_at TEXT NOT NULL,
				document   TEXT NOT NULL
			);
			CREATE INDEX {view}_by_time  ON {view} (started_at, id);
			CREATE INDEX {view}_by_order ON {view} (order_id, started_at, id);
			CREATE INDEX {view}_by_state ON {view} (state, started_at, id);
			CREATE INDEX {view}_by_cause ON {view} (cause, started_at, id);
			CREATE INDEX {view}_by_need  ON {view} (ended, attention, started_at, id);
			CREATE INDEX {view}_counted  ON {view} (kind, state, attention, ended, deadline, started_at);
			CREATE TABLE {view}_durations (
				day     TEXT NOT NULL,
				kind    TEXT NOT NULL,
				step    TEXT NOT NULL,
				outcome TEXT NOT NULL,
				bucket  BIGINT NOT NULL,
				count   BIGINT NOT NULL,
				PRIMARY KEY (day, kind, step, outcome, bucket)
			);
			CREATE TABLE {view}_failures (
				day     TEXT NOT NULL,
				cause   TEXT NOT NULL,
				outcome TEXT NOT NULL,
				count   BIGINT NOT NULL,
				PRIMARY KEY (day, cause, outcome)
			)`,
		Apply: func(ctx context.Context, tx view.Tx, e esjs.Recorded[events.Event]) error {
			p, done, err := apply(ctx, tx, e)
			if err == nil {
				m.concluded(p, e.Record, done)
			}
			return err
		},
		Figures: figures,
		Answers: []view.Answer{
			view.To(queries.SagaGet, get),
			view.To(queries.SagaList, list),
			view.To(queries.SagaSummary, summarize),
		},
	}
}

func apply(ctx context.Context, tx view.Tx, e esjs.Recorded[events.Event]) (p Process, done []Done, err error) {
	if p, err = view.DocumentOrNone[Process](tx.QueryRow(ctx, selectOne, e.Stream.String())); err != nil {
		return p, nil, err
	}
	p, done = Fold(p, e)
	document, err := view.Marshal(p)
	if err != nil {
		return p, nil, err
	}
	err = tx.Exec(ctx, `
		INSERT INTO {view} (id, kind, order_id, state, step, cause, attention, ended, deadline, started_at, document)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (id) DO UPDATE SET
			order_id = excluded.order_id, state = excluded.state, step = excluded.step, cause = excluded.cause,
			attention = excluded.attention, ended = excluded.ended, deadline = excluded.deadline, document = excluded.document`,
		e.Stream.String(), string(p.Kind), p.OrderID, p.State, string(p.Step), p.Cause, view.Flag(p.needsAttention()), view.Flag(!p.EndedAt.IsZero()),
		view.SortableOrNone(p.Deadline), view.Sortable(p.StartedAt), document)
	if err != nil {
		return p, nil, err
	}
	for _, d := range done {
		if err := count(ctx, tx, p, view.Day(e.Time), d); err != nil {
			return p, nil, err
		}
	}
	return p, done, nil
}

// count adds a conclusion to the day's figures.
func count(ctx context.Context, tx view.Tx, p Process, day string, d Done) error {
	if d.Step == "" {
		return tx.Exec(ctx, `
			INSERT INTO {view}_failures (day, cause, outcome, count) VALUES ($1, $2, $3, 1)
			ON CONFLICT (day, cause, outcome) DO UPDATE SET count = {view}_failures.count + 1`,
			day, d.Cause, string(p.Outcome))
	}
	return tx.Exec(ctx, `
		INSERT INTO {view}_durations (day, kind, step, outcome, bucket, count) VALUES ($1, $2, $3, $4, $5, 1)
		ON CONFLICT (day, kind, step, outcome, bucket) DO UPDATE SET count = {view}_durations.count + 1`,
		day, string(p.Kind), string(d.Step), d.outcome(), bucketOf(d.Took))
}

func (d Done) outcome() string {
	if d.Failed {
		return "failed"
	}
	return "succeeded"
}

const selectOne = `SELECT document FROM {view} WHERE id = $1`

// needsAttention tells that an operator must look.
func (p Process) needsAttention() bool { return p.Attention != "" || p.Quarantined }
