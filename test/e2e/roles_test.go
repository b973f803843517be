package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/services/gateway/signin"
	"github.com/b144f99b/orderflow/services/gateway/signin/signintest"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// caller is somebody who asks the HTTP API.
type caller struct {
	name  string
	token string
}

// door is a system that asks for tokens, and what it says of its API.
type door struct {
	*system
	t       *testing.T
	doc     *openapi3.T
	router  routers.Router
	callers []caller // nobody, the customer c-1, another one, auditor, operator
	orders  int
	// Of the order o-1, which is complete and in part refunded.
	refund, payment, event string // ids
}

func openDoor(t *testing.T) *door {
	t.Helper()
	issuer := signintest.New(t)
	cfg := issuer.Config()
	d := &door{t: t, system: up(t, "--ephemeral", "--jwt-issuer", cfg.Issuer, "--jwt-audience", cfg.Audience, "--jwt-keys", cfg.Keys)}
	d.callers = []caller{
		{"nobody", ""},
		{"its customer", issuer.Token("c-1", signin.Customer)},
		{"another customer", issuer.Token("c-2", signin.Customer)},
		{"auditor", issuer.Token("a-1", signin.Auditor)},
		{"operator", issuer.Token("op-1", signin.Operator)},
	}
	d.read(d.do(d.callers[0], "GET", "/openapi.json", ""))
	d.stocked(t, "beans-1kg", 1000)
	d.draft("o-1", "c-1")
	d.command("o-1", "submit", `{}`)
	await(t, func() order { return d.shown(t, "o-1") }, "Completed")
	var refunded struct {
		State struct {
			Refunds []struct {
				RefundID string `json:"refund_id"`
			} `json:"refunds"`
		} `json:"state"`
	}
	decode(t, d.command("o-1", "request-refund", `{"amount":"1.00"}`), &refunded)
	d.refund = refunded.State.Refunds[0].RefundID
	await(t, func() order {
		if d.do(d.operator(), "GET", "/v1/refunds/"+d.refund, "").status == 200 {
			return order{State: "shown"}
		}
		return order{OrderID: "o-1", State: "not shown as refunded"}
	}, "shown")
	d.draft("o-2", "c-2")
	var paid struct {
		PaymentID string `json:"payment_id"`
	}
	decode(t, d.do(d.operator(), "GET", "/v1/orders/o-1", "").body, &paid)
	var own struct {
		Events []struct {
			EventID string `json:"event_id"`
		} `json:"events"`
	}
	decode(t, d.do(d.operator(), "GET", "/v1/orders/o-1/events", "").body, &own)
	d.payment, d.event = paid.PaymentID, own.Events[0].EventID
	return d
}

// read reads the description, in which objects have what is described and nothing else.
func (d *door) read(a reply) {
	d.t.Helper()
	var tree any
	decode(d.t, a.body, &tree)
	closeObjects(tree)
	text, err := json.Marshal(tree)
	check(d.t, err)
	d.doc, err = openapi3.NewLoader().LoadFromData(text)
	check(d.t, err)
	check(d.t, d.doc.Validate(context.Background()))
	d.doc.Servers = openapi3.Servers{{URL: d.http}}
	d.router, err = gorillamux.NewRouter(d.doc)
	check(d.t, err)
}

// closeObjects has schemas refuse what they do not describe.
func closeObjects(tree any) {
	switch node := tree.(type) {
	case map[string]any:
		if _, object := node["properties"].(map[string]any); object && node["additionalProperties"] == nil {
			node["additionalProperties"] = false
		}
		for _, child := range node {
			closeObjects(child)
		}
	case []any:
		for _, child := range node {
			closeObjects(child)
		}
	}
}

// reply is an answer.
type reply struct {
	request *http.Request
	status  int
	header  http.Header
	body    string
	code    string // of a problem
}

// outcome is what the table says: the status, and the code when it is a refusal.
func (r reply) outcome() string { return strings.TrimSpace(fmt.Sprint(r.status, " ", r.code)) }

func (d *door) do(c caller, method, path, body string) reply {
	d.t.Helper()
	ctx, cancel := context.WithCancel(d.t.Context())
	defer cancel() // ends a stream
	req, err := http.NewRequestWithContext(ctx, method, d.http+path, strings.NewReader(body))
	check(d.t, err)
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
		if !strings.HasSuffix(path, "/create") {
			req.Header.Set("If-Match", "*")
		}
	}
	resp, err := http.DefaultClient.Do(req)
	check(d.t, err)
	defer resp.Body.Close()
	r := reply{request: req, status: resp.StatusCode, header: resp.Header}
	if resp.Header.Get("Content-Type") == "text/event-stream" {
		return r
	}
	data, err := io.ReadAll(resp.Body)
	check(d.t, err)
	r.body = string(data)
	if r.status >= 400 {
		var p problem
		decode(d.t, r.body, &p)
		r.code = p.Code
	}
	return r
}

func (d *door) operator() caller { return d.callers[len(d.callers)-1] }

// command sends a command that has to succeed, as the operator.
func (d *door) command(id, verb, body string) string {
	d.t.Helper()
	a := d.do(d.operator(), "POST", "/v1/orders/"+id+"/"+verb, body)
	if a.status != 200 {
		d.t.Fatalf("%s of %s: %d %s", verb, id, a.status, a.body)
	}
	return a.body
}

// draft opens an order that can be submitted.
func (d *door) draft(id, customer string) {
	d.t.Helper()
	d.command(id, "create", fmt.Sprintf(`{"customer_id":%q,"currency":"EUR"}`, customer))
	d.command(id, "add-item", `{"sku":"beans-1kg","quantity":2}`)
	d.command(id, "set-shipping", `{"address_ref":"a","country":"DE"}`)
	d.command(id, "set-payment-method", `{"method_ref":"card-ok"}`)
}

// sample is a path that asks for what is there, with a body that is complete.
func (d *door) sample(path string, o *openapi3.Operation) (target, body string) {
	d.t.Helper()
	values := map[string]string{
		"order_id": "o-1", "sku": "beans-1kg", "refund_id": d.refund, "payment_id": d.payment, "event_id": d.event,
		"customer_id": "c-1", "projection": "customers_v1", "correlation_id": "o-1", "from": "1", "to": "2",
	}
	verb := path[strings.LastIndex(path, "/")+1:]
	if verb == "rebuild" { // a view, and not a version of it
		values["projection"] = "customers"
	}
	if o.RequestBody != nil && strings.HasPrefix(path, "/v1/orders/") && verb != "request-refund" {
		d.orders++
		values["order_id"] = fmt.Sprintf("n-%d", d.orders)
		if verb != "create" {
			d.draft(values["order_id"], "c-1")
		}
	}
	target = path
	query := url.Values{}
	for _, p := range o.Parameters {
		if !p.Value.Required || p.Value.In == "header" {
			continue
		}
		value, known := values[p.Value.Name]
		if !known {
			d.t.Fatalf("%s has a parameter %s: give the test a value for it", path, p.Value.Name)
		}
		if p.Value.In == "path" {
			target = strings.ReplaceAll(target, "{"+p.Value.Name+"}", value)
		} else {
			query.Set(p.Value.Name, value)
		}
	}
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	bodies := map[string]string{
		"create": `{"customer_id":"c-1","currency":"EUR"}`, "add-item": `{"sku":"beans-1kg","quantity":1}`,
		"change-quantity": `{"line_id":"l1","quantity":3}`, "remove-item": `{"line_id":"l1"}`,
		"set-shipping": `{"address_ref":"b","country":"DE"}`, "set-payment-method": `{"method_ref":"card-ok"}`,
		"request-refund": `{"amount":"1.00"}`, "list": `{"name":"Beans","price":"24.90","currency":"EUR"}`,
		"reprice": `{"price":"24.90","currency":"EUR"}`, "receive": `{"quantity":1,"reference":"PO-2"}`, "adjust": `{"delta":1,"reason":"counted"}`,
		"retry": `{"reason":"tried"}`, "resolve": `{"reason":"known","evidence":"seen"}`, "compensate": `{"reason":"enough"}`, "release": `{"reason":"mended"}`,
	}
	if strings.HasPrefix(path, "/v1/projections/") {
		bodies = map[string]string{"release": `{"key":"order/o-1"}`}
	}
	return target, cmp.Or(bodies[verb], `{}`)
}

// operations calls visit with each operation, in the order of the table.
func (d *door) operations(visit func(method, path string, o *openapi3.Operation)) {
	paths := d.doc.Paths.Map()
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		for _, method := range []string{"GET", "POST"} {
			if o := paths[path].GetOperation(method); o != nil {
				visit(method, path, o)
			}
		}
	}
}

// Every endpoint as every role, in front of the real services: what comes of it is
// in the docs. What is answered is as the API describes it.
func TestRoles(t *testing.T) {
	d := openDoor(t)
	var b strings.Builder
	b.WriteString("\n| |")
	for _, c := range d.callers {
		b.WriteString(" " + c.name + " |")
	}
	b.WriteString("\n| --- |" + strings.Repeat(" --- |", len(d.callers)) + "\n")
	d.operations(func(method, path string, o *openapi3.Operation) {
		if method == "POST" {
			d.takes(path, o)
		}
		fmt.Fprintf(&b, "| `%s %s` |", method, path)
		for _, c := range d.callers {
			target, body := d.sample(path, o)
			if method == "GET" {
				body = ""
			}
			a := d.do(c, method, target, body)
			fmt.Fprintf(&b, " %s |", a.outcome())
			d.consider(c, path, a)
			if a.status < 300 && !strings.HasSuffix(path, "/live") {
				d.fits(a)
			}
		}
		b.WriteString("\n")
	})
	b.WriteString("\n")
	servicetest.Document(t, "../../docs/http-roles.md", "./test/e2e -run Roles", b.String())
	d.taken(t)
	d.interrupt(t)
}

// taken checks that a customer who tries an id that another one's order has learns
// that, and nothing of the order.
func (d *door) taken(t *testing.T) {
	t.Helper()
	for _, c := range d.callers {
		if c.name != "another customer" {
			continue
		}
		a := d.do(c, "POST", "/v1/orders/o-1/create", `{"customer_id":"c-2","currency":"EUR"}`)
		if a.outcome() != "409 order_exists" || strings.Contains(a.body, "Completed") || strings.Contains(a.body, "version") {
			t.Errorf("creating what another one has is answered %s %s", a.outcome(), a.body)
		}
	}
}

// takes checks that a command's body is described as the service reads it: refused
// for a field that it does not know, the service says which it does.
func (d *door) takes(path string, o *openapi3.Operation) {
	d.t.Helper()
	target, _ := d.sample(path, o)
	var p problem
	decode(d.t, d.do(d.operator(), "POST", target, `{"nonsense":1}`).body, &p)
	var described []string
	for name := range o.RequestBody.Value.Content["application/json"].Schema.Value.Properties {
		described = append(described, strconv.Quote(name))
	}
	_, list, _ := strings.Cut(p.Detail, "allowed are ")
	known := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
	slices.Sort(described)
	slices.Sort(known)
	if p.Code != "bad_request" || !slices.Equal(described, known) || len(known) == 0 && !strings.Contains(p.Detail, "no fields are allowed") {
		d.t.Errorf("%s takes %v by its description; the service says %s: %s", path, described, p.Code, p.Detail)
	}
}

// consider checks an answer against what its caller may be told at all.
func (d *door) consider(c caller, path string, a reply) {
	d.t.Helper()
	admitted := a.status != 401 && a.status != 403 && (a.status != 404 || a.code == "not_parked")
	ofOrders := strings.HasPrefix(path, "/v1/orders")
	switch c.name {
	case "nobody":
		if admitted != (path == "/openapi.json") {
			d.t.Errorf("nobody: %s is answered %s", path, a.outcome())
		}
	case "another customer":
		one := ofOrders && path != "/v1/orders"
		if one && admitted || strings.Contains(a.body, `"c-1"`) && a.status < 300 {
			d.t.Errorf("%s: %s is answered %s %s", c.name, path, a.outcome(), a.body)
		}
	case "its customer":
		if admitted != (ofOrders || path == "/openapi.json" || path == "/v1/products" || path == "/v1/customers/{customer_id}" || path == "/v1/customers/{customer_id}/live") {
			d.t.Errorf("%s: %s is answered %s", c.name, path, a.outcome())
		}
		if strings.Contains(a.body, `"c-2"`) {
			d.t.Errorf("%s: %s tells of another one: %s", c.name, path, a.body)
		}
	case "auditor":
		if admitted == (a.request.Method == http.MethodPost) {
			d.t.Errorf("%s: %s %s is answered %s", c.name, a.request.Method, path, a.outcome())
		}
	case "operator":
		if !admitted || a.status >= 500 {
			d.t.Errorf("%s: %s is answered %s %s", c.name, path, a.outcome(), a.body)
		}
	}
	if a.request.Method != http.MethodPost || admitted || !ofOrders {
		return
	}
	// Nothing has changed.
	id := strings.Split(a.request.URL.Path, "/")[3]
	if now := d.do(d.operator(), "GET", "/v1/orders/"+id+"/events?from=5", ""); strings.HasSuffix(path, "/create") != (now.status == 404) ||
		id != "o-1" && strings.Contains(now.body, `"event_id"`) {
		d.t.Errorf("%s was refused %s, and %s has %s", c.name, path, id, now.body)
	}
}

// fits checks an answer against the description.
func (d *door) fits(a reply) {
	d.t.Helper()
	route, parameters, err := d.router.FindRoute(a.request)
	if err != nil {
		d.t.Errorf("%s: %v", a.request.URL, err)
		return
	}
	if err := openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: a.request, PathParams: parameters, Route: route},
		Status:                 a.status, Header: a.header, Body: io.NopCloser(strings.NewReader(a.body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}); err != nil {
		d.t.Errorf("%s is not as it is described: %v\n%s", a.request.URL, err, a.body)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
