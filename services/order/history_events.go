package order

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
)

// A page of events is bounded so that it fits in a message.
const (
	defaultEvents = 100
	maxEvents     = 500
	maxEventData  = 400 << 10 // bytes of data
)

// events answers an order's own events as they are stored.
func (d desk) events(ctx context.Context, request queries.OrderEventsRequest) (queries.OrderEventPage, error) {
	page := queries.OrderEventPage{OrderID: request.OrderID, Events: []queries.StoredEvent{}}
	if err := text("order_id", request.OrderID); err != nil {
		return page, err
	}
	limit := request.Limit
	switch {
	case limit == 0:
		limit = defaultEvents
	case limit < 0 || limit > maxEvents:
		return page, reject(http.StatusUnprocessableEntity, "field_invalid", `"limit" is %d; it must be from 1 to %d`, limit, maxEvents)
	}
	size := 0
	for r, err := range d.store.Read(ctx, esjs.StreamID{Category: events.CategoryOrder, Key: request.OrderID}, request.From, 0) {
		if errors.Is(err, esjs.ErrNotFound) {
			return page, reject(http.StatusNotFound, "order_not_found", "there is no order %q", request.OrderID)
		}
		if err != nil {
			return page, fmt.Errorf("events of order %q: %w", request.OrderID, err)
		}
		if size += len(r.Data); len(page.Events) == limit || size > maxEventData && len(page.Events) > 0 {
			page.Next = r.Version
			break
		}
		page.Events = append(page.Events, shown(r))
	}
	return page, nil
}

// shown is what the store has of an event.
func shown(r esjs.Record) queries.StoredEvent {
	return queries.StoredEvent{
		Position: r.Position.String(), Category: r.Stream.Category, Key: r.Stream.Key, Version: r.Version,
		Type: r.Type, SchemaVersion: r.SchemaVersion, Time: r.Time, EventID: r.ID,
		CorrelationID: r.Metadata.CorrelationID, CausationID: r.Metadata.CausationID, CommandID: r.Metadata.CommandID,
		Actor: r.Metadata.Actor, Data: r.Data,
	}
}
