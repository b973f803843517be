package projector_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
)

func TestEventsAreFoundByWhatTheyAre(t *testing.T) {
	r := newRig(t)
	r.run(t)
	before := time.Now()
	mine := esjs.Metadata{CorrelationID: "c-1", Actor: "ann", CommandID: "cmd-1"}
	r.append(t, "order", "o 1", mine, events.OrderCreated{OrderID: "o 1"}, events.ShippingAddressSet{AddressRef: "a"})
	r.append(t, "order", "o 2", esjs.Metadata{CorrelationID: "c-2", Actor: "bob"}, events.OrderCreated{OrderID: "o 2"})
	last := r.append(t, "payment", "p-1", esjs.Metadata{CorrelationID: "c-1"}, events.PaymentInitiated{OrderID: "o 1"})
	stamp := func(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }
	for filter, want := range map[string]string{
		``:                        "PaymentInitiated OrderCreated ShippingAddressSet OrderCreated",
		`"type":"OrderCreated"`:   "OrderCreated OrderCreated",
		`"category":"payment"`:    "PaymentInitiated",
		`"correlation_id":"c-1"`:  "PaymentInitiated ShippingAddressSet OrderCreated",
		`"actor":"bob"`:           "OrderCreated",
		`"command_id":"cmd-1"`:    "ShippingAddressSet OrderCreated",
		`"correlation_id":"none"`: "",
		`"category":"order","key":"o 1","type":"ShippingAddressSet"`:  "ShippingAddressSet",
		fmt.Sprintf(`"before":%q`, stamp(before.Add(-time.Hour))):     "",
		fmt.Sprintf(`"from":%q`, stamp(before.Add(-time.Hour))):       "PaymentInitiated OrderCreated ShippingAddressSet OrderCreated",
		fmt.Sprintf(`"from":%q`, stamp(time.Now().Add(24*time.Hour))): "",
	} {
		var found []string
		for cursor := ""; ; {
			body := fmt.Sprintf(`{"limit":2,"cursor":%q,"min_revision":%q`, cursor, last)
			if filter != "" {
				body += "," + filter
			}
			var page queries.EventPage
			r.ask(t, "query.events.list", body+"}", &page)
			for _, e := range page.Events {
				found = append(found, e.Type)
			}
			if cursor = page.NextCursor; cursor == "" {
				break
			}
		}
		if got := strings.Join(found, " "); got != want {
			t.Errorf("{%s} finds %q, want %q", filter, got, want)
		}
	}
}

func TestAPageStaysAPageWhileEventsArrive(t *testing.T) {
	r := newRig(t)
	r.run(t)
	var last esjs.Revision
	for i := range 5 {
		last = r.append(t, "order", fmt.Sprint("o-", i), esjs.Metadata{}, events.OrderCreated{})
	}
	var seen []string
	for cursor := ""; ; {
		var page queries.EventPage
		r.ask(t, "query.events.list", fmt.Sprintf(`{"limit":2,"cursor":%q,"min_revision":%q}`, cursor, last), &page)
		for _, e := range page.Events {
			seen = append(seen, e.Key)
		}
		last = r.append(t, "order", fmt.Sprint("new-", len(seen)), esjs.Metadata{}, events.OrderCreated{})
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if want := []string{"o-4", "o-3", "o-2", "o-1", "o-0"}; !slices.Equal(seen, want) {
		t.Errorf("the pages show %v, want %v", seen, want)
	}
}

func TestCausesAreATree(t *testing.T) {
	r := newRig(t)
	r.run(t)
	last := r.complete(t, "o 1")

	var submitted queries.EventPage
	r.ask(t, "query.events.list", fmt.Sprintf(`{"type":"OrderSubmitted","min_revision":%q}`, last), &submitted)
	if len(submitted.Events) != 1 {
		t.Fatalf("submissions are %+v", submitted)
	}
	root := submitted.Events[0].EventID
	var caused queries.EventPage
	r.ask(t, "query.events.list", fmt.Sprintf(`{"causation_id":%q}`, root), &caused)
	if len(caused.Events) != 2 || caused.Events[0].Type != "ReservationRequested" || caused.Events[1].Type != "FulfilmentStarted" {
		t.Fatalf("the submission caused %+v", caused.Events)
	}
	next := r.append(t, "reservation", "o 9", esjs.Metadata{CorrelationID: "o 1", CausationID: caused.Events[0].EventID}, events.ReservationRejected{OrderID: "o 9", Code: events.ReservationBusy})
	for _, id := range []string{root, caused.Events[0].EventID, caused.Events[1].EventID} {
		var tree queries.EventTree
		r.ask(t, "query.events.causation", fmt.Sprintf(`{"event_id":%q,"min_revision":%q}`, id, next), &tree)
		var nodes []string
		for _, e := range tree.Events {
			nodes = append(nodes, fmt.Sprint(e.Depth, " ", e.Type))
		}
		want := []string{"0 OrderSubmitted", "1 FulfilmentStarted", "1 ReservationRequested", "2 ReservationRejected"}
		if !slices.Equal(nodes, want) || tree.Truncated {
			t.Errorf("the tree of %s is %v, want %v", id, nodes, want)
		}
	}
	var whole queries.EventTree
	r.ask(t, "query.events.correlation", `{"correlation_id":"o 1"}`, &whole)
	if n := len(whole.Events); n != 20 || whole.Events[0].Type != "OrderCreated" || whole.Events[n-1].Depth != 2 {
		t.Errorf("the correlation has %d events: %+v", n, whole.Events)
	}

	var detail queries.EventDetail
	r.ask(t, "query.events.get", fmt.Sprintf(`{"event_id":%q}`, root), &detail)
	if detail.What != "The order was submitted: 1 line, 49.80 EUR in all." || !strings.Contains(string(detail.Data), `"price_version":"7-70"`) || detail.Version != 5 {
		t.Errorf("the event is %+v", detail)
	}
}

func TestATreeEndsSomewhere(t *testing.T) {
	r := newRig(t)
	r.run(t)
	// More came of one event than an answer can hold.
	id := esjs.StreamID{Category: "test", Key: "o-1"} // which the index alone reads
	write := esjs.Write{Stream: id, Expect: esjs.NoStream(), Events: []esjs.Event{events.OrderCreated{}}, Metadata: esjs.Metadata{CommandID: "cmd"}}
	stored, err := r.Store.AppendWrite(t.Context(), write)
	if err != nil {
		t.Fatal(err)
	}
	self := stored.EventIDs[0]
	var wide []esjs.Event
	for range 600 {
		wide = append(wide, events.OrderConfirmed{})
	}
	r.heads[id] = stored.Revision
	r.append(t, "test", "o-1", esjs.Metadata{CausationID: self, CorrelationID: "c"}, wide...)
	last := r.append(t, "test", "o-1", esjs.Metadata{CausationID: self, CorrelationID: "c"}, wide...)
	var tree queries.EventTree
	r.ask(t, "query.events.causation", fmt.Sprintf(`{"event_id":%q,"min_revision":%q}`, self, last), &tree)
	if len(tree.Events) != 1000 || !tree.Truncated || tree.Events[999].Depth != 1 {
		t.Errorf("%d events, truncated %t", len(tree.Events), tree.Truncated)
	}
	r.ask(t, "query.events.correlation", `{"correlation_id":"c"}`, &tree)
	if len(tree.Events) != 1000 || !tree.Truncated {
		t.Errorf("%d events, truncated %t", len(tree.Events), tree.Truncated)
	}
}
