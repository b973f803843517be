package service_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/internal/service/servicetest"
)

// A client that begins a request and does not go on holds nothing for ever.
func TestSlowClientsAreCutOff(t *testing.T) {
	for begun, within := range map[string]time.Duration{
		"POST / HTTP/1.1\r\nHost: here\r\n":                                   5 * time.Second,
		"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 10\r\n\r\n{":        30 * time.Second,
		"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n": 30 * time.Second,
	} {
		held := servicetest.Held(t, begun, func(ctx context.Context, ln net.Listener) error {
			return service.ServeHTTP(ctx, ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, err := io.ReadAll(r.Body); err != nil {
					w.WriteHeader(http.StatusRequestTimeout)
				}
			}))
		})
		if held < within || held > within+time.Second {
			t.Errorf("%q: cut off after %v, want %v", begun, held, within)
		}
	}
}

// A client who takes an answer slowly, or not at all, holds no handler for ever; one
// whose handler moves the deadline on is served.
func TestSlowReadersAreCutOff(t *testing.T) {
	for name, c := range map[string]struct {
		lasts          bool
		atLeast, below time.Duration
	}{
		"an answer":            {false, 60 * time.Second, 71 * time.Second},
		"an answer that lasts": {true, 5 * time.Minute, 6 * time.Minute},
	} {
		var ended error
		held := servicetest.Trickled(t, "GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n", func(ctx context.Context, ln net.Listener) error {
			return service.ServeHTTP(ctx, ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				begun, out := time.Now(), http.NewResponseController(w)
				for ended == nil && time.Since(begun) < 5*time.Minute {
					if c.lasts {
						_ = out.SetWriteDeadline(time.Now().Add(5 * time.Minute))
					}
					_, ended = w.Write(make([]byte, 1<<10))
				}
			}))
		})
		if held < c.atLeast || held > c.below || !errors.Is(ended, os.ErrDeadlineExceeded) {
			t.Errorf("%s: its client is held for %v, and its handler ends with %v", name, held, ended)
		}
	}
}
