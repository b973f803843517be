package console

import (
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/gateway/signin"
	"github.com/rs/zerolog"
)

// evil is what somebody stored who would like it to be more than text.
const evil = `<img src=x onerror=alert(1)>"'</script><script>alert(2)</script>`

var began = time.Date(2026, 3, 1, 11, 30, 0, 123456789, time.UTC)

// rendered is a page as a browser gets it.
func rendered(t *testing.T, name string, who signin.Role, page any) string {
	t.Helper()
	c, err := New(Config{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	v := &visit{
		Request: httptest.NewRequest(http.MethodGet, "/console/here?x=%22%3E", nil), console: c, w: w,
		who: signin.Principal{Subject: evil, CustomerID: evil, Roles: []signin.Role{who}},
	}
	if err := v.show(name, evil, "/v1/events/live", page); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return w.Body.String()
}

func money(amount string) events.Money { return events.MustMoney(amount, "EUR") }

func evilEntries() []queries.TimelineEntry {
	raw, _ := json.Marshal(map[string]string{"customer_id": evil})
	return []queries.TimelineEntry{
		{Category: "order", Key: evil, Version: 1, Type: "OrderCreated", Time: began, EventID: "e-1", Actor: evil, What: evil, Data: raw},
		{Category: "order", Key: evil, Version: 2, Type: "OrderSubmitted", Time: began.Add(time.Second), EventID: "e-2", CausationID: "e-1", What: evil, Data: raw},
	}
}

// evilPages are all pages, with markup wherever somebody's text stands.
func evilPages() map[string]any {
	line := queries.OrderLine{LineID: evil, SKU: evil, Name: evil, Quantity: 2, UnitPrice: money("24.90"), Amount: money("49.80")}
	order := queries.Order{
		OrderID: evil, CustomerID: evil, State: queries.Draft, Version: 2, Currency: "EUR", Channel: evil, Lines: []queries.OrderLine{line}, Total: money("49.80"),
		Shipping: queries.Shipping{AddressRef: evil, Country: "DE"}, PaymentMethod: evil, Tracking: []string{evil},
		Cancellation: queries.Cancellation{Reason: evil, By: evil, Refused: evil}, Rejection: queries.Rejection{Code: evil}, CreatedAt: began,
	}
	entries := evilEntries()
	history := historyData{
		OrderID: evil, Newest: 2, With: 1, Event: &entries[1], AsOf: field(began), Changes: []change{{evil, evil, evil}},
		At: queries.OrderMoment{Version: 2, Time: began, State: queries.OrderView{OrderID: evil, Status: queries.Submitted, AddressRef: evil, Country: "DE", MethodRef: evil}},
	}
	saga := queries.Saga{
		Kind: queries.SagaFulfilment, SagaID: evil, OrderID: evil, State: "COMP_SHIPMENT", Attention: evil, Detail: evil, Owner: evil, Cause: evil,
		Version: 7, LastError: queries.SagaError{Code: evil}, StartedAt: began,
	}
	indexed := queries.IndexedEvent{EventID: evil, Type: evil, Category: "order", Key: evil, Version: 1, Time: began, Actor: evil, CorrelationID: evil, CausationID: evil, CommandID: evil}
	tree := drawTree(queries.EventTree{Events: []queries.TreeEvent{{IndexedEvent: indexed}}}, "")
	stock := queries.Stock{SKU: evil, Name: evil, Price: money("24.90"), OnHand: 9, UpdatedAt: began}
	product := queries.Product{SKU: evil, Name: evil, Price: money("24.90")}
	payment := queries.Payment{PaymentID: evil, OrderID: evil, State: queries.PaymentCaptured, MethodRef: evil, DeclineCode: evil, Unknown: events.PaymentOperation(evil), LastError: evil, Disputed: money("1.00"), CreatedAt: began, UpdatedAt: began}
	compared := queries.Reconciliation{Number: 1, EndedAt: began, Error: evil, Found: 1, Mismatches: []queries.Mismatch{{PaymentID: evil, OrderID: evil, Code: evil, Here: evil, There: evil}}}
	customer := queries.Customer{CustomerID: evil, Orders: 1, Spend: []queries.CustomerSpend{{Currency: evil, Paid: money("1.00")}}}
	differing := queries.Comparison{With: evil, Rows: 9, Differing: 2, First: []string{evil}, Overruled: evil}
	sale := queries.Sale{Day: "2026-03-01", SKU: evil, Name: evil, Currency: "EUR", Quantity: 1, Booked: money("1.00"), Refunded: money("0.50"), Net: money("0.50")}
	return map[string]any{
		"orders": ordersData{
			Filter: queries.OrderFilter{Text: evil, CustomerID: evil}, From: evil, States: queries.OrderStates(), Filtered: true,
			Page: queries.OrderPage{Orders: []queries.OrderSummary{{OrderID: evil, CustomerID: evil, State: queries.Paid, Total: money("1.00"), CreatedAt: began, UpdatedAt: began}}},
			Next: "/console/orders?cursor=" + evil,
		},
		"new": newOrderData{OrderID: evil, CustomerID: evil, Currency: evil, CommandID: "c"},
		"order": orderData{
			Order: order, Machines: machines(order.State, passedBy(entries, 2)), Stories: stories(entries), History: history, Saga: &saga,
			Products: queries.ProductPage{Products: []queries.Product{product}}, Oversees: true, May: may{true, true, true, true, true, true},
		},
		"history": history,
		"causes":  causesData{OrderID: evil, Tree: tree},
		"events":  eventsData{Filter: queries.EventFilter{Type: evil, Key: evil}, Events: []queries.IndexedEvent{indexed}},
		"event":   eventData{Event: queries.EventDetail{IndexedEvent: indexed, What: evil, Data: json.RawMessage(`{"x":"</pre>"}`)}, Tree: tree},
		"sagas": board{
			Attention: []card{{saga, actions(saga)}}, Lanes: []lane{{State: evil, Sagas: []queries.Saga{saga}}}, Operates: true, States: queries.SagaStates(),
			Filter: queries.SagaFilter{OrderID: evil}, Failures: failures([]queries.CauseCount{{Cause: evil, Outcome: events.Outcome(evil), Count: 1}}),
		},
		"bulk":        bulk{Reason: evil, Items: []bulkItem{{Pick: evil, Saga: saga, Plan: "7 c", Outcome: toBeRetried}, {Pick: evil, Outcome: leftAlone, Why: evil}}},
		"products":    productsData{Filter: queries.ProductFilter{Text: evil}, Products: []queries.Product{product}, Buys: true},
		"stock":       stockData{Filter: queries.StockFilter{Text: evil}, Stock: []stockRow{{Stock: stock}}, Operates: true},
		"movements":   movementsData{Stock: stock, Operates: true, Movements: []queries.Movement{{Type: evil, EventID: evil, OnHandDelta: 5, Reference: evil, Time: began}}},
		"sales":       salesData{Currencies: []queries.Sale{sale}, Sum: sale, Days: []queries.Sale{sale}, Table: []queries.Sale{sale}, Plots: plots(everyDay([]queries.Sale{sale}, began)), Products: []bar{{Label: evil, Note: evil}}},
		"payments":    paymentsData{Filter: queries.PaymentFilter{OrderID: evil}, Payments: []queries.Payment{payment}, Compared: &compared, Sums: queries.PaymentSums{Unknown: 1, Disputed: 1}},
		"payment":     paymentData{Payment: payment, Calls: []call{{TimelineEntry: entries[0], Reference: evil, Key: evil}}, Compared: &compared, Mismatches: compared.Mismatches},
		"customers":   customersData{Filter: queries.CustomerFilter{Text: evil}, Customers: []queries.Customer{customer}},
		"customer":    customerData{Customer: customer, Orders: []queries.OrderSummary{{OrderID: evil, CustomerID: evil, State: queries.Paid, CreatedAt: began, UpdatedAt: began}}},
		"projections": projectionsData{Operates: true, Rows: []projectionRow{{Actions: []projectionAction{{Verb: "promote", Name: "Promote", Explain: "e", Key: evil, Differs: &differing}}, ProjectionStatus: queries.ProjectionStatus{Name: evil, State: queries.ProjectionFailed, Comparison: &differing, Error: evil, Progress: 0.5, RemainingSeconds: 3, EventsPerSecond: 4, Parked: []queries.ParkedKey{{Key: evil, Reason: evil, Since: began, Count: 2}}}}}},
		"problem":     &service.Problem{Status: 404, Code: evil, Detail: evil},
		"sign-in":     signInData{Here: evil, Code: evil},
	}
}

func TestStoredMarkupIsText(t *testing.T) {
	pages := evilPages()
	c, err := New(Config{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	for name := range c.pages {
		if _, ok := pages[name]; !ok {
			t.Errorf("the page %s is not tried", name)
		}
	}
	for name, page := range pages {
		body := rendered(t, name, signin.Operator, page)
		for _, bad := range []string{"<img", "<script>", "onerror=alert(1)>\"", "ZgotmplZ", `style="`, "%!"} {
			if i := strings.Index(body, bad); i >= 0 {
				t.Errorf("%s has %q: …%s…", name, bad, body[max(0, i-80):min(len(body), i+80)])
			}
		}
		if !strings.Contains(body, "&lt;img src=x") {
			t.Errorf("%s does not show what was stored", name)
		}
	}
}

func TestAPageHasWhatItsVisitorMayDo(t *testing.T) {
	data := evilPages()["order"].(orderData)
	data.Order.OrderID = "o-1"
	body := rendered(t, "order", signin.Operator, data)
	for _, want := range []string{
		`action="/console/orders/o-1/add-item"`, `action="/console/orders/o-1/cancel"`, `data-state="Draft" data-version="2"`,
		`data-stream="/v1/events/live"`, `<input type="hidden" name="version" value="2">`, `href="#e-e-1"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	data.May = may{}
	body = rendered(t, "order", signin.Auditor, data)
	if n := strings.Count(body, `method="post"`); n != 1 { // of the theme
		t.Errorf("who may do nothing is offered %d forms", n-1)
	}
	data.Oversees, data.More, data.Saga = false, true, nil
	for name, page := range map[string]any{"order": data, "orders": ordersData{Own: true}, "products": productsData{}} {
		body := rendered(t, name, signin.Customer, page)
		for _, link := range strings.Split(body, `href="/console/`)[1:] {
			if to, _, _ := strings.Cut(link, `"`); strings.HasSuffix(to, "/causes") || strings.HasPrefix(to, "sagas") || strings.HasPrefix(to, "stock") || strings.HasPrefix(to, "events") {
				t.Errorf("%s shows a customer the way to %s, which he may not see", name, to)
			}
		}
	}
}

func TestProjectionsTellHowFarTheyAre(t *testing.T) {
	body := rendered(t, "projections", signin.Auditor, projectionsData{Rows: []projectionRow{
		{ProjectionStatus: queries.ProjectionStatus{Name: "orders_v1", State: queries.ProjectionLive, Progress: 1}, Done: 100},
		{ProjectionStatus: queries.ProjectionStatus{Name: "orders_v0", State: queries.ProjectionStandby, Previous: true, Progress: 1}, Done: 100},
		{ProjectionStatus: queries.ProjectionStatus{Name: "orders_v2", State: queries.ProjectionBuilding, RemainingSeconds: 90, EventsPerSecond: 1234.4}, Done: 25.5},
	}})
	for _, want := range []string{`chip good">live`, `chip busy">building`, "1 min 30 s left at 1234 events/s", `aria-label="25.5 % applied"`, `<rect width="25.5"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if n := strings.Count(body, `chip quiet">previous`); n != 1 {
		t.Errorf("%d versions are marked as previous, want 1", n)
	}
}

func TestEveryFormHasAnIDOfItsOwn(t *testing.T) {
	body := rendered(t, "order", signin.Operator, evilPages()["order"])
	seen := map[string]bool{}
	for _, part := range strings.Split(body, `name="command_id" value="`)[1:] {
		id, _, _ := strings.Cut(part, `"`)
		if seen[id] || len(id) < 30 {
			t.Errorf("the command id %q is there twice, or none", id)
		}
		seen[id] = true
	}
	if len(seen) < 8 {
		t.Errorf("only %d forms have a command id", len(seen))
	}
}

func TestPagesRunNothingOfOthers(t *testing.T) {
	c, err := New(Config{Log: zerolog.Nop(), SignedIn: func(h Handler) Handler { return h }})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	c.Routes(mux.Handle)
	for _, path := range []string{"/console/sign-in", "/console/assets/console.css", "/console/assets/live.js", "/console/nothing"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		policy := w.Header().Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; script-src 'self'; style-src 'self'") || strings.Contains(policy, "unsafe") || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: the policy is %q", path, policy)
		}
	}
	for path, want := range map[string]string{"/console/assets/console.css": "text/css", "/console/assets/live.js": "text/javascript", "/console/assets/icon.svg": "image/svg+xml"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if got := w.Header().Get("Content-Type"); w.Code != 200 || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %d %q", path, w.Code, got)
		}
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/console/nothing", nil))
	if w.Code != 404 || !strings.Contains(w.Body.String(), "no_such_page") {
		t.Errorf("a page that is not there: %d", w.Code)
	}
}

// Who comes back from choosing a theme or signing in is never sent to another site.
func TestReturnsStayHere(t *testing.T) {
	for path, want := range map[string]string{
		"/console/orders?q=x": "/console/orders?q=x", "": Root, "//evil.example/": Root, "https://evil.example": Root,
		"/console\\..\\evil": Root, "/v1/orders": Root, "/console/\\evil.example": Root,
	} {
		if got := local(path); got != want {
			t.Errorf("%q leads to %q, want %q", path, got, want)
		}
	}
}

func TestSalesSayWhenProductsAreCut(t *testing.T) {
	data := evilPages()["sales"].(salesData)
	const says = "There are more than the 1 product"
	for _, data.Cut = range []bool{true, false} {
		if got := strings.Contains(rendered(t, "sales", signin.Auditor, data), says); got != data.Cut {
			t.Errorf("cut is %t, and it is said: %t", data.Cut, got)
		}
	}
}

// The board leads on where there is more, also when a page of it shows nothing.
func TestTheBoardIsPagedTwice(t *testing.T) {
	u := &url.URL{Path: "/console/sagas", RawQuery: "waiting=w1&cursor=c1&kind=refund"}
	body := html.UnescapeString(rendered(t, "sagas", signin.Operator, board{
		AttentionPager: pagerOf(u, "waiting", "w2"), Pager: pagerOf(u, "cursor", "c2"), States: queries.SagaStates(),
	}))
	for _, want := range []string{
		`href="/console/sagas?cursor=c1&kind=refund"`, `href="/console/sagas?cursor=c1&kind=refund&waiting=w2"`,
		`href="/console/sagas?kind=refund&waiting=w1"`, `href="/console/sagas?cursor=c2&kind=refund&waiting=w1"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the board lacks %s", want)
		}
	}
	for _, wrong := range []string{"Nothing is under way", "Nothing needs you"} {
		if strings.Contains(body, wrong) {
			t.Errorf("a later page of the board says %q", wrong)
		}
	}
}

// A page does without what its visitor may not see or who does not run, and not
// without what is broken.
func TestOptional(t *testing.T) {
	for status, without := range map[int]bool{403: true, 404: true, 503: true, 504: true, 400: false, 500: false} {
		_, found, err := optional("", &service.Problem{Status: status, Code: "tried"})
		if found || (err == nil) != without {
			t.Errorf("with %d: found %t, %v", status, found, err)
		}
	}
	if _, _, err := optional("", io.ErrUnexpectedEOF); err == nil {
		t.Error("what is none of the problems is hidden")
	}
}

// What can be done with a version follows from its state, and from the live one.
func TestVersionsAreOfferedWhatTheProjectorWouldDo(t *testing.T) {
	status := func(name string, version int, state queries.ProjectionState) queries.ProjectionStatus {
		return queries.ProjectionStatus{Name: name, View: "orders", Version: version, State: state}
	}
	for name, c := range map[string]struct {
		all  []queries.ProjectionStatus
		want string
	}{
		"alone":             {[]queries.ProjectionStatus{status("v1", 1, queries.ProjectionLive)}, "v1: rebuild."},
		"being built":       {[]queries.ProjectionStatus{status("v1", 1, queries.ProjectionLive), status("v2", 2, queries.ProjectionBuilding)}, "v1:. v2: pause drop."},
		"to be promoted":    {[]queries.ProjectionStatus{status("v1", 1, queries.ProjectionLive), status("v2", 2, queries.ProjectionStandby)}, "v1:. v2: promote pause drop."},
		"to be gone back":   {[]queries.ProjectionStatus{status("v1", 1, queries.ProjectionStandby), status("v2", 2, queries.ProjectionLive)}, "v1: promote pause drop. v2: rebuild."},
		"paused":            {[]queries.ProjectionStatus{status("v1", 1, queries.ProjectionLive), status("v2", 2, queries.ProjectionPaused)}, "v1:. v2: resume drop."},
		"failed":            {[]queries.ProjectionStatus{status("v1", 1, queries.ProjectionLive), status("v2", 2, queries.ProjectionFailed)}, "v1:. v2: resume drop."},
		"of a past program": {[]queries.ProjectionStatus{status("v1", 1, queries.ProjectionOutdated), status("v2", 2, queries.ProjectionLive)}, "v1: drop. v2: rebuild."},
		"none answers":      {[]queries.ProjectionStatus{status("v1", 1, queries.ProjectionFailed)}, "v1: resume."},
	} {
		var got []string
		for _, p := range c.all {
			verbs := p.Name + ":"
			for _, a := range projectionActions(p, c.all) {
				verbs += " " + a.Verb
			}
			got = append(got, verbs+".")
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: %s, want %s", name, text, c.want)
		}
	}
	differing := status("v2", 2, queries.ProjectionStandby)
	differing.Comparison = &queries.Comparison{With: "v1", Rows: 9, Differing: 2}
	if a := projectionActions(differing, nil); a[0].Verb != "promote" || a[0].Differs == nil {
		t.Errorf("a version of which rows differ is promoted without a reason: %+v", a)
	}
}
