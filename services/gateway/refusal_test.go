package gateway_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/b144f99b/orderflow/services/gateway"
	"github.com/b144f99b/orderflow/services/gateway/signin"
	"github.com/b144f99b/orderflow/services/gateway/signin/signintest"
)

func TestPreconditions(t *testing.T) {
	r := newRig(t, gateway.Config{})
	r.serveOrders(t, created)
	version := func(v uint64) *uint64 { return &v }
	for _, c := range []struct {
		name, verb string
		header     []string
		status     int
		code       string
		expected   *uint64 // what the service is asked to expect
	}{
		{name: "nothing is expected", verb: "add-item", status: 200},
		{name: "a version", verb: "add-item", header: []string{"If-Match", `"2"`}, status: 200, expected: version(2)},
		{name: "a bare version", verb: "add-item", header: []string{"If-Match", "2"}, status: 200, expected: version(2)},
		{name: "whatever is there", verb: "add-item", header: []string{"If-Match", "*"}, status: 200},
		{name: "a weak one never matches", verb: "add-item", header: []string{"If-Match", `W/"2"`}, status: 412, code: "weak_etag"},
		{name: "several", verb: "add-item", header: []string{"If-Match", `"2", "3"`}, status: 400, code: "bad_request"},
		{name: "in backquotes", verb: "add-item", header: []string{"If-Match", "`2`"}, status: 400, code: "bad_request"},
		{name: "in Go's spelling", verb: "add-item", header: []string{"If-Match", `"\x32"`}, status: 400, code: "bad_request"},
		{name: "below nothing", verb: "add-item", header: []string{"If-Match", `"-1"`}, status: 400, code: "bad_request"},
		{name: "of another kind", verb: "add-item", header: []string{"If-Match", `"33a64df5"`}, status: 400, code: "bad_request"},
		{name: "nothing may be there", verb: "create", header: []string{"If-None-Match", "*"}, status: 200, expected: version(0)},
		{name: "not that version", verb: "create", header: []string{"If-None-Match", `"1"`}, status: 400, code: "bad_request"},
		{name: "what is there is created", verb: "create", header: []string{"If-Match", "*"}, status: 400, code: "bad_request"},
		{name: "both", verb: "create", header: []string{"If-Match", `"1"`, "If-None-Match", "*"}, status: 400, code: "bad_request"},
		{name: "replacing blindly", verb: "set-shipping", status: 428, code: "precondition_required"},
		{name: "replacing what was seen", verb: "set-shipping", header: []string{"If-Match", `"2"`}, status: 200, expected: version(2)},
		{name: "replacing on purpose", verb: "set-shipping", header: []string{"If-Match", "*"}, status: 200},
	} {
		a := r.do(t, "POST", "/v1/orders/o-1/"+c.verb, `{}`, c.header...)
		if a.StatusCode != c.status || a.problem.Code != c.code {
			t.Errorf("%s: answered %d %s, want %d %s", c.name, a.StatusCode, a.body, c.status, c.code)
		}
		if len(r.received) != map[bool]int{true: 1}[c.status == 200] {
			t.Fatalf("%s: the service got %d commands", c.name, len(r.received))
		}
		if c.status != 200 {
			continue
		}
		if got := (<-r.received).ExpectedVersion; (got == nil) != (c.expected == nil) || got != nil && *got != *c.expected {
			t.Errorf("%s: the service got %v", c.name, got)
		}
	}
	if a := r.do(t, "GET", "/v1/orders/o-1", "", "If-None-Match", "*"); a.StatusCode != http.StatusNotModified {
		t.Errorf("whatever there is, is known, and answered %d", a.StatusCode)
	}
}

func TestContentTypes(t *testing.T) {
	r := newRig(t, gateway.Config{})
	r.serveOrders(t, created)
	for _, c := range []struct {
		media, body string
		status      int
	}{
		{"application/json", `{}`, 200},
		{"Application/JSON; charset=UTF-8", `{}`, 200},
		{"", `{}`, 200},
		{"text/plain", "", 200}, // of nothing
		{"application/x-www-form-urlencoded", `{}`, 415},
		{"text/plain", `{}`, 415},
		{"application/json; charset=latin1", `{}`, 415},
		{"application/xml", `<a/>`, 415},
		{"multipart/form-data; boundary=x", "--x--", 415},
		{"/", `{}`, 415},
	} {
		a := r.do(t, "POST", "/v1/orders/o-1/add-item", c.body, "Content-Type", c.media)
		if a.StatusCode != c.status || c.status == 415 && a.problem.Code != "unsupported_media_type" {
			t.Errorf("%q as %q: %d %s, want %d", c.body, c.media, a.StatusCode, a.body, c.status)
		}
	}
}

func TestParameters(t *testing.T) {
	r := newRig(t, gateway.Config{})
	for _, c := range []struct{ path, code, says string }{
		{"/v1/orders?limit=many", "bad_request", `"limit" is "many"; it must be a whole number`},
		{"/v1/orders?limit=1&limit=2", "bad_request", "given 2 times"},
		{"/v1/orders?created_from=yesterday", "bad_request", "a time such as 2026-11-23T04:02:50Z"},
		{"/v1/orders?customer=c-1", "bad_request", "there are customer_id, state"},
		{"/v1/orders?customer_id=%zz", "bad_request", "cannot be read"},
		{"/v1/orders?customer_id=%FF", "bad_request", "UTF-8"},
		{"/v1/orders/o-1?at_version=-1", "bad_request", "0 or more"},
		{"/v1/orders/o-1?at_version=1&min_revision=1-1", "bad_request", "leave it out"},
		{"/v1/orders/o-1?at_version=1&as_of=2026-11-23T04:02:50Z", "bad_request", `"at_version" and "as_of"`},
		{"/v1/orders/o-1/diff?from=1", "parameter_required", `"to" is missing`},
		{"/v1/sagas?open=perhaps", "bad_request", "true or false"},
		{"/v1/orders/%FF/timeline", "bad_key", "UTF-8"},
	} {
		if a := r.do(t, "GET", c.path, ""); a.StatusCode != 400 || a.problem.Code != c.code || !strings.Contains(a.problem.Detail, c.says) {
			t.Errorf("%s: %d %s, want 400 %s saying %s", c.path, a.StatusCode, a.body, c.code, c.says)
		}
	}
}

// Who asks for what a view does not show yet is told to come again, and when.
func TestWhoIsTooEarlyComesAgain(t *testing.T) {
	r := newRig(t, gateway.Config{})
	r.serveOrders(t, created)
	if a := r.do(t, "GET", "/v1/orders/o-1?min_revision=9-99", ""); a.StatusCode != http.StatusConflict || a.problem.Code != "not_yet" || a.Header.Get("Retry-After") != "1" {
		t.Errorf("%d %s, with Retry-After %q", a.StatusCode, a.body, a.Header.Get("Retry-After"))
	}
}

// A rate of less than one request in two seconds lets one through all the same.
func TestALowRateLetsSomethingThrough(t *testing.T) {
	r := newRig(t, gateway.Config{Rate: 0.001})
	r.serveOrders(t, created)
	for _, want := range []int{http.StatusOK, http.StatusTooManyRequests} {
		if a := r.do(t, "GET", "/v1/orders/o-1", ""); a.StatusCode != want {
			t.Errorf("%d %s, want %d", a.StatusCode, a.body, want)
		}
	}
}

func TestWhoAsksTooOftenWaits(t *testing.T) {
	issuer := signintest.New(t)
	r := newRig(t, gateway.Config{SignIn: issuer.Config(), Rate: 0.001, Burst: 3})
	r.serveOrders(t, created)
	get := func(token string) answer {
		return r.do(t, "GET", "/v1/orders/o-1", "", "Authorization", "Bearer "+token)
	}
	hasty, calm := issuer.Token("hasty", signin.Auditor), issuer.Token("calm", signin.Auditor)
	for range 3 {
		if a := get(hasty); a.StatusCode != 200 {
			t.Fatalf("within the limit: %d %s", a.StatusCode, a.body)
		}
	}
	for _, token := range []string{hasty, issuer.Token("hasty", signin.Operator)} { // whatever his token
		if a := get(token); a.StatusCode != 429 || a.problem.Code != "rate_limited" || a.Header.Get("Retry-After") == "" {
			t.Errorf("beyond the limit: %d %s", a.StatusCode, a.body)
		}
	}
	if a := get(calm); a.StatusCode != 200 {
		t.Errorf("another one: %d %s", a.StatusCode, a.body)
	}
	if a := r.do(t, "GET", "/openapi.json", ""); a.StatusCode != 200 {
		t.Errorf("the description: %d", a.StatusCode)
	}
}

// Bearers of no, bad and good tokens; what a service is told of who they are.
func TestSignIn(t *testing.T) {
	issuer := signintest.New(t)
	r := newRig(t, gateway.Config{SignIn: issuer.Config()})
	r.serveOrders(t, created)
	for _, c := range []struct {
		token, code, challenge string
		status                 int
	}{
		{"", "sign_in_required", `Bearer realm="orderflow"`, 401},
		{"x", "token_invalid", `Bearer realm="orderflow", error="invalid_token"`, 401},
		{issuer.Sign("ed-1", issuer.Claims("o", map[string]any{"exp": 1})), "token_expired", `Bearer realm="orderflow", error="invalid_token"`, 401},
		{issuer.Token("nobody"), "forbidden", "", 403},
		{issuer.Token("a-1", signin.Auditor), "forbidden", "", 403},
		{issuer.Token("op-1", signin.Operator), "", "", 200},
	} {
		var header []string
		if c.token != "" {
			header = []string{"Authorization", "Bearer " + c.token}
		}
		a := r.do(t, "POST", "/v1/orders/o-1/add-item", `{}`, header...)
		if a.StatusCode != c.status || a.problem.Code != c.code || a.Header.Get("WWW-Authenticate") != c.challenge {
			t.Errorf("%.20s: %d %s %q, want %d %s", c.token, a.StatusCode, a.body, a.Header.Get("WWW-Authenticate"), c.status, c.code)
		}
		if got := len(r.received); got != map[bool]int{true: 1}[c.status == 200] {
			t.Errorf("%.20s: the service got %d commands", c.token, got)
		}
	}
	if got := <-r.received; got.Actor != "op-1" {
		t.Errorf("the actor is %q", got.Actor)
	}
	// A browser's cookie signs in too, and is of no use to another site's page.
	cookie := signin.Cookie + "=" + issuer.Token("op-1", signin.Operator)
	if a := r.do(t, "POST", "/v1/orders/o-1/add-item", `{}`, "Cookie", cookie, "Sec-Fetch-Site", "same-origin"); a.StatusCode != 200 {
		t.Errorf("with a cookie: %d %s", a.StatusCode, a.body)
	}
	if a := r.do(t, "POST", "/v1/orders/o-1/add-item", `{}`, "Cookie", cookie, "Origin", "https://evil.example"); a.StatusCode != 403 || a.problem.Code != "cross_origin" {
		t.Errorf("from another site: %d %s", a.StatusCode, a.body)
	}
}

func TestWhatABrowserIsTold(t *testing.T) {
	r := newRig(t, gateway.Config{})
	r.serveOrders(t, created)
	for _, path := range []string{"/v1/orders/o-1", "/v1/orders/none", "/openapi.json"} {
		a := r.do(t, "GET", path, "", "Origin", "https://elsewhere.example")
		for name, want := range map[string]string{
			"X-Content-Type-Options":       "nosniff",
			"Content-Security-Policy":      "default-src 'none'; frame-ancestors 'none'",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Referrer-Policy":              "no-referrer",
			"Access-Control-Allow-Origin":  "",
		} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		if a.Header.Get("Cache-Control") == "" {
			t.Errorf("%s says nothing of caching", path)
		}
	}
	if a := r.do(t, "OPTIONS", "/v1/orders/o-1/create", "", "Origin", "https://elsewhere.example", "Access-Control-Request-Method", "POST"); a.StatusCode != 405 || a.Header.Get("Access-Control-Allow-Methods") != "" {
		t.Errorf("another site that asks beforehand is answered %d %v", a.StatusCode, a.Header)
	}
}

// A body is bounded while it is read, whether or not it says how long it is.
func TestBodiesWithoutEnd(t *testing.T) {
	r := newRig(t, gateway.Config{})
	r.serveOrders(t, created)
	var read atomic.Int64 // the transport goes on for a moment
	request, err := http.NewRequest("POST", r.url+"/v1/orders/o-1/create", endless(func(n int) { read.Add(int64(n)) }))
	r.Check(err)
	answer, err := http.DefaultClient.Do(request)
	r.Check(err)
	defer answer.Body.Close()
	if answer.StatusCode != 413 {
		t.Errorf("answered %s", answer.Status)
	}
	if read := read.Load(); read > 32<<20 { // what the system keeps of a connection
		t.Errorf("%d bytes were taken of a body without end", read)
	}
}

type endless func(int)

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e(len(p))
	return len(p), nil
}
