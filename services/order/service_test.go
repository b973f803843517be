package order_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/order"
)

// house is one with the order service in it.
type house struct {
	*servicetest.House[events.Event]
}

func newHouse(t *testing.T) *house {
	t.Helper()
	return &house{servicetest.New(t, events.Types, order.BucketSnapshots, order.BucketSubscriptions)}
}

// run starts the service and returns when it is ready. stop ends it.
func (h *house) run() (stop func()) {
	h.T.Helper()
	env := h.Env("order")
	stop = h.Run(order.New(env, order.Config{}).Run)
	h.Ready(env)
	return stop
}

func (h *house) list(sku, price string) {
	h.T.Helper()
	h.Append(events.CategoryProduct, sku, events.ProductListed{Name: "The " + sku, Price: eur(price)})
}

func eur(amount string) events.Money { return events.MustMoney(amount, "EUR") }

type reply struct {
	Version  uint64            `json:"version"`
	Revision string            `json:"revision"`
	EventIDs []string          `json:"event_ids"`
	State    queries.OrderView `json:"state"`
	Code     string            `json:"code"` // of a problem
	Status   int               `json:"status"`
	Detail   string            `json:"detail"`
}

func (h *house) request(subject, body string, header ...string) reply {
	h.T.Helper()
	msg := nats.NewMsg(subject)
	msg.Data = []byte(body)
	for i := 0; i+1 < len(header); i += 2 {
		msg.Header.Set(header[i], header[i+1])
	}
	answer, err := h.NC.RequestMsg(msg, servicetest.Patience)
	if err != nil {
		h.T.Fatalf("%s: %v", subject, err)
	}
	var r reply
	if err := json.Unmarshal(answer.Data, &r); err != nil {
		h.T.Fatalf("%s answered %s: %v", subject, answer.Data, err)
	}
	if code := answer.Header.Get("Nats-Service-Error"); code != r.Code {
		h.T.Errorf("%s answered %s with the error header %q", subject, answer.Data, code)
	}
	return r
}

// do sends a command that must succeed.
func (h *house) do(id, verb, body string) reply {
	h.T.Helper()
	r := h.request("cmd.order."+id+"."+verb, body)
	if r.Code != "" {
		h.T.Fatalf("%s %s: %s: %s", verb, body, r.Code, r.Detail)
	}
	return r
}

func (h *house) submit(id string) reply {
	h.T.Helper()
	h.do(id, "create", `{"customer_id":"c-1","currency":"EUR"}`)
	h.do(id, "add-item", `{"sku":"beans","quantity":2}`)
	h.do(id, "set-shipping", `{"address_ref":"addr-1","country":"DE"}`)
	h.do(id, "set-payment-method", `{"method_ref":"card-ok"}`)
	return h.do(id, "submit", `{}`)
}

// history returns the names of an order's events.
func (h *house) history(id string) []string {
	h.T.Helper()
	history := h.History(events.CategoryOrder, id)
	for _, e := range history {
		if e.Metadata.CorrelationID != id {
			h.T.Errorf("event %d of order %s has the correlation %q", e.Version, id, e.Metadata.CorrelationID)
		}
	}
	return servicetest.Types(history)
}

func (h *house) ends(id, last string) []string {
	h.T.Helper()
	var names []string
	h.Until("order "+id+" reaches "+last, func() bool {
		names = h.history(id)
		return slices.Contains(names, last)
	})
	return names
}

func request(order, id string) events.Request {
	return events.Request{OrderID: order, RequestID: id, Attempt: 1, Deadline: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
}

var way = []string{
	"OrderCreated", "ItemAdded", "ShippingAddressSet", "PaymentMethodSet", "OrderSubmitted", "OrderReserved",
	"OrderPaymentAuthorized", "OrderConfirmed", "OrderPaid", "OrderDispatched", "OrderCompleted",
}

func (h *house) fulfil(id string, total events.Money) {
	h.T.Helper()
	h.Append(events.CategoryFulfilment, id, events.FulfilmentStarted{OrderID: id}, events.ReservationRequested{Request: request(id, "r-1")})
	h.Append(events.CategoryFulfilment, id, events.ReservationSucceeded{OrderID: id, ReservationID: id})
	h.Append(events.CategoryFulfilment, id, events.AuthorizationSucceeded{OrderID: id, PaymentID: "p-1", Amount: total}, events.ConfirmationRequested{Request: request(id, "c-1")})
	h.Append(events.CategoryFulfilment, id, events.CaptureSucceeded{OrderID: id, PaymentID: "p-1", Amount: total})
	h.Append(events.CategoryFulfilment, id, events.DispatchConfirmed{OrderID: id, Tracking: []string{"T1"}}, events.CompletionRequested{Request: request(id, "d-1")})
}

func TestAnOrderFromDraftToCompleted(t *testing.T) {
	h := newHouse(t)
	h.list("beans", "24.90")
	h.run()
	submitted := h.submit("o-1")
	if submitted.Version != 5 || len(submitted.EventIDs) != 1 || submitted.State.Status != queries.Submitted || submitted.State.Total != eur("49.80") {
		t.Errorf("submit answered %+v", submitted)
	}
	h.fulfil("o-1", eur("49.80"))
	if got := h.ends("o-1", "OrderCompleted"); !slices.Equal(got, way) {
		t.Errorf("the order's events are %v", got)
	}
}

// The service may lose its place, stop and start: nothing is done twice.
func TestReactionsThatComeAgainChangeNothing(t *testing.T) {
	h := newHouse(t)
	h.list("beans", "24.90")
	stop := h.run()
	for i := range 5 {
		id := fmt.Sprintf("o-%d", i)
		h.fulfil(id, h.submit(id).State.Total)
	}
	for i := range 5 {
		h.ends(fmt.Sprintf("o-%d", i), "OrderCompleted")
	}
	stop()
	h.forgetPosition()
	h.run()
	h.fulfil("o-9", h.submit("o-9").State.Total) // handled after everything before it was handled again, per worker
	h.ends("o-9", "OrderCompleted")
	h.Until("everything was handled again", func() bool {
		all, err := esjs.Subscriptions(t.Context(), h.Store, order.BucketSubscriptions)
		return err == nil && len(all) == 1 && all[0].Lag == 0
	})
	for i := range 5 {
		if got := h.history(fmt.Sprintf("o-%d", i)); !slices.Equal(got, way) {
			t.Errorf("order %d: %v", i, got)
		}
	}
}

func (h *house) forgetPosition() {
	h.T.Helper()
	js, err := jetstream.New(h.NC)
	h.Check(err)
	h.Check(js.DeleteKeyValue(h.T.Context(), order.BucketSubscriptions))
	h.Check(esjs.ProvisionBucket(h.T.Context(), h.Server.Dial(), order.BucketSubscriptions, 1))
}

// A customer cancels while fulfilment asks for confirmation: the order itself
// decides, once.
func TestCancellingRacesWithConfirming(t *testing.T) {
	h := newHouse(t)
	h.list("beans", "24.90")
	h.run()
	const orders = 20
	for i := range orders {
		id := fmt.Sprintf("o-%d", i)
		total := h.submit(id).State.Total
		h.Append(events.CategoryFulfilment, id, events.ReservationSucceeded{ReservationID: id}, events.AuthorizationSucceeded{PaymentID: "p-1", Amount: total})
	}
	outcomes := map[string]int{}
	for i := range orders {
		id := fmt.Sprintf("o-%d", i)
		h.ends(id, "OrderPaymentAuthorized")
		both := sync.WaitGroup{}
		both.Go(func() {
			h.Append(events.CategoryFulfilment, id, events.ConfirmationRequested{Request: request(id, "c-1")})
		})
		both.Go(func() { h.do(id, "cancel", `{"reason":"changed my mind"}`) })
		both.Wait()
		var names []string
		h.Until("an answer to the confirmation of "+id, func() bool {
			names = h.history(id)
			return slices.Contains(names, "OrderConfirmed") || slices.Contains(names, "OrderConfirmationRefused")
		})
		last := strings.Join(names[len(names)-2:], " ")
		outcomes[last]++
	}
	for outcome := range outcomes {
		if outcome != "OrderConfirmed OrderCancellationRequested" && outcome != "OrderCancellationRequested OrderConfirmationRefused" {
			t.Errorf("an order ended with %s", outcome)
		}
	}
	t.Log(outcomes)
}

func TestPricesAreTheServicesOwn(t *testing.T) {
	h := newHouse(t)
	h.list("beans", "24.90")
	h.run()
	h.do("o-1", "create", `{"customer_id":"c-1","currency":"EUR"}`)
	h.list("filter", "3.00") // a moment ago
	h.do("o-1", "add-item", `{"sku":"filter","quantity":1}`)
	first := h.do("o-1", "add-item", `{"sku":"beans","quantity":1}`)
	if l := first.State.Lines[1]; l.UnitPrice != eur("24.90") || l.Name != "The beans" {
		t.Errorf("the line is %+v", l)
	}
	h.Append(events.CategoryProduct, "beans", events.ProductPriceChanged{Price: eur("25.90")})
	h.Until("the new price is known", func() bool {
		return h.request("cmd.order.o-1.add-item", `{"sku":"beans","quantity":1}`).Code == "price_changed"
	})
	h.Append(events.CategoryProduct, "filter", events.ProductDelisted{})
	h.Until("the end of the product is known", func() bool {
		return h.request("cmd.order.o-1.add-item", `{"sku":"filter","quantity":1}`).Code == "delisted_sku"
	})
}

func TestBadCommandsAreRefusedInWords(t *testing.T) {
	h := newHouse(t)
	h.list("beans", "24.90")
	h.run()
	h.do("o-1", "create", `{"customer_id":"c-1","currency":"EUR"}`)
	h.do("o-1", "add-item", `{"sku":"beans","quantity":2}`)
	before := h.history("o-1")
	for _, test := range []struct {
		subject, body, code string
		status              int
	}{
		{"cmd.order.o-1.add-item", `{"sku":"beans","quantity":-1}`, "quantity_out_of_range", 422},
		{"cmd.order.o-1.add-item", `{"sku":"none","quantity":1}`, "unknown_sku", 422},
		{"cmd.order.o-1.add-item", `{"sku":"beans","quantity":1,"price":"0.01"}`, "bad_request", 400},
		{"cmd.order.o-1.add-item", `{"sku":"beans","quantity":1.5}`, "bad_request", 400},
		{"cmd.order.o-1.add-item", `{"sku":"beans","quantity":"1"}`, "bad_request", 400},
		{"cmd.order.o-1.add-item", `{"sku":`, "bad_request", 400},
		{"cmd.order.o-1.add-item", ``, "bad_request", 400},
		{"cmd.order.o-1.request-refund", `{"lines":[{"line_id":"l1"}]}`, "field_required", 422},
		{"cmd.order.o-1.change-quantity", `{"line_id":"l7","quantity":1}`, "line_not_found", 404},
		{"cmd.order.o-1.create", `{"customer_id":"c-1","currency":"EUR"}`, "order_exists", 409},
		{"cmd.order.o-2.create", `{"customer_id":"c-1","currency":"XXX"}`, "unknown_currency", 422},
		{"cmd.order.o-2.submit", `{}`, "order_not_found", 404},
		{"cmd.order.o-1.submit", `{}`, "shipping_missing", 422},
		{"cmd.order.o-1.request-refund", `{"amount":"1.00"}`, "not_paid", 409},
		{"query.orders.at", `{"order_id":"o-1"}`, "field_required", 422},
		{"query.orders.at", `{"order_id":"o-1","version":0}`, "field_invalid", 422},
		{"query.orders.at", `{"order_id":"o-1","version":99}`, "version_not_found", 404},
		{"query.orders.at", `{"order_id":"o-9","as_of":"2026-01-01T00:00:00Z"}`, "order_not_found", 404},
		{"query.orders.diff", `{"order_id":"o-1","from":1}`, "field_invalid", 422},
		{"query.orders.diff", `{"order_id":"","from":1,"to":2}`, "field_required", 422},
	} {
		r := h.request(test.subject, test.body)
		if r.Code != test.code || r.Status != test.status || !strings.Contains(r.Detail, " ") {
			t.Errorf("%s %s answered %d %s: %s; want %d %s", test.subject, test.body, r.Status, r.Code, r.Detail, test.status, test.code)
		}
	}
	if after := h.history("o-1"); !slices.Equal(after, before) {
		t.Errorf("refused commands stored %v", after[len(before):])
	}
}

func TestACommandIDMakesACommandCountOnce(t *testing.T) {
	h := newHouse(t)
	h.list("beans", "24.90")
	h.run()
	h.do("o-1", "create", `{"customer_id":"c-1","currency":"EUR"}`)
	add := func(body string) reply {
		return h.request("cmd.order.o-1.add-item", body, service.HeaderCommandID, "k-1", service.HeaderActor, "c-1")
	}
	first, second := add(`{"sku":"beans","quantity":2}`), add(`{"sku":"beans","quantity":2}`)
	if first.Code != "" || first.Version != 2 || second.Version != 2 || second.Revision != first.Revision || !slices.Equal(first.EventIDs, second.EventIDs) {
		t.Errorf("the first answer was %+v, the second %+v", first, second)
	}
	if other := add(`{"sku":"beans","quantity":3}`); other.Code != "command_id_reused" {
		t.Errorf("another body with the same id answered %+v", other)
	}
	stale := h.request("cmd.order.o-1.set-shipping", `{"address_ref":"a","country":"DE"}`, service.HeaderExpectedVersion, "1")
	if stale.Code != "conflict" {
		t.Errorf("an old version answered %+v", stale)
	}
}

func TestAnOrderAsItWas(t *testing.T) {
	h := newHouse(t)
	h.list("beans", "24.90")
	h.run()
	h.submit("o-1")
	var at queries.OrderMoment
	h.ask("query.orders.at", `{"order_id":"o-1","version":2}`, &at)
	if at.Version != 2 || at.State.Status != queries.Draft || len(at.State.Lines) != 1 || at.State.AddressRef != "" {
		t.Errorf("version 2 is %+v", at)
	}
	var then queries.OrderMoment
	h.ask("query.orders.at", fmt.Sprintf(`{"order_id":"o-1","as_of":%q}`, at.Time.Format(time.RFC3339Nano)), &then)
	if then.Version < 2 || then.Time.After(at.Time) {
		t.Errorf("as of version 2's time it is %+v", then)
	}
	var diff queries.OrderDifference
	h.ask("query.orders.diff", `{"order_id":"o-1","from":1,"to":5}`, &diff)
	paths := map[string]queries.OrderChange{}
	for _, c := range diff.Changes {
		paths[c.Path] = c
	}
	if c := paths["/status"]; c.Old != "Draft" || c.New != "Submitted" {
		t.Errorf("the status changed so: %+v", c)
	}
	if c := paths["/country"]; c.Old != nil || c.New != "DE" {
		t.Errorf("the country changed so: %+v", c)
	}
	if c, ok := paths["/lines/l1"]; !ok || c.Old != nil {
		t.Errorf("the line changed so: %+v", diff.Changes)
	}
	if c := paths["/total/amount"]; c.Old != "0.00" || c.New != "49.80" {
		t.Errorf("the total changed so: %+v", c)
	}
}

func TestAMomentThatNeverWas(t *testing.T) {
	h := newHouse(t)
	h.list("beans", "24.90")
	h.run()
	h.submit("o-1")
	future := time.Now().Add(time.Hour).Format(time.RFC3339)
	for _, c := range []struct {
		subject, body string
		status        int
		code          string
	}{
		{"query.orders.at", `{"order_id":"o-1","version":6}`, 404, "version_not_found"},
		{"query.orders.at", `{"order_id":"o-1","version":0}`, 422, "field_invalid"},
		{"query.orders.at", `{"order_id":"o-2","version":1}`, 404, "order_not_found"},
		{"query.orders.at", `{"order_id":"o-1","as_of":"2001-01-01T00:00:00Z"}`, 404, "order_not_found"},
		{"query.orders.at", fmt.Sprintf(`{"order_id":"o-1","as_of":%q}`, future), 422, "time_in_future"},
		{"query.orders.at", `{"order_id":"o-1"}`, 422, "field_required"},
		{"query.orders.at", fmt.Sprintf(`{"order_id":"o-1","version":1,"as_of":%q}`, future), 422, "field_required"},
		{"query.orders.diff", `{"order_id":"o-1","from":1,"to":9}`, 404, "version_not_found"},
		{"query.orders.diff", `{"order_id":"o-1","from":0,"to":1}`, 422, "field_invalid"},
		{"query.orders.events", `{"order_id":"o-2"}`, 404, "order_not_found"},
		{"query.orders.events", `{"order_id":"o-1","limit":501}`, 422, "field_invalid"},
		{"query.orders.events", `{}`, 422, "field_required"},
	} {
		var p service.Problem
		h.ask(c.subject, c.body, &p)
		if p.Status != c.status || p.Code != c.code {
			t.Errorf("%s %s is answered %d %s: %s; want %d %s", c.subject, c.body, p.Status, p.Code, p.Detail, c.status, c.code)
		}
	}
}

func TestQueriesTellTheSchemasOfWhatTheyTake(t *testing.T) {
	h := newHouse(t)
	h.run()
	var told struct {
		Endpoints []struct {
			Subject  string            `json:"subject"`
			Metadata map[string]string `json:"metadata"`
		} `json:"endpoints"`
	}
	answer, err := h.NC.Request("$SRV.INFO.order-history", nil, servicetest.Patience)
	h.Check(err)
	h.Check(json.Unmarshal(answer.Data, &told))
	got := map[string]map[string]string{}
	for _, e := range told.Endpoints {
		got[e.Subject] = e.Metadata
	}
	want := map[string]map[string]string{}
	for _, question := range []queries.Description{queries.OrderAt.Describe(), queries.OrderDiff.Describe(), queries.OrderEvents.Describe()} {
		want[question.Subject], err = question.Metadata()
		h.Check(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the endpoints tell %v, want %v", got, want)
	}
}

func TestAnOrdersEventsAreReadInPages(t *testing.T) {
	h := newHouse(t)
	h.list("beans", "24.90")
	h.run()
	h.submit("o-1")
	var types []string
	for from := uint64(1); from != 0; {
		var page queries.OrderEventPage
		h.ask("query.orders.events", fmt.Sprintf(`{"order_id":"o-1","from":%d,"limit":2}`, from), &page)
		for _, e := range page.Events {
			if e.Version != uint64(len(types))+1 || e.EventID == "" || e.Position == "" || len(e.Data) < 2 {
				t.Errorf("event %d is %+v", len(types)+1, e)
			}
			types = append(types, e.Type)
		}
		from = page.Next
	}
	if want := servicetest.Types(h.History("order", "o-1")); !slices.Equal(types, want) || len(want) != 5 {
		t.Errorf("the pages have %v, the store has %v", types, want)
	}
	var page queries.OrderEventPage
	h.ask("query.orders.events", `{"order_id":"o-1","from":6}`, &page)
	if len(page.Events) != 0 || page.Next != 0 {
		t.Errorf("beyond the last event there is %+v", page)
	}
}

func (h *house) ask(subject, body string, into any) {
	h.T.Helper()
	answer, err := h.NC.Request(subject, []byte(body), servicetest.Patience)
	if err != nil {
		h.T.Fatal(err)
	}
	if err := json.Unmarshal(answer.Data, into, json.RejectUnknownMembers(true)); err != nil {
		h.T.Fatalf("%s answered %s: %v", subject, answer.Data, err)
	}
}

func TestEveryRequiredFieldIsAskedFor(t *testing.T) {
	h := newHouse(t)
	h.run()
	type says = map[string]string
	quantities := fmt.Sprintf("to %d", order.MaxQuantity)
	texts := fmt.Sprintf("a string of 1 to %d bytes", order.MaxText)
	for verb, c := range map[string]struct {
		complete string
		required says
	}{
		"create":             {`{"customer_id":"c-1","currency":"EUR"}`, says{"customer_id": texts, "currency": "such as EUR"}},
		"add-item":           {`{"sku":"beans","quantity":1}`, says{"sku": "a product that is listed", "quantity": "a whole number from 1 " + quantities}},
		"change-quantity":    {`{"line_id":"l1","quantity":1}`, says{"line_id": "such as l1", "quantity": "a whole number from 0 " + quantities + "; 0 removes the line"}},
		"remove-item":        {`{"line_id":"l1"}`, says{"line_id": "such as l1"}},
		"set-shipping":       {`{"address_ref":"a","country":"DE"}`, says{"address_ref": texts, "country": "such as DE"}},
		"set-payment-method": {`{"method_ref":"card-ok"}`, says{"method_ref": texts}},
	} {
		h.Requires("cmd.order.o-1."+verb, c.complete, c.required)
	}
}
