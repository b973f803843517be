package partners

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	lru "github.com/hashicorp/golang-lru/v2"
)

// Config of the partners. The zero value works: a free loopback port, a
// ledger in memory, and no webhooks.
type Config struct {
	Listen   string       // host:port; default 127.0.0.1:0
	Listener net.Listener // used instead of Listen when it is set; Run closes it
	Dir      string       // of the ledger; empty: it is kept in memory only

	PSPWebhookURL     string // empty: the PSP tells nothing
	CarrierWebhookURL string // empty: the carrier tells nothing, and nothing is known to be dispatched
	WebhookSecret     []byte
	// Transport sends the webhooks; nil: over the network.
	Transport http.RoundTripper

	// DeliverAfter is when the carrier tells that a dispatched parcel was
	// delivered; 0: it does not.
	DeliverAfter time.Duration
	Slow         time.Duration // of the "slow" references; default 1 s
	Hang         time.Duration // how long a request without an answer is held; default 2 min
	Retry        time.Duration // first backoff of a webhook, doubled up to a minute; default 100 ms
	Seed         uint64        // of the faults that come by rate
	Log          *slog.Logger  // default: silence
}

// Server is the PSP and the carrier. It is an [http.Handler] and safe for
// concurrent use; webhooks are sent while Run runs.
type Server struct {
	cfg     Config
	ledger  *ledger
	faults  *faults
	scripts map[string]Script
	mux     *http.ServeMux
	client  *http.Client
	log     *slog.Logger
	bound   chan struct{} // closed when addr is set
	addr    string
	stopped chan struct{}                // closed when Run ends: answers nobody waits for
	seen    *lru.Cache[string, struct{}] // keys that a script has already hit
}

// Limits of the HTTP server: no client can hold a connection by sending slowly, or
// send headers without end.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 32 << 10
)

// maxSeen bounds the keys whose fault is remembered to have happened; a key that
// comes again after so many others is hit once more.
const maxSeen = 10_000

// New opens the ledger. Run, or Close when Run is never called, closes it.
func New(cfg Config) (*Server, error) {
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	cfg.Slow = orDefault(cfg.Slow, time.Second)
	cfg.Hang = orDefault(cfg.Hang, 2*time.Minute)
	cfg.Retry = orDefault(cfg.Retry, 100*time.Millisecond)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	seen, err := lru.New[string, struct{}](maxSeen)
	if err != nil {
		return nil, fmt.Errorf("partners: %w", err)
	}
	faults, err := newFaults(cfg.Seed)
	if err != nil {
		return nil, err
	}
	ledger, err := openLedger(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg:     cfg,
		ledger:  ledger,
		faults:  faults,
		scripts: Scripts(),
		mux:     http.NewServeMux(),
		client:  &http.Client{Transport: cfg.Transport},
		log:     cfg.Log,
		bound:   make(chan struct{}),
		stopped: make(chan struct{}),
		seen:    seen,
	}
	s.mux.HandleFunc("POST /psp/v1/payments/{reference}/{op}", s.operatePayment)
	s.mux.HandleFunc("GET /psp/v1/payments/{reference}", s.showPayment)
	s.mux.HandleFunc("GET /psp/v1/payments", s.listPayments)
	s.mux.HandleFunc("POST /carrier/v1/shipments/{reference}/{op}", s.operateShipment)
	s.mux.HandleFunc("GET /carrier/v1/shipments/{reference}", s.showShipment)
	s.mux.HandleFunc("GET /carrier/v1/shipments", s.listShipments)
	s.mux.HandleFunc("GET /admin/faults", s.showFaults)
	s.mux.HandleFunc("POST /admin/faults", s.addFaults)
	s.mux.HandleFunc("DELETE /admin/faults", s.clearFaults)
	s.mux.HandleFunc("DELETE /admin/keys", s.forgetKeys)
	s.mux.HandleFunc("POST /admin/shipments/{reference}/{news}", s.tellShipment)
	s.mux.HandleFunc("POST /admin/payments/{reference}/disputed", s.tellDispute)
	s.mux.HandleFunc("POST /admin/payments/{reference}/{news}", s.tellPayment)
	s.mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		send(w, answer(http.StatusOK, map[string]string{"status": "ok"}))
	})
	return s, nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Run listens and sends webhooks until ctx ends, then finishes the requests
// under way (those that hang are dropped) and closes the ledger.
func (s *Server) Run(ctx context.Context) error {
	listener := s.cfg.Listener
	if listener == nil {
		var err error
		if listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Listen); err != nil {
			return errors.Join(fmt.Errorf("partners: %w", err), s.Close())
		}
	}
	s.addr = listener.Addr().String()
	close(s.bound)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	delivered := make(chan struct{})
	go func() { defer close(delivered); s.deliver(ctx) }()

	server := &http.Server{
		Handler: s, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	var err error
	select {
	case err = <-served:
		cancel()
	case <-ctx.Done():
		close(s.stopped)
		grace, release := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer release()
		if err = server.Shutdown(grace); errors.Is(err, context.DeadlineExceeded) {
			err = server.Close()
		}
	}
	<-delivered
	if err != nil {
		err = fmt.Errorf("partners: %w", err)
	}
	return errors.Join(err, s.Close())
}

// Close closes the ledger of a server that is only used as a handler.
func (s *Server) Close() error { return s.ledger.close() }

// Addr returns host:port once Run listens.
func (s *Server) Addr(ctx context.Context) (string, error) {
	select {
	case <-s.bound:
		return s.addr, nil
	case <-ctx.Done():
		return "", fmt.Errorf("partners: not listening: %w", ctx.Err())
	}
}

// Payment returns the PSP's account of a reference; false when it has none.
func (s *Server) Payment(reference string) (Payment, bool) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	p, ok := s.ledger.payments[reference]
	return p, ok
}

// Shipment returns the carrier's account of a reference; false when it has none.
func (s *Server) Shipment(reference string) (Shipment, bool) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	shipment, ok := s.ledger.shipments[reference]
	return shipment, ok
}

// Untold returns how many webhooks nobody has accepted yet.
func (s *Server) Untold() int { return len(s.ledger.pending()) }

// maxBody bounds a request's body, in bytes.
const maxBody = 64 << 10

// decode reads a strict JSON body into v; an empty body is an empty object.
func decode(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return fmt.Errorf("the body cannot be read (at most %d bytes): %w", maxBody, err)
	}
	if len(body) == 0 {
		return nil
	}
	if err := json.Unmarshal(body, v, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("the body is not the expected JSON: %w", err)
	}
	return nil
}

func send(w http.ResponseWriter, a keptAnswer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.Status)
	// A client that is gone does not need the answer: the key keeps it.
	_, _ = w.Write(a.Body)
}

func badRequest(w http.ResponseWriter, err error) { send(w, wrongRequest(err)) }

func wrongRequest(err error) keptAnswer {
	return refusal(http.StatusBadRequest, Refusal{Code: "bad_request", Message: err.Error()}, nil)
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}
