package service

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/rs/zerolog"
)

// WebhookConfig is where a partner's webhooks come in.
type WebhookConfig struct {
	Listen   string       // host:port; default 127.0.0.1:0
	Listener net.Listener // used instead of Listen when it is set, and closed in the end
	Secret   []byte       // shared with the partner; without one every webhook is refused
}

// ServeWebhooks gives handle what the partner tells, as [Webhooks] says, until
// ctx ends.
func (e *Env) ServeWebhooks(ctx context.Context, cfg WebhookConfig, handle func(ctx context.Context, body []byte) error) error {
	listener := cfg.Listener
	if listener == nil {
		if cfg.Listen == "" {
			cfg.Listen = "127.0.0.1:0"
		}
		var err error
		if listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen); err != nil {
			return err
		}
	}
	e.Log.Info().Stringer("address", listener.Addr()).Msg("taking webhooks")
	e.Health.Set(e.webhooksPart(), nil)
	return ServeHTTP(ctx, listener, Webhooks{Env: e, Secret: cfg.Secret, Handle: handle})
}

// Webhooks is the HTTP endpoint at which a partner tells news. It takes POSTs
// whose header is "Webhook-Signature: t=<unix seconds>,v1=<hex>", where v1 is
// the HMAC-SHA256 of "<t>.<body>"; several v1 are allowed while a partner
// changes its secret. It answers 204 when Handle returned nil and otherwise a
// problem, so that the partner sends the news again; what it refuses is counted
// and logged as a warning.
type Webhooks struct {
	Env    *Env
	Secret []byte // shared with the partner; without one every webhook is refused
	// Tolerance is how far t may be from our clock, in both directions, so that
	// an overheard webhook cannot be sent again later; default 5 min.
	Tolerance time.Duration
	// Handle stores one piece of news. It is called concurrently, with the same
	// news more than once, and in any order.
	Handle func(ctx context.Context, body []byte) error
}

const (
	maxWebhook   = 256 << 10 // bytes of a webhook's body
	maxWebhookID = 200       // bytes of its id
)

// WebhookID returns what is wrong with the id that a partner gave its news: it is
// stored with them, so it is short and printable.
func WebhookID(id string) error {
	if len(id) > maxWebhookID {
		return fmt.Errorf("the id of the webhook has %d bytes; at most %d are allowed", len(id), maxWebhookID)
	}
	if strings.ContainsFunc(id, unicode.IsControl) {
		return fmt.Errorf("the id of the webhook has control characters; only printable text is allowed")
	}
	return nil
}

// ServeHTTP takes one webhook.
func (h Webhooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := h.take(w, r)
	if err == nil {
		h.Env.Metrics.webhooks.WithLabelValues(h.Env.Name, outcomeOK).Inc()
		w.WriteHeader(http.StatusNoContent)
		return
	}
	// A partner that is refused what it tells, or somebody who poses as one, is
	// always a matter for an operator.
	p, level := ProblemOf(err)
	level = max(level, zerolog.WarnLevel)
	h.Env.Metrics.webhooks.WithLabelValues(h.Env.Name, p.Code).Inc()
	h.Env.Log.WithLevel(level).Err(err).Str("outcome", p.Code).Msg("webhook not taken")
	SendProblem(w, p)
}

func (h Webhooks) take(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return &esjs.Rejection{Code: "method_not_allowed", Message: "a webhook is a POST", Status: http.StatusMethodNotAllowed}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxWebhook))
	if err != nil {
		return badRequest("bad_request", "the body cannot be read; at most %d bytes are allowed", maxWebhook)
	}
	if err := h.verify(r.Header.Get("Webhook-Signature"), body, time.Now()); err != nil {
		return &esjs.Rejection{Code: "bad_signature", Message: err.Error(), Status: http.StatusUnauthorized}
	}
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	return h.Handle(ctx, body)
}

// verify returns what is wrong with a signature.
func (h Webhooks) verify(header string, body []byte, now time.Time) error {
	if len(h.Secret) == 0 {
		return fmt.Errorf("no secret is configured, so no webhook can be trusted")
	}
	tolerance := h.Tolerance
	if tolerance == 0 {
		tolerance = 5 * time.Minute
	}
	var stamp string
	var signatures [][]byte
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "t":
			stamp = value
		case "v1":
			if signature, err := hex.DecodeString(value); err == nil {
				signatures = append(signatures, signature)
			}
		}
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return fmt.Errorf("the header Webhook-Signature must be t=<unix seconds>,v1=<hex>")
	}
	mac := hmac.New(sha256.New, h.Secret)
	mac.Write([]byte(stamp + "."))
	mac.Write(body)
	expected := mac.Sum(nil)
	for _, signature := range signatures {
		if !hmac.Equal(signature, expected) {
			continue
		}
		if age := now.Sub(time.Unix(seconds, 0)).Abs(); age > tolerance {
			return fmt.Errorf("the signature is %s away from this clock, at most %s are allowed", age.Round(time.Second), tolerance)
		}
		return nil
	}
	return fmt.Errorf("no v1 of the header Webhook-Signature is the signature of this body")
}
