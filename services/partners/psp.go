package partners

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Payment is the PSP's own account of one payment. The counts are of effects,
// so a repeated key does not change them.
type Payment struct {
	Reference       string    `json:"reference"` // the merchant's id
	MethodRef       string    `json:"method_ref"`
	Status          string    `json:"status"` // authorised, declined, captured, voided, refunded
	AuthorisationID string    `json:"authorisation_id,omitzero"`
	Authorised      Money     `json:"authorised,omitzero"`
	CaptureBefore   time.Time `json:"capture_before,omitzero"`
	Decline         Refusal   `json:"decline,omitzero"`
	CaptureID       string    `json:"capture_id,omitzero"` // of the last capture
	Captured        Money     `json:"captured,omitzero"`   // of all captures
	Refunds         []Refund  `json:"refunds,omitzero"`
	Refunded        Money     `json:"refunded,omitzero"`
	Authorisations  int       `json:"authorisations"`
	Captures        int       `json:"captures"`
	Voids           int       `json:"voids"`
}

// Refund is money that went back.
type Refund struct {
	RefundID string `json:"refund_id"` // the merchant's
	Amount   Money  `json:"amount"`
}

// authorisationLife is how long an authorisation can be captured; card schemes
// allow five to seven days.
const authorisationLife = 7 * 24 * time.Hour

// paymentRequest is the body of every operation of the PSP.
type paymentRequest struct {
	Amount    Money  `json:"amount,omitzero"`
	MethodRef string `json:"method_ref,omitzero"`
	RefundID  string `json:"refund_id,omitzero"`
}

// check returns what is wrong with the request of an operation.
func (r paymentRequest) check(op string) error {
	if op == "void" {
		return nil
	}
	if op == "authorise" && r.MethodRef == "" {
		return fmt.Errorf("method_ref is missing")
	}
	if op == "refund" && r.RefundID == "" {
		return fmt.Errorf("refund_id is missing")
	}
	return r.Amount.check()
}

// operate decides one operation on a payment; the zero Payment is one that
// the PSP has never seen. It returns what the payment is then, a refusal or
// none, and whether there is anything new to keep.
func (p Payment) operate(op string, r paymentRequest, script Script, now time.Time) (Payment, Refusal) {
	if script.Op == op && script.Refusal != (Refusal{}) {
		if op == "authorise" && p.AuthorisationID == "" && p.Status != "voided" {
			p.Status, p.Decline = "declined", script.Refusal
		}
		return p, script.Refusal
	}
	switch op {
	case "authorise":
		return p.authorise(r, cmp.Or(script.Life, authorisationLife), now)
	case "capture":
		return p.capture(r, now)
	case "void":
		return p.void()
	default:
		return p.refund(r)
	}
}

func (p Payment) authorise(r paymentRequest, life time.Duration, now time.Time) (Payment, Refusal) {
	if p.Status == "voided" {
		return p, Refusal{Code: "voided", Class: "hard", Message: "the reference was voided"}
	}
	p.Status, p.Decline = "authorised", Refusal{}
	p.AuthorisationID = "auth_" + uuid.NewString()
	p.Authorised = r.Amount
	p.CaptureBefore = now.Add(life).UTC()
	p.Authorisations++
	return p, Refusal{}
}

func (p Payment) capture(r paymentRequest, now time.Time) (Payment, Refusal) {
	switch {
	case p.Status == "voided":
		return p, Refusal{Code: "voided", Message: "the authorisation was voided"}
	case p.AuthorisationID == "":
		return p, Refusal{Code: "not_authorised", Message: "nothing is authorised"}
	case r.Amount.exceeds(p.Authorised):
		return p, Refusal{Code: "exceeds_authorisation", Message: "more than the authorised " + p.Authorised.Amount + " " + p.Authorised.Currency}
	case now.After(p.CaptureBefore):
		return p, Refusal{Code: "expired", Message: "the authorisation has expired"}
	}
	p.Status = "captured"
	p.CaptureID = "cap_" + uuid.NewString()
	p.Captured = p.Captured.plus(r.Amount)
	p.Captures++
	return p, Refusal{}
}

// void releases what is held; of a reference never seen it leaves a mark that
// refuses a later authorisation.
func (p Payment) void() (Payment, Refusal) {
	if p.Captures > 0 {
		return p, Refusal{Code: "already_captured", Message: "the payment is captured; refund it"}
	}
	if p.Status != "voided" {
		p.Status = "voided"
		p.Voids++
	}
	return p, Refusal{}
}

func (p Payment) refund(r paymentRequest) (Payment, Refusal) {
	for _, done := range p.Refunds {
		if done.RefundID == r.RefundID {
			return p, Refusal{Code: "refund_id_reused", Message: "this refund_id was refunded under another key"}
		}
	}
	total := p.Refunded.plus(r.Amount)
	if p.Captures == 0 || total.exceeds(p.Captured) || r.Amount.Currency != p.Captured.Currency {
		return p, Refusal{Code: "exceeds_captured", Message: "more than what was captured and not refunded yet"}
	}
	p.Refunds = append(slices.Clip(p.Refunds), Refund{RefundID: r.RefundID, Amount: r.Amount})
	p.Refunded = total
	if !p.Captured.exceeds(p.Refunded) {
		p.Status = "refunded"
	}
	return p, Refusal{}
}

// happen is what the PSP does on its own: with a payment that it had declined an
// authorisation after all, or with it the capture that nobody asked for; of a captured one
// it gives money back by hand, under an id that is not the merchant's.
func (p Payment) happen(news string, amount Money, now time.Time) (Payment, bool) {
	if news == "refunded" {
		after, no := p.refund(paymentRequest{Amount: amount, RefundID: "by_hand_" + uuid.NewString()})
		return after, no == Refusal{}
	}
	if p.Status != "declined" || news != "authorised" && news != "captured" {
		return p, false
	}
	p, _ = p.authorise(paymentRequest{Amount: amount}, authorisationLife, now)
	if news == "captured" {
		p, _ = p.capture(paymentRequest{Amount: amount}, now)
	}
	return p, true
}

// paymentNews names the webhook of each operation.
func paymentNews(op string) string {
	return map[string]string{
		"authorise": "payment.authorised",
		"capture":   "payment.captured",
		"void":      "payment.voided",
		"refund":    "payment.refunded",
	}[op]
}

// pay performs one operation under the ledger's lock; declined, when it is one, refuses it.
func (l *ledger) pay(
	op string, reference string, key idempotencyKey, r paymentRequest, declined Refusal, scripts map[string]Script,
) (keptAnswer, bool, error) {
	return l.once("psp."+op, key, func() (entry, keptAnswer) {
		before, known := l.payments[reference]
		if !known && (op == "capture" || op == "refund") {
			return entry{}, refusal(404, Refusal{Code: "not_found", Message: "no payment has this reference"}, nil)
		}
		payment := before
		payment.Reference = reference
		if op == "authorise" {
			payment.MethodRef = r.MethodRef
		}
		now := time.Now().UTC()
		payment, no := payment.operate(op, r, scripts[payment.MethodRef].declining(op, declined), now)
		if no != (Refusal{}) {
			status := 422
			e := entry{}
			if op == "authorise" {
				status, e.Payment = 402, &payment
				e.Webhooks = []Webhook{newWebhook("payment.declined", now, Webhook{Payment: &payment})}
			}
			return e, refusal(status, no, map[string]any{"payment": payment})
		}
		return entry{
			Payment:  &payment,
			Webhooks: []Webhook{newWebhook(paymentNews(op), now, Webhook{Payment: &payment})},
		}, answer(200, map[string]any{"payment": payment})
	})
}
