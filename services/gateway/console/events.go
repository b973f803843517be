package console

import (
	"github.com/b144f99b/orderflow/pkg/queries"
)

// eventsData is a list of events of all aggregates.
type eventsData struct {
	Filter      queries.EventFilter
	Events      []queries.IndexedEvent
	Next, First string
	Filtered    bool
}

func eventList(v *visit) error {
	q := v.URL.Query()
	data := eventsData{Filter: queries.EventFilter{
		Type: q.Get("type"), Category: q.Get("category"), Key: q.Get("key"), CorrelationID: q.Get("correlation"), Actor: q.Get("actor"),
		Paging: queries.Paging{Limit: 50, Cursor: q.Get("cursor")},
	}}
	for _, name := range []string{"type", "category", "key", "correlation", "actor"} {
		data.Filtered = data.Filtered || q.Get(name) != ""
	}
	data.Filter.ReadYourWrites = v.after()
	page, err := ask(v, queries.EventList, data.Filter)
	if err != nil {
		return err
	}
	data.Events = page.Events
	data.Next, data.First = pages(v.URL, page.NextCursor)
	live := v.everything()
	if data.First != "" {
		live = ""
	}
	return v.show("events", "Events", live, data)
}

// eventData is one event, and the tree of what caused it and what came of it.
type eventData struct {
	Event queries.EventDetail
	Tree  tree
}

func eventPage(v *visit) error {
	id := v.PathValue("id")
	event, err := ask(v, queries.EventGet, queries.EventRequest{EventID: id})
	if err != nil {
		return err
	}
	causes, err := ask(v, queries.EventCausation, queries.CausationRequest{EventID: id})
	if err != nil {
		return err
	}
	return v.show("event", "Event "+event.Type, "", eventData{Event: event, Tree: drawTree(causes, id)})
}

// causesData is the tree of an order.
type causesData struct {
	OrderID string
	Tree    tree
}

func causesPage(v *visit) error {
	id := v.PathValue("id")
	causes, err := ask(v, queries.EventCorrelation, queries.CorrelationRequest{CorrelationID: id, ReadYourWrites: v.after()})
	if err != nil {
		return err
	}
	return v.show("causes", "Causes of order "+id, v.everything(), causesData{OrderID: id, Tree: drawTree(causes, "")})
}
