package service_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/go-json-experiment/json"
)

// web asks a process that listens at an address and has only probes.
func web(t *testing.T, at, method, host, path string) (*http.Response, service.Problem) {
	t.Helper()
	addr, err := net.ResolveTCPAddr("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	service.HandleProbes(mux, service.NewHealth().Err)
	service.HandleMetrics(mux, service.NewMetrics())
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	r.Host = host
	w := httptest.NewRecorder()
	service.Web(mux, addr, []string{"Shop.example"}).ServeHTTP(w, r)
	answer := w.Result()
	var p service.Problem
	if answer.StatusCode >= 400 {
		if err := json.UnmarshalRead(answer.Body, &p); err != nil {
			t.Fatalf("%s %s answers %d without a problem: %v", method, path, answer.StatusCode, err)
		}
		if got := answer.Header.Get("Content-Type"); got != "application/problem+json" || p.Status != answer.StatusCode {
			t.Errorf("%s %s: the status %d and the type %s do not agree with %+v", method, path, answer.StatusCode, got, p)
		}
	}
	return answer, p
}

func TestALocalAddressAnswersOnlyToLocalNames(t *testing.T) {
	for _, at := range []string{"127.0.0.1:8080", "[::1]:8080"} {
		for _, host := range []string{
			"localhost:8080", "localhost", "LOCALHOST.:8080", "api.localhost:8080", "127.0.0.1:8080", "127.3.2.1",
			"[::1]:8080", "[::1]", "shop.example", "shop.example:8080", "SHOP.example.", "",
		} {
			if a, p := web(t, at, "GET", host, "/livez"); a.StatusCode != 200 {
				t.Errorf("at %s, %q is answered %+v", at, host, p)
			}
		}
		for _, host := range []string{
			"evil.example", "evil.example:8080", "localhost.evil.example", "notlocalhost", "127.0.0.1.evil.example", "192.168.0.7:8080",
			"[fe80::1]:8080", "example", "sub.shop.example", "0.0.0.0:8080", "\x1b[2J",
		} {
			a, p := web(t, at, "GET", host, "/livez")
			if a.StatusCode != 421 || p.Code != "misdirected" || strings.Contains(p.Detail, "\x1b") {
				t.Errorf("at %s, %q is answered %d %+v", at, host, a.StatusCode, p)
			}
		}
	}
	for _, at := range []string{"0.0.0.0:8080", "192.168.0.7:8080"} {
		if a, p := web(t, at, "GET", "evil.example", "/livez"); a.StatusCode != 200 {
			t.Errorf("at %s, where names are not known, one is answered %+v", at, p)
		}
	}
}

func TestWhatIsNotThereIsAProblem(t *testing.T) {
	for _, c := range []struct {
		method, path string
		status       int
		code, allow  string
	}{
		{"GET", "/", 404, "no_such_path", ""},
		{"GET", "/nope", 404, "no_such_path", ""},
		{"PURGE", "/nope/" + strings.Repeat("x", 5000), 404, "no_such_path", ""},
		{"GET", "/%FF%1B", 404, "no_such_path", ""},
		{"POST", "/livez", 405, "method_not_allowed", "GET, HEAD"},
		{"DELETE", "/readyz", 405, "method_not_allowed", "GET, HEAD"},
	} {
		a, p := web(t, "127.0.0.1:1", c.method, "localhost", c.path)
		if a.StatusCode != c.status || p.Code != c.code || a.Header.Get("Allow") != c.allow || len(p.Detail) > 500 || strings.Contains(p.Detail, "\x1b") {
			t.Errorf("%s %s: %d %+v, allowed are %q", c.method, c.path, a.StatusCode, p, a.Header.Get("Allow"))
		}
	}
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		if a, p := web(t, "127.0.0.1:1", "GET", "localhost", path); a.StatusCode != 200 {
			t.Errorf("%s: %+v", path, p)
		}
	}
}
