package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/timeline"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// columns are those that scan reads.
const columns = `sequence, version, event_id, type, category, key, time, actor, correlation_id, causation_id, command_id`

func scan(row interface{ Scan(...any) error }, more ...any) (e queries.IndexedEvent, err error) {
	var when string
	to := append([]any{&e.Sequence, &e.Version, &e.EventID, &e.Type, &e.Category, &e.Key, &when,
		&e.Actor, &e.CorrelationID, &e.CausationID, &e.CommandID}, more...)
	if err := row.Scan(to...); err != nil {
		return e, err
	}
	e.Time, err = view.ParseSortable(when)
	return e, err
}

// find returns an event of the index; "event_not_found" when there is none.
func find(ctx context.Context, rows view.Reader, id string) (queries.IndexedEvent, error) {
	if id == "" {
		return queries.IndexedEvent{}, view.Required("event_id", "names the event")
	}
	e, err := scan(rows.QueryRow(ctx, `SELECT `+columns+` FROM {view} WHERE event_id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return e, view.NotFound("event_not_found", "there is no event %.100q, or the view has not come to it yet", id)
	}
	return e, err
}

// detail reads from the store what the index does not hold.
type detail struct {
	store *esjs.Store
	codec *esjs.Codec[events.Event]
}

func (d detail) get(ctx context.Context, rows view.Reader, request queries.EventRequest) (queries.EventDetail, error) {
	indexed, err := find(ctx, rows, request.EventID)
	if err != nil {
		return queries.EventDetail{}, err
	}
	shown := queries.EventDetail{IndexedEvent: indexed}
	for record, err := range d.store.Read(ctx, esjs.StreamID{Category: indexed.Category, Key: indexed.Key}, indexed.Version, indexed.Version) {
		if err != nil {
			return shown, err
		}
		decoded, err := d.codec.Decode(record)
		if err != nil {
			return shown, err
		}
		shown.Data, shown.What = record.Data, timeline.Describe(decoded.Event)
		return shown, nil
	}
	return shown, fmt.Errorf("%w: event %s", esjs.ErrNotFound, indexed.EventID)
}

// list answers with the selected events, newest first, a page at a time.
func list(ctx context.Context, rows view.Reader, f queries.EventFilter) (queries.EventPage, error) {
	page := queries.EventPage{Events: []queries.IndexedEvent{}}
	limit, err := view.Limit(f.Limit)
	if err != nil {
		return page, err
	}
	where, err := conditions(f)
	if err != nil {
		return page, err
	}
	text := `SELECT ` + columns + ` FROM {view}` + where.SQL() + ` ORDER BY sequence DESC, version DESC`
	page.NextCursor, err = rows.Page(ctx, text, where, limit, func(column func(...any) error) (string, error) {
		e, err := scan(view.Scanner(column))
		page.Events = append(page.Events, e)
		return view.Sequence{Commit: int64(e.Sequence), Version: int64(e.Version)}.Cursor(), err
	})
	return page, err
}

// types are the names of all events that there are.
var types = func() (names []string) {
	for _, t := range events.Types {
		names = append(names, t.Name)
	}
	slices.Sort(names)
	return names
}()

func conditions(f queries.EventFilter) (where view.Where, err error) {
	if f.Key != "" && f.Category == "" {
		return where, view.BadRequest(`"key" is of an aggregate of one category; give "category" too, for example "order"`)
	}
	if f.Type != "" && !slices.Contains(types, f.Type) {
		return where, view.BadRequest(`"type" is %.60q; it must be one of %s`, f.Type, view.Words(types))
	}
	if f.Category != "" && !slices.Contains(events.Categories(), f.Category) {
		return where, view.BadRequest(`"category" is %.60q; it must be one of %s`, f.Category, view.Words(events.Categories()))
	}
	for _, c := range []struct{ column, value string }{{"type", f.Type}, {"category", f.Category}, {"key", f.Key}} {
		if c.value != "" {
			where.And(c.column+" = ?", c.value)
		}
	}
	// The indexes of these hold only the events that have one.
	for _, c := range []struct{ column, value string }{
		{"correlation_id", f.CorrelationID}, {"causation_id", f.CausationID}, {"command_id", f.CommandID}, {"actor", f.Actor},
	} {
		if c.value != "" {
			where.And(c.column+" = ? AND "+c.column+" <> ''", c.value)
		}
	}
	if !f.From.IsZero() {
		where.And("time >= ?", view.Sortable(f.From))
	}
	if !f.Before.IsZero() {
		where.And("time < ?", view.Sortable(f.Before))
	}
	if f.Cursor != "" {
		at, err := view.ParseSequence(f.Cursor)
		if err != nil {
			return where, err
		}
		where.And("(sequence, version) < (?, ?)", at.Commit, at.Version)
	}
	return where, nil
}
