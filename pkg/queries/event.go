package queries

import (
	"encoding/json"
	"time"
)

// Questions about events.
var (
	EventGet         = Question[EventRequest, EventDetail]{"query.events.get", "One event as it is stored"}
	EventList        = Question[EventFilter, EventPage]{"query.events.list", "Events of all aggregates, newest first"}
	EventCausation   = Question[CausationRequest, EventTree]{"query.events.causation", "What caused an event, and all that came of the first cause"}
	EventCorrelation = Question[CorrelationRequest, EventTree]{"query.events.correlation", "All events with a correlation id, as trees of causes"}
)

// EventRequest names an event.
type EventRequest struct {
	EventID string `json:"event_id"`
	ReadYourWrites
}

// EventFilter selects events; the zero one selects all. All that is given must hold.
type EventFilter struct {
	Type          string    `json:"type,omitzero"`
	Category      string    `json:"category,omitzero"`
	Key           string    `json:"key,omitzero" jsonschema:"of the aggregate; together with category"`
	CorrelationID string    `json:"correlation_id,omitzero"`
	CausationID   string    `json:"causation_id,omitzero" jsonschema:"only what this event caused"`
	CommandID     string    `json:"command_id,omitzero"`
	Actor         string    `json:"actor,omitzero"`
	From          time.Time `json:"from,omitzero" jsonschema:"at this time or later"`
	Before        time.Time `json:"before,omitzero" jsonschema:"before this time"`
	Paging
	ReadYourWrites
}

// EventPage is a part of a list. NextCursor is empty on the last one.
type EventPage struct {
	Events     []IndexedEvent `json:"events"`
	NextCursor string         `json:"next_cursor,omitzero"`
}

// IndexedEvent is an event without its data. Sequence is its commit's place in
// the store's order.
type IndexedEvent struct {
	EventID       string    `json:"event_id"`
	Type          string    `json:"type"`
	Category      string    `json:"category"`
	Key           string    `json:"key"`
	Version       uint64    `json:"version"`
	Sequence      uint64    `json:"sequence"`
	Time          time.Time `json:"time"`
	Actor         string    `json:"actor,omitzero"`
	CorrelationID string    `json:"correlation_id,omitzero"`
	CausationID   string    `json:"causation_id,omitzero"`
	CommandID     string    `json:"command_id,omitzero"`
}

// EventDetail is an event with its data as it is stored; personal values that were
// erased are null. What is a sentence for people.
type EventDetail struct {
	IndexedEvent
	What string          `json:"what"`
	Data json.RawMessage `json:"data"`
}

// CausationRequest names an event.
type CausationRequest struct {
	EventID string `json:"event_id"`
	ReadYourWrites
}

// CorrelationRequest names a correlation: the id of an order, for all that was
// done for it.
type CorrelationRequest struct {
	CorrelationID string `json:"correlation_id"`
	ReadYourWrites
}

// EventTree is events and what caused what: a node's parent is the event that its
// CausationID names, and one whose cause is not in the tree is a root. They are in
// the store's order, so a parent comes before its children.
type EventTree struct {
	Events []TreeEvent `json:"events"`
	// Truncated tells that there are more than the 1,000 events that are shown.
	Truncated bool `json:"truncated,omitzero"`
}

// TreeEvent is a node of a tree. Depth is 0 for a root.
type TreeEvent struct {
	IndexedEvent
	Depth int `json:"depth"`
}
