package gateway_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/gateway"
	"github.com/go-json-experiment/json"
	"github.com/rs/zerolog"
)

// recorder can be told until when to read and write, as connections can and httptest's cannot.
type recorder struct{ *httptest.ResponseRecorder }

func (recorder) SetReadDeadline(time.Time) error  { return nil }
func (recorder) SetWriteDeadline(time.Time) error { return nil }

// Whatever comes in over HTTP is answered: with what was asked for, or with a problem that has a code. Nobody is
// behind the gateway here, so that what it understands is answered 503; that it has failed itself is never the answer.
func FuzzHTTP(f *testing.F) {
	h := servicetest.New(f, events.Types)
	env := h.Env("gateway")
	env.Log = zerolog.Nop()
	g, err := gateway.New(env, gateway.Config{Rate: 1e9, Burst: 1e9})
	h.Check(err)
	h.Run(g.Run)
	h.Ready(env)
	mux := http.NewServeMux()
	g.Routes(mux)
	for _, seed := range []string{
		"GET /v1/orders?limit=7&state=Completed&cursor=x HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"3\", W/\"4\"\r\n\r\n",
		"GET /v1/orders/o-1?version=3&at=2026-01-02T03:04:05Z HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /v1/orders/%ff%00?limit=1&limit=2 HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /v1/sagas?state=a,b;c=%zz HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /v1/sagas/live HTTP/1.1\r\nHost: a\r\nLast-Event-ID: 0-7.1\r\n\r\n",
		"GET /v1/sagas/live HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /v1/orders/o-1/create HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\nIdempotency-Key: k\r\nContent-Length: 40\r\n\r\n{\"customer_id\":\"c-1\",\"currency\":\"EUR\"}   ",
		"POST /v1/orders/o-1/set-shipping HTTP/1.1\r\nHost: a\r\nIf-Match: \"3\"\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}",
		"POST /v1/orders/o-1/set-shipping HTTP/1.1\r\nHost: a\r\nIf-Match: W/\"3\"\r\nContent-Length: 2\r\n\r\n{}",
		"POST /v1/projections/orders_v2/promote HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil || !strings.HasPrefix(request.URL.Path, "/v1/") {
			return // the one is answered by net/http itself, the other is a page
		}
		patience := servicetest.Patience
		if strings.HasSuffix(request.URL.Path, "/live") { // which lasts
			patience = 10 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		answer := recorder{httptest.NewRecorder()}
		mux.ServeHTTP(answer, request.WithContext(ctx))
		if answer.Code == http.StatusInternalServerError {
			t.Fatalf("%q is answered %s", raw, answer.Body)
		}
		if kind, _, _ := strings.Cut(answer.Header().Get("Content-Type"), ";"); kind == "application/problem+json" {
			var problem struct {
				Code   string `json:"code"`
				Status int    `json:"status"`
			}
			if err := json.Unmarshal(answer.Body.Bytes(), &problem); err != nil || problem.Code == "" || problem.Status != answer.Code {
				t.Errorf("%q is answered %d %s: %v", raw, answer.Code, answer.Body, err)
			}
		}
	})
}
