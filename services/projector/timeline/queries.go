package timeline

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// maxEntries and maxData (bytes) bound one page, so that an answer fits in a message.
	maxEntries = 500
	maxData    = 400 << 10
)

// Timeline is what happened to an order, oldest first. NextCursor is empty on
// the last page.
type Timeline struct {
	OrderID    string  `json:"order_id"`
	Entries    []Entry `json:"entries"`
	NextCursor string  `json:"next_cursor,omitzero"`
}

// Entry is one event. CausationID is the id of the event that caused it; What
// is a sentence for people, Data the event as it is stored.
type Entry struct {
	Category    string         `json:"category"`
	Key         string         `json:"key"`
	Version     uint64         `json:"version"`
	Type        string         `json:"type"`
	Time        time.Time      `json:"time"`
	EventID     string         `json:"event_id"`
	CausationID string         `json:"causation_id,omitzero"`
	Actor       string         `json:"actor,omitzero"`
	What        string         `json:"what"`
	Data        jsontext.Value `json:"data"`
}

// Queries returns the view's endpoints by subject. wait blocks until the view
// has passed the revision that it is given; "" asks for none.
func Queries(db *sql.DB, wait func(ctx context.Context, minRevision string) error) map[string]service.Query {
	return map[string]service.Query{
		"query.orders.timeline": func(ctx context.Context, body []byte) (any, error) {
			var request struct {
				OrderID     string `json:"order_id"`
				Cursor      string `json:"cursor"`
				MinRevision string `json:"min_revision"`
			}
			if err := service.Decode(body, &request); err != nil {
				return nil, err
			}
			if request.OrderID == "" {
				return nil, &esjs.Rejection{Code: "bad_request", Message: `"order_id" is missing; it names the order`, Status: http.StatusBadRequest}
			}
			if err := wait(ctx, request.MinRevision); err != nil {
				return nil, err
			}
			return Get(ctx, db, request.OrderID, request.Cursor)
		},
	}
}

// Get returns the page of an order's timeline that begins behind cursor, the
// first page when it is empty; a *[esjs.Rejection] "order_not_found" when
// nothing ever happened to such an order.
func Get(ctx context.Context, db *sql.DB, orderID, cursor string) (Timeline, error) {
	page := Timeline{OrderID: orderID, Entries: []Entry{}}
	after, err := parsePlace(cursor)
	if err != nil {
		return page, err
	}
	rows, err := db.QueryContext(ctx, `
		SELECT sequence, version, category, key, type, time, event_id, causation_id, actor, what, data FROM `+table+`
		WHERE order_id = ? AND (sequence, version) > (?, ?) ORDER BY sequence, version LIMIT ?`,
		orderID, after.sequence, after.version, maxEntries+1)
	if err != nil {
		return page, err
	}
	defer rows.Close()
	var (
		last place
		size int
	)
	for rows.Next() {
		var (
			at   place
			e    Entry
			when string
			data string
		)
		if err := rows.Scan(&at.sequence, &at.version, &e.Category, &e.Key, &e.Type, &when, &e.EventID, &e.CausationID, &e.Actor, &e.What, &data); err != nil {
			return page, err
		}
		if size += len(data); len(page.Entries) == maxEntries || size > maxData && len(page.Entries) > 0 {
			page.NextCursor = last.String()
			break
		}
		if e.Time, err = time.Parse(time.RFC3339Nano, when); err != nil {
			return page, fmt.Errorf("timeline row: %w", err)
		}
		e.Version, e.Data, last = uint64(at.version), jsontext.Value(data), at
		page.Entries = append(page.Entries, e)
	}
	if err := rows.Err(); err != nil {
		return page, err
	}
	if len(page.Entries) == 0 && cursor == "" {
		return page, &esjs.Rejection{
			Code:    "order_not_found",
			Message: fmt.Sprintf("there is no order %q", orderID),
			Status:  http.StatusNotFound,
		}
	}
	return page, nil
}

// place is where an event is in the store's order.
type place struct{ sequence, version int64 }

func (p place) String() string { return fmt.Sprintf("%d.%d", p.sequence, p.version) }

func parsePlace(cursor string) (p place, err error) {
	if cursor == "" {
		return p, nil
	}
	if _, err := fmt.Sscanf(cursor, "%d.%d", &p.sequence, &p.version); err != nil || p.String() != cursor {
		return p, &esjs.Rejection{
			Code:    "bad_request",
			Message: `"cursor" is not one; give back the "next_cursor" of the page before, or none`,
			Status:  http.StatusBadRequest,
		}
	}
	return p, nil
}
