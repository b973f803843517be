package payment_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/partners"
	"github.com/b144f99b/orderflow/services/payment"
)

func sign(body string) string { return partners.Sign(secret, []byte(body), time.Now()) }

func TestWebhooksAreStoredOnce(t *testing.T) {
	w := newWorld(t)
	w.start(payment.Config{})
	servicetest.As[events.PaymentAuthorized](t, w.authorize("a1", "card-ok"))
	servicetest.As[events.PaymentCaptured](t, w.capture("c1"))
	before := w.history()

	body := `{"id":"evt-1","type":"payment.disputed","payment":{"reference":"p","status":"captured","captured":{"amount":"24.90","currency":"EUR"}}}`
	for range 3 {
		if status := servicetest.Post(t, w.hooks, body, "Webhook-Signature", sign(body)); status != http.StatusNoContent {
			t.Fatalf("answered %d", status)
		}
	}
	disputed := before + " PaymentDisputed"
	if got := w.history(); got != disputed {
		t.Errorf("the history is %s", got)
	}
	type webhook struct {
		signature, body string
		status          int
	}
	told := func(id, fields string, status int) webhook {
		body := `{"id":"` + id + `","type":"payment.captured","payment":{"reference":"p","status":"captured",` + fields + `}}`
		return webhook{sign(body), body, status}
	}
	news := func(amounts string, status int) webhook { return told("evt-2", amounts, status) }
	for name, c := range map[string]webhook{
		"no signature":                       {"", body, 401},
		"another secret":                     {partners.Sign([]byte("guess"), []byte(body), time.Now()), body, 401},
		"another body":                       {sign(body), body + " ", 401},
		"too old":                            {partners.Sign(secret, []byte(body), time.Now().Add(-6*time.Minute)), body, 401},
		"from the future":                    {partners.Sign(secret, []byte(body), time.Now().Add(6*time.Minute)), body, 401},
		"not JSON":                           {sign("{"), "{", 400},
		"more than was to be paid":           news(`"captured":{"amount":"24.91","currency":"EUR"}`, 422),
		"another amount authorised":          news(`"authorised":{"amount":"24.89","currency":"EUR"}`, 422),
		"another currency":                   news(`"captured":{"amount":"24.90","currency":"USD"}`, 422),
		"less than nothing":                  news(`"refunded":{"amount":"-1.00","currency":"EUR"}`, 422),
		"too many decimals":                  news(`"captured":{"amount":"24.900","currency":"EUR"}`, 400),
		"an amount out of range":             news(`"captured":{"amount":"99999999999999999999","currency":"EUR"}`, 400),
		"an amount that is a number":         news(`"captured":{"amount":24.90,"currency":"EUR"}`, 400),
		"a currency that is none":            news(`"captured":{"amount":"24.90","currency":"EURO"}`, 400),
		"an authorisation without an amount": news(`"authorisation_id":"auth-2"`, 400),
		"a capture without an amount":        news(`"capture_id":"cap-2"`, 400),
		"a refund without an amount":         news(`"refunds":[{"refund_id":"r"}]`, 400),
		"a refund without an id":             news(`"refunds":[{"amount":{"amount":"1.00","currency":"EUR"}}]`, 400),
		"refunds above the capture": news(`"refunds":[{"refund_id":"r","amount":{"amount":"24.90","currency":"EUR"}},
			{"refund_id":"s","amount":{"amount":"0.01","currency":"EUR"}}]`, 422),
		"an id without end":            told(strings.Repeat("x", 201), `"authorisation_id":""`, 400),
		"an id that cannot be printed": told(`evt\n`, `"authorisation_id":""`, 400),
		"no reference":                 {sign("{}"), "{}", 400},
		"not ours": {sign(`{"id":"e","payment":{"reference":"q"}}`),
			`{"id":"e","payment":{"reference":"q"}}`, 404},
	} {
		if status := servicetest.Post(t, w.hooks, c.body, "Webhook-Signature", c.signature); status != c.status {
			t.Errorf("%s: answered %d, not %d", name, status, c.status)
		}
	}
	if got := w.history(); got != disputed {
		t.Errorf("webhooks that were refused made the history %s", got)
	}
}
