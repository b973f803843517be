package partners_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/services/partners"
)

// A client that begins a request and does not go on is cut off; one that has sent
// all of it is held for as long as its fault takes.
func TestHowLongAConnectionIsHeld(t *testing.T) {
	lost := authorise("card-lost")
	for begun, held := range map[string]time.Duration{
		"POST / HTTP/1.1\r\nHost: psp\r\n": 10 * time.Second,
		"POST /psp/v1/payments/p/authorise HTTP/1.1\r\nHost: psp\r\nContent-Length: 10\r\n\r\n{":                                                      30 * time.Second,
		fmt.Sprintf("POST /psp/v1/payments/p/authorise HTTP/1.1\r\nHost: psp\r\nIdempotency-Key: a\r\nContent-Length: %d\r\n\r\n%s", len(lost), lost): 2 * time.Minute,
	} {
		took := servicetest.Held(t, begun, func(ctx context.Context, ln net.Listener) error {
			s, err := partners.New(partners.Config{Listener: ln})
			if err != nil {
				return err
			}
			return s.Run(ctx)
		})
		if took < held || took > held+time.Second {
			t.Errorf("%q: held for %v, want %v", begun, took, held)
		}
	}
}

// What is remembered of faults is bounded: a key of long ago is hit once more, and
// one of a moment ago is not.
func TestAScriptRemembersABoundedNumberOfKeys(t *testing.T) {
	s, c := start(t, partners.Config{})
	hit := func(key string) bool {
		t.Helper()
		status, _ := c.post("/psp/v1/payments/"+key+"/capture", key, eur10)
		return status == http.StatusInternalServerError
	}
	c.post("/psp/v1/payments/first/authorise", "a", authorise("card-capture-5xx"))
	if !hit("first") || hit("first") {
		t.Fatal("the script does not hit a key once")
	}
	for i := range 10_000 {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/psp/v1/payments/other/authorise", strings.NewReader(authorise("card-5xx")))
		r.Header.Set("Idempotency-Key", fmt.Sprint("other-", i))
		s.ServeHTTP(httptest.NewRecorder(), r)
	}
	if !hit("first") {
		t.Error("a key is remembered after 10,000 others")
	}
	if hit("first") {
		t.Error("a key is not remembered")
	}
}
