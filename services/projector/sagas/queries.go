package sagas

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// get answers with one saga; "saga_not_found" when there is none.
func get(ctx context.Context, rows view.Reader, request queries.SagaRequest) (queries.Saga, error) {
	id := esjs.StreamID{Category: events.CategoryFulfilment, Key: request.OrderID}
	switch {
	case (request.OrderID == "") == (request.RefundID == ""):
		return queries.Saga{}, view.BadRequest(`give either "order_id", for the fulfilment of an order, or "refund_id"`)
	case request.RefundID != "":
		id = esjs.StreamID{Category: events.CategoryRefund, Key: request.RefundID}
	}
	p, err := view.Document[Process](rows.QueryRow(ctx, selectOne, id.String()))
	if errors.Is(err, sql.ErrNoRows) {
		return p.Saga, view.NotFound("saga_not_found", "there is no %s %q; it begins when an order is submitted or a refund requested", id.Category, id.Key)
	}
	return p.shown(time.Now()), err
}

// shown is the saga as it is at a moment.
func (p Process) shown(now time.Time) queries.Saga {
	s := p.Saga
	s.Overdue = s.EndedAt.IsZero() && !s.Deadline.IsZero() && s.Deadline.Before(now)
	if !s.EndedAt.IsZero() {
		now = s.EndedAt
	}
	s.AgeSeconds = max(0, now.Sub(s.StartedAt).Seconds())
	s.StateAgeSeconds = max(0, now.Sub(s.StateSince).Seconds())
	return s
}

// list answers with the selected sagas, the oldest first, a page at a time.
func list(ctx context.Context, rows view.Reader, f queries.SagaFilter) (queries.SagaPage, error) {
	page := queries.SagaPage{Sagas: []queries.Saga{}}
	limit, err := view.Limit(f.Limit)
	if err != nil {
		return page, err
	}
	now := time.Now()
	where, err := conditions(f, now)
	if err != nil {
		return page, err
	}
	text := `SELECT document FROM {view}` + where.SQL() + ` ORDER BY started_at, id`
	page.NextCursor, err = rows.Page(ctx, text, where, limit, func(scan func(...any) error) (string, error) {
		p, err := view.Document[Process](view.Scanner(scan))
		if err != nil {
			return "", err
		}
		page.Sagas = append(page.Sagas, p.shown(now))
		id := esjs.StreamID{Category: string(p.Kind), Key: p.SagaID}
		return view.Place{Time: view.Sortable(p.StartedAt), ID: id.String()}.Cursor(), nil
	})
	return page, err
}

func conditions(f queries.SagaFilter, now time.Time) (where view.Where, err error) {
	switch f.Kind {
	case "":
	case queries.SagaFulfilment, queries.SagaRefund:
		where.And("kind = ?", string(f.Kind))
	default:
		return where, view.BadRequest(`"kind" is %.60q; it must be %s or %s`, f.Kind, queries.SagaFulfilment, queries.SagaRefund)
	}
	if f.State != "" && !slices.Contains(queries.SagaStates(), f.State) {
		return where, view.BadRequest(`"state" is %.60q; it must be one of %s`, f.State, view.Words(queries.SagaStates()))
	}
	if f.Step != "" && !slices.Contains(events.Steps(), f.Step) {
		return where, view.BadRequest(`"step" is %.60q; it must be one of %s`, f.Step, view.Words(events.Steps()))
	}
	for column, value := range map[string]string{"state": f.State, "step": string(f.Step), "cause": f.Cause, "order_id": f.OrderID} {
		if value != "" {
			where.And(column+" = ?", value)
		}
	}
	if f.Attention {
		where.And("attention = 1")
	}
	if f.Unaided {
		where.And("attention = 0")
	}
	if f.Open || f.Overdue {
		where.And("ended = 0")
	}
	if f.Overdue {
		where.And("deadline <> '' AND deadline < ?", view.Sortable(now))
	}
	if f.Cursor != "" {
		at, err := view.ParsePlace(f.Cursor)
		if err != nil {
			return where, err
		}
		where.And("(started_at, id) > (?, ?)", at.Time, at.ID)
	}
	return where, nil
}
