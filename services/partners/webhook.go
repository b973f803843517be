package partners

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// Webhook is one piece of news, as it is sent and as the ledger keeps it until
// somebody accepted it.
type Webhook struct {
	ID               string    `json:"id"`
	Type             string    `json:"type"` // "payment.captured", "shipment.dispatched" …
	Created          time.Time `json:"created"`
	Payment          *Payment  `json:"payment,omitempty"`
	Shipment         *Shipment `json:"shipment,omitempty"`
	RequestReference string    `json:"request_reference,omitzero"`
}

// newWebhook completes news that happen, or happened, at a time; a time to
// come delays the delivery.
func newWebhook(kind string, at time.Time, w Webhook) Webhook {
	w.ID, w.Type, w.Created = "evt_"+uuid.NewString(), kind, at.UTC()
	return w
}

// Sign returns the Webhook-Signature header of a body sent at a time.
func Sign(secret, body []byte, at time.Time) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil)))
}

// deliver sends the outbox until ctx ends. Each webhook has its own attempts,
// so one that nobody accepts holds up no other, and their order is not kept:
// receivers must cope with that, as with real partners.
func (s *Server) deliver(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	started := map[string]bool{}
	for {
		pending := map[string]bool{}
		for _, w := range s.ledger.pending() {
			pending[w.ID] = true
			if !started[w.ID] {
				running.Go(func() { s.deliverOne(ctx, w) })
			}
		}
		started = pending // what was accepted needs no memory
		select {
		case <-ctx.Done():
			return
		case <-s.ledger.wake:
		}
	}
}

// deliverOne repeats one webhook until it is accepted or ctx ends; then it
// stays in the ledger's outbox.
func (s *Server) deliverOne(ctx context.Context, w Webhook) {
	url, reference := s.cfg.PSPWebhookURL, ""
	if w.Payment != nil {
		reference = w.Payment.Reference
	}
	if w.Shipment != nil {
		url, reference = s.cfg.CarrierWebhookURL, w.Shipment.Reference
	}
	if url == "" {
		s.accepted(w)
		return
	}
	fault := s.faults.take(target{partner: "webhook", op: w.Type, reference: reference})
	wait := time.Until(w.Created)
	if fault.Kind == KindDelay {
		wait += fault.delay()
	}
	if !pause(ctx, wait) {
		return
	}
	backoff := s.cfg.Retry
	for attempt := 0; ; attempt++ {
		lost := fault.Kind == KindLost && attempt == 0
		if !lost && s.post(ctx, url, w) == nil {
			break
		}
		if !pause(ctx, backoff) {
			return
		}
		backoff = min(2*backoff, time.Minute)
	}
	if fault.Kind == KindDuplicate && pause(ctx, fault.delay()) {
		// The receiver's answer to the second one does not matter.
		_ = s.post(ctx, url, w)
	}
	s.accepted(w)
}

func (s *Server) accepted(w Webhook) {
	if err := s.ledger.delivered(w.ID); err != nil {
		s.log.Error("webhook is accepted but not noted; it will be sent again", "webhook", w.ID, "error", err)
	}
}

// webhookTimeout bounds one delivery.
const webhookTimeout = 5 * time.Second

// post sends a webhook once; only a 2xx is no error.
func (s *Server) post(ctx context.Context, url string, w Webhook) error {
	body, err := json.Marshal(w)
	if err != nil {
		return fmt.Errorf("partners: webhook %s: %w", w.ID, err)
	}
	// What is on its way is finished also when ctx ends, so that a stop does not
	// send it again at the next start.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), webhookTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("partners: webhook %s: %w", w.ID, err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Webhook-Signature", Sign(s.cfg.WebhookSecret, body, time.Now()))
	response, err := s.client.Do(request)
	if err != nil {
		return fmt.Errorf("partners: webhook %s: %w", w.ID, err)
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("partners: webhook %s: answered %s", w.ID, response.Status)
	}
	return nil
}

// pause waits; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
