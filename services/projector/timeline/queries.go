package timeline

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
)

const (
	// maxEntries and maxData (bytes) bound one page, so that an answer fits in a message.
	maxEntries = 500
	maxData    = 400 << 10
)

// get answers with the page of an order's timeline that begins behind the cursor;
// "order_not_found" when nothing ever happened to such an order.
func get(ctx context.Context, rows view.Reader, request queries.TimelineRequest) (queries.Timeline, error) {
	page := queries.Timeline{OrderID: request.OrderID, Entries: []queries.TimelineEntry{}}
	if request.OrderID == "" {
		return page, view.Required("order_id", "names the order")
	}
	limit := cmp.Or(request.Limit, maxEntries)
	if limit < 1 || limit > maxEntries {
		return page, view.BadRequest(`"limit" is %d; it must be from 1 to %d`, request.Limit, maxEntries)
	}
	last, err := view.ParseSequence(request.Cursor)
	if err != nil {
		return page, err
	}
	size := 0
	err = rows.Each(ctx, `
		SELECT sequence, version, category, key, type, time, event_id, causation_id, actor, what, data FROM {view}
		WHERE order_id = $1 AND (sequence, version) > ($2, $3) ORDER BY sequence, version LIMIT $4`,
		[]any{request.OrderID, last.Commit, last.Version, limit + 1}, func(scan func(...any) error) error {
			var (
				at         view.Sequence
				e          queries.TimelineEntry
				when, data string
			)
			err := scan(&at.Commit, &at.Version, &e.Category, &e.Key, &e.Type, &when, &e.EventID, &e.CausationID, &e.Actor, &e.What, &data)
			if err != nil {
				return err
			}
			if size += len(data); len(page.Entries) == limit || size > maxData && len(page.Entries) > 0 {
				page.NextCursor = last.Cursor()
				return view.Enough
			}
			if e.Time, err = view.ParseSortable(when); err != nil {
				return fmt.Errorf("timeline row: %w", err)
			}
			e.Version, e.Data, last = uint64(at.Version), json.RawMessage(data), at
			page.Entries = append(page.Entries, e)
			return nil
		})
	if err == nil && len(page.Entries) == 0 && request.Cursor == "" {
		return page, view.NotFound("order_not_found", "there is no order %q", request.OrderID)
	}
	return page, err
}
