package queries

import (
	"encoding/json"
	"time"
)

// OrderTimeline asks what happened to an order, by whom and why.
var OrderTimeline = Question[TimelineRequest, Timeline]{"query.orders.timeline", "Every event of an order, with its cause, oldest first"}

// TimelineRequest names an order. Cursor is the NextCursor of the page before.
type TimelineRequest struct {
	OrderID string `json:"order_id"`
	Limit   int    `json:"limit,omitzero" jsonschema:"at most so many, 1 to 500; 500 when it is 0 or not given"`
	Cursor  string `json:"cursor,omitzero" jsonschema:"next_cursor of the page before"`
	ReadYourWrites
}

// Timeline is what happened to an order, oldest first. NextCursor is empty on
// the last page.
type Timeline struct {
	OrderID    string          `json:"order_id"`
	Entries    []TimelineEntry `json:"entries"`
	NextCursor string          `json:"next_cursor,omitzero"`
}

// TimelineEntry is one event. CausationID is the id of the event that caused it;
// What is a sentence for people, Data the event as it is stored.
type TimelineEntry struct {
	Category    string          `json:"category"`
	Key         string          `json:"key"`
	Version     uint64          `json:"version"`
	Type        string          `json:"type"`
	Time        time.Time       `json:"time"`
	EventID     string          `json:"event_id"`
	CausationID string          `json:"causation_id,omitzero"`
	Actor       string          `json:"actor,omitzero"`
	What        string          `json:"what"`
	Data        json.RawMessage `json:"data"`
}
