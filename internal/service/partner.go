package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// ErrPartnerUnknown means that the partner may or may not have done what it was
// asked for. Ask what became of it, or ask again with the same key.
var ErrPartnerUnknown = errors.New("the partner may or may not have done it")

// PartnerRefusal is a partner's definite no: it did not, and will not, do what
// it was asked for. Code is the one of its answer, {"error":{"code":…}}.
type PartnerRefusal struct {
	Status int
	Code   string
}

func (e *PartnerRefusal) Error() string {
	return fmt.Sprintf("the partner refused with status %d: %s", e.Status, clip(e.Code))
}

// keyReused is the code with which a partner complains that a key came with
// another request before: what the first one did is not known here.
const keyReused = "idempotency_key_reused"

// PartnerConfig is how a partner is reached. URL is required.
type PartnerConfig struct {
	URL         string        // of the partner's API, without a slash at the end, and without a user: traces show it
	Key         string        // that the partner knows us by, sent as a bearer's token; empty: none
	Timeout     time.Duration // of one call, from its sending to its answer; default 5 s
	Concurrency int           // calls at the same time, others wait; default 32
	// After this many calls without an answer in a row the partner is not called
	// for Pause, and then by one call at a time until one is answered; default 10 and 5 s.
	Failures uint32
	Pause    time.Duration
	// Transport sends the requests; nil: one of the partner's own, over the network.
	Transport http.RoundTripper
}

// Partner is the HTTP API of another company. It is safe for concurrent use.
type Partner struct {
	url     string
	key     string
	timeout time.Duration
	slots   chan struct{}
	circuit *circuit
	client  *http.Client
}

// NewPartner prepares a client whose calls nobody counts; it sends nothing. See
// [Env.Partner].
func NewPartner(cfg PartnerConfig) *Partner {
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = 32
	}
	transport := cfg.Transport
	if transport == nil {
		transport = &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			MaxIdleConns:        cfg.Concurrency,
			MaxIdleConnsPerHost: cfg.Concurrency,
			IdleConnTimeout:     time.Minute,
		}
	}
	// A redirect would repeat a request somewhere else: it is no answer.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Partner{
		url:     cfg.URL,
		key:     cfg.Key,
		timeout: cfg.Timeout,
		slots:   make(chan struct{}, cfg.Concurrency),
		circuit: newCircuit(cfg),
		client:  &http.Client{Transport: transport, CheckRedirect: stay},
	}
}

// Close lets go of the connections that no call uses. A server that stops would wait
// for one on which nothing was ever asked.
func (p *Partner) Close() { p.client.CloseIdleConnections() }

// PartnerCall is one request to a partner.
type PartnerCall struct {
	Method string // GET or POST
	Path   string // escaped, with a slash in front
	Key    string // the Idempotency-Key; the same for every repetition
	Body   any    // as JSON; nil: none
}

// Call sends one request, once, and decodes the answer, a refusal too, into
// answer.
//
// Errors: *[PartnerRefusal] for the 4xx that are answers; [ErrPartnerUnknown]
// for everything that does not tell whether the effect happened: no answer in
// time, a broken connection, 401, 403, 408, 409, 425, 429, 3xx, 5xx, an answer
// that does not decode, a refusal without a code, a key that another request had;
// the same, with [ErrPartnerPaused] and without a request, while the partner is not called;
// and ctx's error, and nothing else, when ctx ended.
func (p *Partner) Call(ctx context.Context, c PartnerCall, answer any) error {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	status, body, err := p.circuit.call(ctx, func() (int, []byte, error) { return p.traced(ctx, c) })
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%w: %w", ErrPartnerUnknown, err)
	case status/100 != 2 && !isRefusal(status):
		return fmt.Errorf("%w: it answered status %d: %s", ErrPartnerUnknown, status, clip(string(body)))
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("%w: the answer with status %d does not decode: %w", ErrPartnerUnknown, status, err)
	}
	if status/100 == 2 {
		return nil
	}
	var no struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	if err := json.Unmarshal(body, &no); err != nil || no.Error.Code == "" || no.Error.Code == keyReused {
		return fmt.Errorf("%w: it refused with status %d: %s", ErrPartnerUnknown, status, clip(string(body)))
	}
	return &PartnerRefusal{Status: status, Code: no.Error.Code}
}

// traced sends the request inside a span of the trace that ctx is in, if any. The
// partner is not told of it.
func (p *Partner) traced(ctx context.Context, c PartnerCall) (status int, body []byte, err error) {
	ctx, span := trace.SpanFromContext(ctx).TracerProvider().Tracer(tracerName).Start(ctx, c.Method,
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("http.request.method", c.Method), attribute.String("url.full", p.url+c.Path)))
	defer span.End()
	status, body, err = p.send(ctx, c)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		return status, body, err
	}
	span.SetAttributes(attribute.Int("http.response.status_code", status))
	if status/100 != 2 && !isRefusal(status) {
		span.SetStatus(codes.Error, http.StatusText(status))
	}
	return status, body, nil
}

func (p *Partner) send(ctx context.Context, c PartnerCall) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	var content io.Reader
	if c.Body != nil {
		data, err := json.Marshal(c.Body, json.Deterministic(true))
		if err != nil {
			return 0, nil, err
		}
		content = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, c.Method, p.url+c.Path, content)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if p.key != "" {
		request.Header.Set("Authorization", "Bearer "+p.key)
	}
	if c.Key != "" {
		// With this header net/http itself repeats a request on an idle
		// connection that turns out to be broken. The key makes that safe.
		request.Header.Set("Idempotency-Key", c.Key)
	}
	response, err := p.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return response.StatusCode, body, err
}

// isRefusal tells the statuses that are a business answer from those that are
// about the request's way, its time or our credentials.
func isRefusal(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout,
		http.StatusConflict, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status/100 == 4
}
