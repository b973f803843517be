package main

import (
	"context"
	"net"
	"net/http"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/services/gateway/signin"
	"github.com/spf13/pflag"
)

// freeLoopback is where metrics are that nobody has chosen an address for.
const freeLoopback = "127.0.0.1:0"

func (s *settings) addMetrics(f *pflag.FlagSet) {
	f.StringVar(&s.metrics, "metrics", "", "`HOST:PORT` on which /metrics is served, and nothing else; without it /metrics is on --http, or, where callers have to sign in there, on a free port of "+
		"the loopback address, which the log tells")
}

// web is where a process answers on HTTP.
type web struct {
	hosts   []string
	main    net.Listener
	metrics net.Listener // nil: they are on main
}

// listenWeb opens the listeners. What a process tells of itself is nothing for people
// who only may see their own orders, and a scraper cannot sign in; so where callers
// have to, metrics are not beside what they call.
func (s *settings) listenWeb() (w *web, err error) {
	w = &web{hosts: s.hosts}
	if w.main, err = listenHTTP("--http", s.http); err != nil {
		return nil, err
	}
	at := s.metrics
	if at == "" && s.signIn != (signin.Config{}) {
		at = freeLoopback
	}
	if at == "" {
		return w, nil
	}
	if w.metrics, err = listenHTTP("--metrics", at); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// close ends what nothing has served.
func (w *web) close() {
	w.main.Close()
	if w.metrics != nil {
		w.metrics.Close()
	}
}

// metricsAt is where /metrics is.
func (w *web) metricsAt() net.Addr {
	if w.metrics != nil {
		return w.metrics.Addr()
	}
	return w.main.Addr()
}

// serve answers what mux has, and the metrics where they belong, until ctx ends.
func (w *web) serve(ctx context.Context, mux *http.ServeMux, m *service.Metrics) error {
	runs := []func(context.Context) error{w.on(w.main, mux)}
	if w.metrics == nil {
		service.HandleMetrics(mux, m)
	} else {
		alone := http.NewServeMux()
		service.HandleMetrics(alone, m)
		runs = append(runs, w.on(w.metrics, alone))
	}
	return service.Group(ctx, runs...)
}

func (w *web) on(ln net.Listener, mux *http.ServeMux) func(context.Context) error {
	h := service.Web(mux, ln.Addr(), w.hosts)
	return func(ctx context.Context) error { return service.ServeHTTP(ctx, ln, h) }
}

func listenHTTP(flag, addr string) (net.Listener, error) {
	if _, _, err := splitAddress(addr); err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, addressError(flag, addr, err)
	}
	return ln, nil
}
