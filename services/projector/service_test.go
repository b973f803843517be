package projector_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"
)

func TestAnOrderIsShownWithEverythingThatHappenedToIt(t *testing.T) {
	r := newRig(t)
	r.run(t)
	last := r.complete(t, "o 1")

	var got queries.Order
	r.ask(t, "query.orders.get", fmt.Sprintf(`{"order_id":"o 1","min_revision":%q}`, last), &got)
	if got.State != queries.Completed || got.Version != 11 || got.CustomerID != "c-1" || got.Captured != euros("49.80") ||
		got.Total != euros("49.80") || !slices.Equal(got.Tracking, []string{"TR-1"}) || got.EndedAt.IsZero() {
		t.Errorf("the order is %+v", got)
	}
	if len(got.Lines) != 1 || got.Lines[0].Amount != euros("49.80") || got.Lines[0].Name != "Espresso beans 1 kg" {
		t.Errorf("its lines are %+v", got.Lines)
	}

	var happened queries.Timeline
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
		var page queries.OrderPage
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

	var page queries.OrderPage
	r.ask(t, "query.orders.list", `{"state":"Cancelled"}`, &page)
	if len(page.Orders) != 1 || page.Orders[0].OrderID != "o-2" || page.NextCursor != "" {
		t.Errorf("the cancelled orders are %+v", page)
	}
	r.ask(t, "query.orders.list", `{"limit":0}`, &page)
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
		{"list", `{"text":"` + strings.Repeat("x", 201) + `"}`, 400, "bad_request", "at most 200"},
		{"get", `{"order_id":"o-404"}`, 404, "order_not_found", `"o-404"`},
		{"timeline", `{"order_id":"o-404"}`, 404, "order_not_found", `"o-404"`},
		{"get", `{}`, 422, "field_required", `"order_id" is missing`},
		{"timeline", `{}`, 422, "field_required", `"order_id" is missing`},
		{"get", ``, 422, "field_required", `"order_id"`},
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
		{"list", `{"cursor":"WyIyMDI2LTExLTI5VDE3OjA0OjEwLjQyMTM5MDMzN1oiLCJcdTAwMDAiXQ"}`, 400, "bad_request", "next_cursor"}, // of a place with U+0000, which PostgreSQL cannot hold
		{"timeline", `{"order_id":"o-1","cursor":"5"}`, 400, "bad_request", "next_cursor"},
		{"timeline", `{"order_id":"o-1","limit":501}`, 400, "bad_request", "from 1 to 500"},
		{"timeline", `{"order_id":"o-1","limit":-1}`, 400, "bad_request", "from 1 to 500"},
		{"query.sagas.get", `{}`, 400, "bad_request", "either"},
		{"query.sagas.get", `{"order_id":"o-1","refund_id":"f-1"}`, 400, "bad_request", "either"},
		{"query.sagas.get", `{"order_id":"o-404"}`, 404, "saga_not_found", `fulfilment "o-404"`},
		{"query.sagas.get", `{"refund_id":"f-404"}`, 404, "saga_not_found", `refund "f-404"`},
		{"query.sagas.list", `{"kind":"payment"}`, 400, "bad_request", "fulfilment or refund"},
		{"query.sagas.list", `{"cursor":"WyJ4IiwieSJd"}`, 400, "bad_request", "next_cursor"},
		{"query.sagas.list", `{"limit":1000}`, 400, "bad_request", "from 1 to 200"},
		{"query.sagas.list", `{"state":"Nope"}`, 400, "bad_request", `"state" is "Nope"; it must be one of RESERVING, `},
		{"query.sagas.list", `{"step":"Nope"}`, 400, "bad_request", `"step" is "Nope"; it must be one of reserve, `},
		{"query.events.list", `{"category":"Nope"}`, 400, "bad_request", `"category" is "Nope"; it must be one of order, `},
		{"query.events.list", `{"type":"Nope"}`, 400, "bad_request", `"type" is "Nope"; it must be one of AttentionCleared, `},
		{"query.events.get", `{"event_id":"x"}`, 404, "event_not_found", `"x"`},
		{"query.events.get", `{}`, 422, "field_required", `"event_id" is missing`},
		{"query.events.causation", `{"event_id":"x"}`, 404, "event_not_found", `"x"`},
		{"query.events.correlation", `{"correlation_id":"x"}`, 404, "correlation_not_found", `"x"`},
		{"query.events.correlation", `{}`, 422, "field_required", `"correlation_id" is missing`},
		{"query.events.list", `{"key":"o-1"}`, 400, "bad_request", `"category"`},
		{"query.events.list", `{"cursor":"1"}`, 400, "bad_request", "next_cursor"},
		{"query.events.list", `{"cursor":"01.1"}`, 400, "bad_request", "next_cursor"},
		{"query.stock.get", `{"sku":"x"}`, 404, "stock_not_found", `"x"`},
		{"query.stock.get", `{}`, 422, "field_required", `"sku" is missing`},
		{"query.stock.get", `{"sku":"x","low_at":-1}`, 400, "bad_request", "0 or more"},
		{"query.stock.list", `{"cursor":"WyJ4IiwieSJd"}`, 400, "bad_request", "next_cursor"},
		{"query.stock.movements", `{"sku":"x"}`, 404, "stock_not_found", `"x"`},
		{"query.payments.get", `{"payment_id":"x"}`, 404, "payment_not_found", `"x"`},
		{"query.payments.get", `{}`, 422, "field_required", `"payment_id" is missing`},
		{"query.payments.list", `{"state":"lost"}`, 400, "bad_request", "captured"},
		{"query.payments.list", `{"cursor":"x"}`, 400, "bad_request", "next_cursor"},
		{"query.customers.get", `{"customer_id":"x"}`, 404, "customer_not_found", `"x"`},
		{"query.customers.get", `{}`, 422, "field_required", `"customer_id" is missing`},
		{"query.customers.list", `{"limit":201}`, 400, "bad_request", "from 1 to 200"},
		{"query.sales.list", `{"by":"hour"}`, 400, "bad_request", "day, product, currency"},
		{"query.sales.list", `{"cursor":"WyJ4IiwieSJd"}`, 400, "bad_request", "next_cursor"},
		{"query.sagas.summary", `{"from":"yesterday"}`, 400, "bad_request", `"from"`},
		// PostgreSQL has no U+0000.
		{"list", `{"text":"a\u0000"}`, 422, "field_invalid", `"text" has control characters`},
		{"get", `{"order_id":"a\u0000"}`, 422, "field_invalid", `"order_id"`},
		{"query.stock.list", `{"text":"\u0000"}`, 422, "field_invalid", `"text"`},
		{"query.stock.get", `{"sku":"a\u000a"}`, 422, "field_invalid", `"sku"`},
	} {
		subject := "query.orders." + test.subject
		if strings.HasPrefix(test.subject, "query.") {
			subject = test.subject
		}
		reply := r.request(t, subject, test.body)
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

func TestEndpointsTellTheSchemasOfWhatTheyTake(t *testing.T) {
	r := newRig(t)
	r.run(t)
	var told struct {
		Endpoints []struct {
			Subject  string            `json:"subject"`
			Metadata map[string]string `json:"metadata"`
		} `json:"endpoints"`
	}
	if err := json.Unmarshal(r.request(t, "$SRV.INFO.projector", "").Data, &told); err != nil {
		t.Fatal(err)
	}
	answered := map[string]map[string]string{}
	for _, e := range told.Endpoints {
		answered[e.Subject] = e.Metadata
	}
	// Answered by the order and the payment service.
	others := []string{queries.OrderAt.Subject, queries.OrderDiff.Subject, queries.OrderEvents.Subject, queries.PaymentReconciliation.Subject}
	for _, question := range queries.All() {
		if slices.Contains(others, question.Subject) {
			continue
		}
		want, err := question.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		if got := answered[question.Subject]; !maps.Equal(got, want) {
			t.Errorf("%s tells of itself %v, want %v", question.Subject, got, want)
		}
	}
}

func TestASagaIsOnTheBoard(t *testing.T) {
	r := newRig(t)
	r.run(t)
	last := r.complete(t, "o 1")
	var saga queries.Saga
	r.ask(t, "query.sagas.get", fmt.Sprintf(`{"order_id":"o 1","min_revision":%q}`, last), &saga)
	if saga.State != "COMPLETED" || saga.Kind != queries.SagaFulfilment || saga.SagaID != "o 1" || saga.Version != 3 || saga.EndedAt.IsZero() {
		t.Errorf("the saga is %+v", saga)
	}
	var page queries.SagaPage
	r.ask(t, "query.sagas.list", `{"state":"COMPLETED","limit":1}`, &page)
	if len(page.Sagas) != 1 || page.Sagas[0].SagaID != "o 1" || page.NextCursor != "" {
		t.Errorf("the board is %+v", page)
	}
	var summary queries.SagaSummaries
	r.ask(t, "query.sagas.summary", ``, &summary)
	if len(summary.States) != 1 || summary.States[0].Count != 1 {
		t.Errorf("the summary is %+v", summary)
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

	r.config = newDatabase(t)
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
	var names []string
	for _, p := range list.Projections {
		names = append(names, p.Name)
	}
	want := []string{"orders_v1", "timeline_v1", "sagas_v1", "sales_v1", "stock_v1", "payments_v1", "customers_v1", "events_v1"}
	if !slices.Equal(names, want) {
		t.Fatalf("the projections are %v, want %v", names, want)
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
	const retries = 603
	var last esjs.Revision
	for n := 0; n < retries; n += 201 {
		var batch []esjs.Event
		for i := range 201 {
			batch = append(batch, events.StepRetried{OrderID: "o-1", Step: events.StepReserve, Attempt: n + i + 1, Code: "busy"})
		}
		last = r.append(t, "fulfilment", "o-1", esjs.Metadata{}, batch...)
	}
	var few queries.Timeline
	r.ask(t, "query.orders.timeline", fmt.Sprintf(`{"order_id":"o-1","limit":2,"min_revision":%q}`, last), &few)
	if len(few.Entries) != 2 || few.NextCursor == "" {
		t.Errorf("of at most 2 entries there are %d, and the next ones at %q", len(few.Entries), few.NextCursor)
	}
	seen := uint64(0)
	for cursor := ""; ; {
		var page queries.Timeline
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
	config projector.Config
	heads  map[esjs.StreamID]esjs.Revision
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return &rig{
		House:  servicetest.New(t, events.Types, projector.BucketSubscriptions),
		config: newDatabase(t),
		heads:  make(map[esjs.StreamID]esjs.Revision),
	}
}

// run runs the service until the test or the returned function ends it, and
// returns when it is ready.
func (r *rig) run(t *testing.T) (stop func()) {
	t.Helper()
	env := r.Env("projector")
	s := projector.New(env, r.config)
	if env.Health.Err() == nil {
		t.Error("the service is ready before it runs")
	}
	stop = r.Run(s.Run)
	r.Ready(env)
	return stop
}

func (r *rig) append(t *testing.T, category, key string, m esjs.Metadata, all ...esjs.Event) esjs.Revision {
	t.Helper()
	id := esjs.StreamID{Category: category, Key: key}
	stored, err := r.Store.AppendWrite(t.Context(), esjs.Write{Stream: id, Expect: esjs.AtRevision(r.heads[id]), Events: all, Metadata: m})
	if err != nil {
		t.Fatal(err)
	}
	r.heads[id] = stored.Revision
	return stored.Revision
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
// On a machine that is busy a view may need longer than a query waits for it.
func (r *rig) ask(t *testing.T, subject, body string, v any) []byte {
	t.Helper()
	var reply *nats.Msg
	r.Until(subject+" has come so far", func() bool {
		reply = r.request(t, subject, body)
		problem := reply.Header.Get("Nats-Service-Error")
		return problem != "not_yet" && problem != "timeout"
	})
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
	submit, err := r.Store.AppendWrite(t.Context(), esjs.Write{
		Stream: esjs.StreamID{Category: "order", Key: order}, Expect: esjs.ExpectVersion(4), Metadata: byCustomer,
		Events: []esjs.Event{events.OrderSubmitted{
			OrderID: order, CustomerID: "c-1", Currency: "EUR", Subtotal: total, Total: total, PriceVersion: "7-70",
			Lines: []events.OrderLine{{LineID: "l1", SKU: "beans-1kg", Name: "Espresso beans 1 kg", Quantity: 2, UnitPrice: price}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.heads[esjs.StreamID{Category: "order", Key: order}] = submit.Revision

	r.append(t, "fulfilment", order, esjs.Metadata{CorrelationID: order, CausationID: submit.EventIDs[0]},
		events.FulfilmentStarted{OrderID: order, Total: total, Deadline: now},
		events.ReservationRequested{Request: events.Request{OrderID: order, RequestID: "r1", Attempt: 1}, Lines: lines})
	r.append(t, "stock", "beans-1kg", mine, events.StockReserved{OrderID: order, Quantity: 2, OnHandAfter: 40, ReservedAfter: 2})
	r.append(t, "reservation", order, mine, events.ReservationConfirmed{OrderID: order, RequestID: "r1", ReservationID: "res-1", Lines: lines, ExpiresAt: now})
	r.append(t, "order", order, mine, events.OrderReserved{ReservationID: "res-1"})
	r.append(t, "payment", "p-1", mine, events.PaymentAuthorized{OrderID: order, AuthID: "a-1", Amount: total, ExpiresAt: now})
	r.append(t, "order", order, mine, events.OrderPaymentAuthorized{PaymentID: "p-1", Amount: total}, events.OrderConfirmed{RequestID: "r3"})
	r.append(t, "shipment", "s-1", mine, events.ShipmentBooked{OrderID: order, Carrier: "Post", Tracking: "TR-1", ETA: now})
	// What a process of another id has caused is correlated with that one; the event says whose it is.
	r.append(t, "payment", "p-1", esjs.Metadata{CorrelationID: "another"}, events.PaymentCaptured{OrderID: order, CaptureID: "cap-1", Amount: total})
	r.append(t, "order", order, mine, events.OrderPaid{PaymentID: "p-1", Captured: total})
	r.append(t, "shipment", "s-1", mine, events.ShipmentDispatched{OrderID: order, Tracking: []string{"TR-1"}})
	r.append(t, "order", order, mine, events.OrderDispatched{Tracking: []string{"TR-1"}})
	r.append(t, "order", order, mine, events.OrderCompleted{RequestID: "r9"})
	return r.append(t, "fulfilment", order, mine, events.FulfilmentCompleted{OrderID: order})
}

func euros(amount string) events.Money { return events.MustMoney(amount, "EUR") }
