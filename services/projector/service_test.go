package projector_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/projector"
	"github.com/b144f99b/orderflow/services/projector/orders"
	"github.com/b144f99b/orderflow/services/projector/timeline"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"
)

func TestAnOrderIsShownWithEverythingThatHappenedToIt(t *testing.T) {
	r := newRig(t)
	r.run(t)
	last := r.complete(t, "o 1")

	var got orders.Order
	r.ask(t, "query.orders.get", fmt.Sprintf(`{"order_id":"o 1","min_revision":%q}`, last), &got)
	if got.State != orders.Completed || got.Version != 11 || got.CustomerID != "c-1" || got.Captured != euros("49.80") ||
		got.Total != euros("49.80") || !slices.Equal(got.Tracking, []string{"TR-1"}) || got.EndedAt.IsZero() {
		t.Errorf("the order is %+v", got)
	}
	if len(got.Lines) != 1 || got.Lines[0].Amount != euros("49.80") || got.Lines[0].Name != "Espresso beans 1 kg" {
		t.Errorf("its lines are %+v", got.Lines)
	}

	var happened timeline.Timeline
	r.ask(t, "query.orders.timeline", fmt.Sprintf(`{"order_id":"o 1","min_revision":%q}`, last), &happened)
	var story []string
	for _, e := range happened.Entries {
		story = append(story, e.Category+" "+e.Type)
	}
	want := []string{
		"order OrderCreated", "order ItemAdded", "order ShippingAddressSet", "order PaymentMethodSet", "order OrderSubmitted",
		"fulfilment FulfilmentStarted", "fulfilment ReservationRequested",
		"reservation ReservationConfirmed", "order OrderReserved",
		"payment PaymentAuthorized", "order OrderPaymentAuthorized", "order OrderConfirmed",
		"shipment ShipmentBooked", "payment PaymentCaptured", "order OrderPaid",
		"shipment ShipmentDispatched", "order OrderDispatched", "order OrderCompleted", "fulfilment FulfilmentCompleted",
	}
	// The commit of a draft's events is one; the timeline takes it apart.
	if !slices.Equal(story, want) {
		t.Errorf("the timeline is\n%s\nwant\n%s", strings.Join(story, "\n"), strings.Join(want, "\n"))
	}
	submitted, started := happened.Entries[4], happened.Entries[5]
	if started.CausationID != submitted.EventID || started.CausationID == "" {
		t.Errorf("fulfilment is caused by %q, want the submission's %q", started.CausationID, submitted.EventID)
	}
	if submitted.What != "The order was submitted: 1 line, 49.80 EUR in all." || submitted.Version != 5 || submitted.Actor != "c-1" {
		t.Errorf("the submission is told as %+v", submitted)
	}
	if !strings.Contains(string(submitted.Data), `"price_version":"7-70"`) {
		t.Errorf("the submission's data is %s", submitted.Data)
	}
}

func TestListsAreFilteredAndPaged(t *testing.T) {
	r := newRig(t)
	r.run(t)
	var want []string // newest first
	for i := range 7 {
		id := fmt.Sprintf("o-%d", i)
		customer := fmt.Sprintf("c-%d", i%2)
		r.append(t, "order", id, esjs.Metadata{}, events.OrderCreated{OrderID: id, CustomerID: customer, Currency: "EUR"})
		if customer == "c-0" {
			want = append([]string{id}, want...)
		}
	}
	last := r.append(t, "order", "o-2", esjs.Metadata{}, events.OrderCancelled{Reason: "changed my mind"})
	r.ask(t, "query.orders.get", fmt.Sprintf(`{"order_id":"o-2","min_revision":%q}`, last), nil)

	var found []string
	for cursor := ""; ; {
		var page orders.Page
		r.ask(t, "query.orders.list", fmt.Sprintf(`{"customer_id":"c-0","limit":3,"cursor":%q}`, cursor), &page)
		for _, o := range page.Orders {
			found = append(found, o.OrderID)
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if !slices.Equal(found, want) {
		t.Errorf("the customer's orders are %v, want %v", found, want)
	}

	var page orders.Page
	r.ask(t, "query.orders.list", `{"state":"Cancelled"}`, &page)
	if len(page.Orders) != 1 || page.Orders[0].OrderID != "o-2" || page.NextCursor != "" {
		t.Errorf("the cancelled orders are %+v", page)
	}
	r.ask(t, "query.orders.list", ``, &page)
	if len(page.Orders) != 7 {
		t.Errorf("%d orders in all, want 7", len(page.Orders))
	}
}

func TestBadQueriesAreRefusedInWords(t *testing.T) {
	r := newRig(t)
	r.run(t)
	for _, test := range []struct {
		subject, body string
		status        int
		code, says    string
	}{
		{"get", `{"order_id":"o-404"}`, 404, "order_not_found", `"o-404"`},
		{"timeline", `{"order_id":"o-404"}`, 404, "order_not_found", `"o-404"`},
		{"get", `{}`, 400, "bad_request", `"order_id" is missing`},
		{"timeline", `{}`, 400, "bad_request", `"order_id" is missing`},
		{"get", ``, 400, "bad_request", `"order_id"`},
		{"get", `{"order_id":`, 400, "bad_request", "JSON"},
		{"get", `{"order_id":7}`, 400, "bad_request", `a string`},
		{"get", `{"order_id":"o-1","minrevision":"1-1"}`, 400, "bad_request", `"min_revision"`},
		{"get", `{"order_id":"o-1","min_revision":"yesterday"}`, 400, "bad_request", `"3-1871"`},
		{"get", `{"order_id":"o-1","min_revision":"1-999999"}`, 409, "not_yet", "ask again"},
		{"list", `{"state":"Shipped"}`, 400, "bad_request", "Dispatched"},
		{"list", `{"limit":201}`, 400, "bad_request", "from 1 to 200"},
		{"list", `{"limit":-1}`, 400, "bad_request", "from 1 to 200"},
		{"list", `{"cursor":"!"}`, 400, "bad_request", "next_cursor"},
		{"list", `{"cursor":"b24gMQ"}`, 400, "bad_request", "next_cursor"},
		{"timeline", `{"order_id":"o-1","cursor":"5"}`, 400, "bad_request", "next_cursor"},
	} {
		reply := r.request(t, "query.orders."+test.subject, test.body)
		var problem service.Problem
		if err := json.Unmarshal(reply.Data, &problem); err != nil {
			t.Errorf("%s %s: %s: %v", test.subject, test.body, reply.Data, err)
			continue
		}
		if problem.Status != test.status || problem.Code != test.code || !strings.Contains(problem.Detail, test.says) {
			t.Errorf("%s %s: got %d %s: %s; want %d %s with %s", test.subject, test.body,
				problem.Status, problem.Code, problem.Detail, test.status, test.code, test.says)
		}
	}
}

func TestTheViewsAreRebuiltFromTheStore(t *testing.T) {
	r := newRig(t)
	stop := r.run(t)
	last := r.complete(t, "o-1")
	queries := map[string]string{
		"query.orders.get":      fmt.Sprintf(`{"order_id":"o-1","min_revision":%q}`, last),
		"query.orders.timeline": fmt.Sprintf(`{"order_id":"o-1","min_revision":%q}`, last),
		"query.orders.list":     `{}`,
	}
	live := make(map[string]string)
	for _, subject := range []string{"query.orders.get", "query.orders.timeline", "query.orders.list"} {
		live[subject] = string(r.ask(t, subject, queries[subject], nil))
	}
	stop()

	r.database = filepath.Join(t.TempDir(), "a new directory", "rebuilt.db")
	r.run(t) // it is ready when it has caught up
	for subject, body := range queries {
		if rebuilt := string(r.ask(t, subject, body, nil)); rebuilt != live[subject] {
			t.Errorf("%s after a rebuild:\n%s\nlive:\n%s", subject, rebuilt, live[subject])
		}
	}
	var list struct {
		Projections []struct {
			Name     string `json:"name"`
			CaughtUp bool   `json:"caught_up"`
			Lag      int    `json:"lag"`
		} `json:"projections"`
	}
	r.ask(t, "query.projections.list", ``, &list)
	if len(list.Projections) != 2 || list.Projections[0].Name != "orders_v1" || list.Projections[1].Name != "timeline_v1" {
		t.Fatalf("the projections are %+v", list)
	}
	for _, p := range list.Projections {
		if !p.CaughtUp || p.Lag != 0 {
			t.Errorf("%+v has not caught up", p)
		}
	}
}

func TestALongTimelineComesInPages(t *testing.T) {
	r := newRig(t)
	r.run(t)
	const retries = 1203
	var last esjs.Revision
	for n := 0; n < retries; n += 401 {
		var batch []esjs.Event
		for i := range 401 {
			batch = append(batch, events.StepRetried{OrderID: "o-1", Step: events.StepReserve, Attempt: n + i + 1, Code: "busy"})
		}
		last = r.append(t, "fulfilment", "o-1", esjs.Metadata{}, batch...)
	}
	seen := uint64(0)
	for cursor := ""; ; {
		var page timeline.Timeline
		r.ask(t, "query.orders.timeline", fmt.Sprintf(`{"order_id":"o-1","cursor":%q,"min_revision":%q}`, cursor, last), &page)
		for _, e := range page.Entries {
			if seen++; e.Version != seen {
				t.Fatalf("version %d comes at place %d", e.Version, seen)
			}
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if seen != retries {
		t.Errorf("%d entries, want %d", seen, retries)
	}
}

// rig is a house with a projector in it.
type rig struct {
	*servicetest.House[events.Event]
	database string
	heads    map[esjs.StreamID]esjs.Revision
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return &rig{
		House:    servicetest.New(t, events.Types),
		database: filepath.Join(t.TempDir(), "projector.db"),
		heads:    make(map[esjs.StreamID]esjs.Revision),
	}
}

// run runs the service until the test or the returned function ends it, and
// returns when it is ready.
func (r *rig) run(t *testing.T) (stop func()) {
	t.Helper()
	env := r.Env("projector")
	s := projector.New(env, projector.Config{Database: r.database})
	if env.Health.Err() == nil {
		t.Error("the service is ready before it runs")
	}
	env.Health.Await("projector endpoints")
	stop = r.Run(s.Run)
	r.Ready(env)
	return stop
}

func (r *rig) append(t *testing.T, category, key string, m esjs.Metadata, all ...esjs.Event) esjs.Revision {
	t.Helper()
	id := esjs.StreamID{Category: category, Key: key}
	stored, err := r.Store.AppendAll(t.Context(), esjs.Write{Stream: id, Expect: esjs.AtRevision(r.heads[id]), Events: all, Metadata: m})
	if err != nil {
		t.Fatal(err)
	}
	r.heads[id] = stored[0].Revision
	return stored[0].Revision
}

func (r *rig) request(t *testing.T, subject, body string) *nats.Msg {
	t.Helper()
	reply, err := r.NC.Request(subject, []byte(body), servicetest.Patience)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	return reply
}

// ask sends a query that must succeed and reads the answer into v, if v is not nil.
func (r *rig) ask(t *testing.T, subject, body string, v any) []byte {
	t.Helper()
	reply := r.request(t, subject, body)
	if problem := reply.Header.Get("Nats-Service-Error"); problem != "" {
		t.Fatalf("%s %s: %s: %s", subject, body, problem, reply.Data)
	}
	if v == nil {
		v = new(jsontext.Value)
	}
	if err := json.Unmarshal(reply.Data, v); err != nil {
		t.Fatalf("%s: %s: %v", subject, reply.Data, err)
	}
	return reply.Data
}

// complete stores what happens to an order from draft to delivery.
func (r *rig) complete(t *testing.T, order string) esjs.Revision {
	t.Helper()
	price, total := euros("24.90"), euros("49.80")
	lines := []events.StockLine{{SKU: "beans-1kg", Quantity: 2}}
	mine := esjs.Metadata{CorrelationID: order}
	byCustomer := esjs.Metadata{CorrelationID: order, Actor: "c-1", CommandID: order + " submit"}
	now := time.Now()

	r.append(t, "product", "beans-1kg", esjs.Metadata{}, events.ProductListed{Name: "Espresso beans 1 kg", Price: price})
	r.append(t, "order", order, mine,
		events.OrderCreated{OrderID: order, CustomerID: "c-1", Currency: "EUR"},
		events.ItemAdded{LineID: "l1", SKU: "beans-1kg", Name: "Espresso beans 1 kg", Quantity: 2, UnitPrice: price},
		events.ShippingAddressSet{AddressRef: "addr-1", Country: "DE"},
		events.PaymentMethodSet{MethodRef: "card-ok"})
	submit, err := r.Store.AppendAll(t.Context(), esjs.Write{
		Stream: esjs.StreamID{Category: "order", Key: order}, Expect: esjs.ExpectVersion(4), Metadata: byCustomer,
		Events: []esjs.Event{events.OrderSubmitted{
			OrderID: order, CustomerID: "c-1", Currency: "EUR", Subtotal: total, Total: total, PriceVersion: "7-70",
			Lines: []events.OrderLine{{LineID: "l1", SKU: "beans-1kg", Name: "Espresso beans 1 kg", Quantity: 2, UnitPrice: price}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.heads[esjs.StreamID{Category: "order", Key: order}] = submit[0].Revision

	r.append(t, "fulfilment", order, esjs.Metadata{CorrelationID: order, CausationID: submit[0].EventIDs[0]},
		events.FulfilmentStarted{OrderID: order, Total: total, Deadline: now},
		events.ReservationRequested{Request: events.Request{OrderID: order, RequestID: "r1", Attempt: 1}, Lines: lines})
	r.append(t, "stock", "beans-1kg", mine, events.StockReserved{OrderID: order, Quantity: 2, OnHandAfter: 40, ReservedAfter: 2})
	r.append(t, "reservation", order, mine, events.ReservationConfirmed{OrderID: order, RequestID: "r1", ReservationID: "res-1", Lines: lines, ExpiresAt: now})
	r.append(t, "order", order, mine, events.OrderReserved{ReservationID: "res-1"})
	r.append(t, "payment", "p-1", mine, events.PaymentAuthorized{OrderID: order, AuthID: "a-1", Amount: total, ExpiresAt: now})
	r.append(t, "order", order, mine, events.OrderPaymentAuthorized{PaymentID: "p-1", Amount: total}, events.OrderConfirmed{RequestID: "r3"})
	r.append(t, "shipment", "s-1", mine, events.ShipmentBooked{OrderID: order, Carrier: "Post", Tracking: "TR-1", ETA: now})
	r.append(t, "payment", "p-1", mine, events.PaymentCaptured{OrderID: order, CaptureID: "cap-1", Amount: total})
	r.append(t, "order", order, mine, events.OrderPaid{PaymentID: "p-1", Captured: total})
	r.append(t, "shipment", "s-1", mine, events.ShipmentDispatched{OrderID: order, Tracking: []string{"TR-1"}})
	r.append(t, "order", order, mine, events.OrderDispatched{Tracking: []string{"TR-1"}})
	r.append(t, "order", order, mine, events.OrderCompleted{RequestID: "r9"})
	return r.append(t, "fulfilment", order, mine, events.FulfilmentCompleted{OrderID: order})
}

func euros(amount string) events.Money { return events.MustMoney(amount, "EUR") }
