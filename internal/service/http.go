package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits of every HTTP server: no client can hold a connection open without
// sending, send headers without end, or hold a handler by not taking its answer.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 30 * time.Second
	// writeTimeout begins with the end of the header. Reading the rest takes 30 s at
	// most and answering 12 s, so that at least 18 s are left to take an answer in.
	writeTimeout = 60 * time.Second
	idleTimeout  = 2 * time.Minute
	maxHeader    = 32 << 10
	stopTimeout  = 10 * time.Second
)

// HandleProbes adds what an orchestrator asks a process for: GET /livez (200
// while the process answers at all) and GET /readyz (200 when ready returns nil,
// else 503 and what is missing, one line each).
func HandleProbes(mux *http.ServeMux, ready func() error) {
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
}

// HandleMetrics adds GET /metrics (Prometheus).
func HandleMetrics(mux *http.ServeMux, m *Metrics) {
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{Registry: m.Registry}))
}

// ServeHTTP serves h on ln until ctx ends, then lets the requests that are
// running end, for at most 10 s. It closes ln. Handlers bound their own time;
// reading a request is bounded to 5 s for its header and 30 s in all, and its answer
// has to be taken within 60 s of the header, however slowly. A handler whose answer
// lasts sets deadlines of its own, by [http.ResponseController].
func ServeHTTP(ctx context.Context, ln net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }()
	select {
	case err := <-ended:
		return fmt.Errorf("http server on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err := srv.Shutdown(stop)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close()
	}
	if cause := <-ended; !errors.Is(cause, http.ErrServerClosed) {
		err = errors.Join(err, cause)
	}
	return err
}
