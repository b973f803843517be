package gateway_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/gateway"
	"github.com/go-json-experiment/json"
)

// rig is a gateway over HTTP in front of a server on which orders are answered
// by commands and queries that say what they were asked.
type rig struct {
	*servicetest.House[events.Event]
	url      string
	web      *httptest.Server
	env      *service.Env
	stop     func() // the gateway
	received chan service.Command
	traces   chan string // the trace contexts of those
}

const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func newRig(t testing.TB, cfg gateway.Config, configure ...func(*http.Server)) *rig {
	t.Helper()
	r := &rig{House: servicetest.New(t, events.Types), received: make(chan service.Command, 100), traces: make(chan string, 100)}
	r.env = r.Env("gateway")
	g, err := gateway.New(r.env, cfg)
	r.Check(err)
	r.stop = r.Run(g.Run)
	mux := http.NewServeMux()
	g.Routes(mux)
	r.web = httptest.NewUnstartedServer(service.Web(mux, &net.TCPAddr{}, nil))
	for _, c := range configure {
		c(r.web.Config)
	}
	r.web.Start()
	t.Cleanup(func() {
		r.stop() // and with it the streams, for which Close waits
		r.web.Close()
	})
	r.url = r.web.URL
	r.Ready(r.env)
	return r
}

// serveOrders answers cmd.order.> and query.orders.get.
func (r *rig) serveOrders(t *testing.T, answer func(service.Command) (service.Reply, error)) {
	t.Helper()
	env := r.Env("order")
	env.Store = r.Server.Store(t)
	env.Health.AwaitEndpoints("order", "projector")
	handle := func(ctx context.Context, cmd service.Command) (service.Reply, error) {
		r.received <- cmd
		r.traces <- env.Store.TraceParent(ctx)
		return answer(cmd)
	}
	r.Run(func(ctx context.Context) error {
		return env.ServeCommands(ctx, service.Commands{Category: "order", Verbs: map[string]service.Answer{
			"create": handle, "add-item": handle, "set-shipping": handle,
		}})
	})
	r.Run(func(ctx context.Context) error {
		return env.ServeQueries(ctx, service.Queries{Name: "projector", Handlers: map[string]service.Query{
			"query.orders.get": func(_ context.Context, body []byte) (any, error) {
				var q struct {
					OrderID     string `json:"order_id"`
					MinRevision string `json:"min_revision"`
				}
				if err := service.Decode(body, &q); err != nil {
					return nil, err
				}
				if q.MinRevision == "9-99" {
					return nil, &esjs.Rejection{Code: "not_yet", Message: "ask again", Status: http.StatusConflict}
				}
				if q.OrderID == "none" || q.OrderID == "live" {
					return nil, &esjs.Rejection{Code: "order_not_found", Message: "there is no order", Status: http.StatusNotFound}
				}
				return map[string]any{"order_id": q.OrderID, "version": 7, "min_revision": q.MinRevision}, nil
			},
		}})
	})
	r.Ready(env)
}

type answer struct {
	*http.Response
	body    string
	problem service.Problem
}

func (r *rig) do(t *testing.T, method, path, body string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{Response: resp, body: string(data)}
	if resp.StatusCode >= 400 {
		if err := json.Unmarshal(data, &a.problem); err != nil {
			t.Fatalf("%s %s answers %d without a problem: %s", method, path, resp.StatusCode, data)
		}
		if got := resp.Header.Get("Content-Type"); got != "application/problem+json" || a.problem.Status != resp.StatusCode || a.problem.Title != http.StatusText(resp.StatusCode) {
			t.Errorf("%s %s: the status %d and the type %s do not agree with %s", method, path, resp.StatusCode, got, data)
		}
	}
	return a
}

func created(service.Command) (service.Reply, error) {
	return service.Reply{Version: 3, Revision: "3-17", EventIDs: []string{"e"}, State: map[string]string{"status": "Draft"}}, nil
}

func TestCommandsCarryWhatHTTPSays(t *testing.T) {
	r := newRig(t, gateway.Config{})
	r.serveOrders(t, created)
	a := r.do(t, "POST", "/v1/orders/o-1/create", `{"customer_id":"c-1"}`,
		"Idempotency-Key", "k-1", "If-Match", `"2"`, "X-Correlation-Id", "trip-1", "traceparent", traceParent, "Actor", "somebody else")
	got := <-r.received
	if got.Key != "o-1" || got.Verb != "create" || string(got.Body) != `{"customer_id":"c-1"}` || got.ID != "k-1" ||
		got.ExpectedVersion == nil || *got.ExpectedVersion != 2 || got.CorrelationID != "trip-1" {
		t.Errorf("the service got %+v", got)
	}
	if trace := <-r.traces; trace != traceParent {
		t.Errorf("the service got the trace context %q", trace)
	}
	if got.Actor != "local" {
		t.Errorf("the actor %q was taken from a client that nobody has asked who it is", got.Actor)
	}
	if a.StatusCode != 200 || a.Header.Get("ETag") != `"3"` || a.Header.Get("Idempotency-Key") != "k-1" ||
		a.body != `{"version":3,"revision":"3-17","event_ids":["e"],"state":{"status":"Draft"}}` {
		t.Errorf("answered %d %v %s", a.StatusCode, a.Header, a.body)
	}

	// Without a key the client is given one, and without a body the body is {}.
	a = r.do(t, "POST", "/v1/orders/o-1/create", "", "If-Match", "3")
	got = <-r.received
	if got.ID == "" || got.ID != a.Header.Get("Idempotency-Key") || string(got.Body) != "{}" || *got.ExpectedVersion != 3 {
		t.Errorf("the service got %+v, the client the key %q", got, a.Header.Get("Idempotency-Key"))
	}
}

func TestEveryIDIsCarried(t *testing.T) {
	r := newRig(t, gateway.Config{})
	r.serveOrders(t, created)
	for path, id := range map[string]string{
		"o-1":                            "o-1",
		"order%20no.%201":                "order no. 1",
		"a.b.c":                          "a.b.c",
		"%2E%2E":                         "..",
		"a%2Fb":                          "a/b",
		"%C3%A4%E2%82%AC":                "ä€",
		"*":                              "*",
		"%3E":                            ">",
		"=41":                            "=41",
		"100%25":                         "100%",
		strings.Repeat("%C3%A4", 127):    strings.Repeat("ä", 127),
		strings.Repeat("%20", 200) + "x": strings.Repeat(" ", 200) + "x",
	} {
		if a := r.do(t, "POST", "/v1/orders/"+path+"/create", `{}`); a.StatusCode != 200 {
			t.Errorf("%s: %s", path, a.body)
			continue
		}
		if got := <-r.received; got.Key != id {
			t.Errorf("%s arrived as %q, want %q", path, got.Key, id)
		}
		a := r.do(t, "GET", "/v1/orders/"+path, "")
		var shown struct {
			OrderID string `json:"order_id"`
		}
		if err := json.Unmarshal([]byte(a.body), &shown, json.RejectUnknownMembers(false)); err != nil || shown.OrderID != id {
			t.Errorf("GET %s asked for %q (%v)", path, shown.OrderID, err)
		}
	}
}

func TestReading(t *testing.T) {
	r := newRig(t, gateway.Config{})
	r.serveOrders(t, created)
	a := r.do(t, "GET", "/v1/orders/o-1?min_revision=3-17", "")
	if a.StatusCode != 200 || a.Header.Get("ETag") != `"7"` || a.Header.Get("Content-Type") != "application/json" ||
		a.body != `{"min_revision":"3-17","order_id":"o-1","version":7}` {
		t.Errorf("answered %d %v %s", a.StatusCode, a.Header, a.body)
	}
	if a := r.do(t, "GET", "/v1/orders/o-1", "", "If-None-Match", `"6", W/"7"`); a.StatusCode != http.StatusNotModified || a.body != "" {
		t.Errorf("what the client has is answered %d %s", a.StatusCode, a.body)
	}
	if a := r.do(t, "GET", "/v1/orders/o-1", "", "If-None-Match", `"6"`); a.StatusCode != 200 {
		t.Errorf("what the client has not is answered %d", a.StatusCode)
	}
}

func TestRefusals(t *testing.T) {
	r := newRig(t, gateway.Config{})
	r.serveOrders(t, func(cmd service.Command) (service.Reply, error) {
		switch cmd.Key {
		case "stale":
			return service.Reply{}, &esjs.ConflictError{Stream: esjs.StreamID{Category: "order", Key: "stale"}, Expected: 1, Actual: 5}
		case "reused":
			return service.Reply{}, esjs.ErrCommandReused
		case "refused":
			return service.Reply{}, esjs.Reject("not_draft", "the order is not a draft")
		case "broken":
			return service.Reply{}, errors.New("secret")
		}
		var body struct {
			Quantity int    `json:"quantity"`
			Reason   string `json:"reason"`
			Note     string `json:"note"`
		}
		return service.Reply{}, cmd.Decode(&body)
	})
	for _, c := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		code, says               string
	}{
		{name: "no order", method: "GET", path: "/v1/orders/none", status: 404, code: "order_not_found"},
		{name: "a stream where there is none", method: "GET", path: "/v1/orders/live", status: 404, code: "order_not_found", says: "/v1/orders/{order_id}/live"},
		{name: "no verb", method: "POST", path: "/v1/orders/o-1/fly", status: 404, code: "unknown_verb", says: "it has create, add-item"},
		{name: "a verb that no subject carries", method: "POST", path: "/v1/orders/o-1/a%20b.c", status: 404, code: "unknown_verb", says: `"a b.c"`},
		{name: "a verb that is too long", method: "POST", path: "/v1/orders/o-1/" + strings.Repeat("v", 9000), status: 404, code: "unknown_verb"},
		{name: "an id that is too long", method: "POST", path: "/v1/orders/" + strings.Repeat("i", 256) + "/create", status: 400, code: "bad_key", says: "the key has 256 bytes: 1 to 255 bytes of UTF-8 are allowed"},
		{name: "an id that is not UTF-8", method: "POST", path: "/v1/orders/%FF/create", status: 400, code: "bad_key", says: "not valid UTF-8"},
		{name: "reading one that is not UTF-8", method: "GET", path: "/v1/orders/%FF", status: 400, code: "bad_key", says: "UTF-8"},
		{name: "broken JSON", method: "POST", path: "/v1/orders/o-1/create", body: `{`, status: 400, code: "bad_request", says: "not valid JSON"},
		{name: "unknown field", method: "POST", path: "/v1/orders/o-1/create", body: `{"qty":1}`, status: 400, code: "bad_request", says: `allowed are "quantity", "reason", "note"`},
		{name: "a text with a zero", method: "POST", path: "/v1/orders/o-1/create", body: `{"reason":"a\u0000b"}`, status: 422, code: "field_invalid", says: `"reason" has control characters; only printable text, line feeds and tabs are allowed`},
		{name: "a name of two lines", method: "POST", path: "/v1/orders/o-1/create", body: `{"note":"a\nb"}`, status: 422, code: "field_invalid", says: `"note" has control characters; only printable text is allowed`},
		{name: "too large", method: "POST", path: "/v1/orders/o-1/create", body: strings.Repeat(" ", service.MaxBody+1), status: 413, code: "body_too_large", says: "65536"},
		{name: "a version that is none", method: "POST", path: "/v1/orders/o-1/create", header: []string{"If-Match", "last"}, status: 400, code: "bad_request", says: `such as "3"`},
		{name: "a changed order", method: "POST", path: "/v1/orders/stale/create", header: []string{"If-Match", `"1"`}, status: 412, code: "conflict", says: "order/stale is at version 5, not 1"},
		{name: "writers that race", method: "POST", path: "/v1/orders/stale/create", status: 409, code: "conflict"},
		{name: "a key of another command", method: "POST", path: "/v1/orders/reused/create", status: 422, code: "command_id_reused", says: "this Idempotency-Key was used before"},
		{name: "a key that is too long", method: "POST", path: "/v1/orders/o-1/create", header: []string{"Idempotency-Key", strings.Repeat("k", 256)}, status: 400, code: "bad_request", says: "the header Idempotency-Key has 256 bytes"},
		{name: "the domain's no", method: "POST", path: "/v1/orders/refused/create", status: 409, code: "not_draft", says: "the order is not a draft"},
		{name: "a fault inside", method: "POST", path: "/v1/orders/broken/create", status: 500, code: "internal", says: "the service's log"},
		{name: "no such path", method: "GET", path: "/v1/nothing", status: 404, code: "no_such_path", says: "/openapi.json"},
		{name: "no such method", method: "DELETE", path: "/v1/orders/o-1", status: 405, code: "method_not_allowed", says: "takes GET"},
		{name: "another site's page", method: "POST", path: "/v1/orders/o-1/create", header: []string{"Sec-Fetch-Site", "cross-site"}, status: 403, code: "cross_origin"},
	} {
		a := r.do(t, c.method, c.path, c.body, c.header...)
		if a.StatusCode != c.status || a.problem.Code != c.code || !strings.Contains(a.problem.Detail, c.says) {
			t.Errorf("%s: answered %d %s, want %d %s saying %q", c.name, a.StatusCode, a.body, c.status, c.code, c.says)
		}
		if c.status == 405 && !strings.Contains(a.Header.Get("Allow"), "GET") {
			t.Errorf("allowed is %q", a.Header.Get("Allow"))
		}
	}
	if a := r.do(t, "POST", "/v1/orders/o-1/create", `{"quantity":1,"reason":"as\tsaid\non the phone"}`); a.StatusCode != 200 {
		t.Errorf("after all that: %d %s", a.StatusCode, a.body)
	}
}

func TestNobodyThere(t *testing.T) {
	r := newRig(t, gateway.Config{})
	for _, c := range [][2]string{{"GET", "/v1/orders/o-1"}, {"POST", "/v1/orders/o-1/create"}} {
		if a := r.do(t, c[0], c[1], ""); a.StatusCode != 503 || a.problem.Code != "not_running" {
			t.Errorf("%s: %d %s", c[0], a.StatusCode, a.body)
		}
	}
}

func TestNoAnswerInTime(t *testing.T) {
	r := newRig(t, gateway.Config{Timeout: 50 * time.Millisecond})
	if _, err := r.NC.SubscribeSync("cmd.order.>"); err != nil { // takes it and says nothing
		t.Fatal(err)
	}
	if err := r.NC.Flush(); err != nil {
		t.Fatal(err)
	}
	a := r.do(t, "POST", "/v1/orders/o-1/create", "", "Idempotency-Key", "k-1")
	if a.StatusCode != 504 || a.problem.Code != "timeout" || !strings.Contains(a.problem.Detail, "repeat it with the same Idempotency-Key") || a.Header.Get("Idempotency-Key") != "k-1" {
		t.Errorf("answered %d %s, key %s", a.StatusCode, a.body, a.Header.Get("Idempotency-Key"))
	}
}

func TestAGatewayWithoutNATSIsNotReady(t *testing.T) {
	r := newRig(t, gateway.Config{Timeout: 50 * time.Millisecond})
	r.Server.Servers()[0].Shutdown()
	r.Until("the gateway is not ready", func() bool { return r.env.Health.Err() != nil })
	if err := r.env.Health.Err(); !strings.Contains(err.Error(), "nats connection") {
		t.Errorf("not ready because %v", err)
	}
	if a := r.do(t, "GET", "/v1/orders/o-1", ""); a.StatusCode != 504 || a.problem.Code != "timeout" {
		t.Errorf("answered %d %s", a.StatusCode, a.body)
	}
}

func TestRequestsAreCounted(t *testing.T) {
	r := newRig(t, gateway.Config{})
	r.serveOrders(t, created)
	r.do(t, "GET", "/v1/orders/o-1", "")
	r.do(t, "GET", "/v1/orders/none", "")
	mux := http.NewServeMux()
	service.HandleMetrics(mux, r.env.Metrics)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`http_requests_total{route="GET /v1/orders/{order_id}",status="200"} 1`,
		`http_requests_total{route="GET /v1/orders/{order_id}",status="404"} 1`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}
