package payment_test

import (
	"testing"

	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/partners"
	"github.com/b144f99b/orderflow/services/payment"
)

// A PSP forgets an idempotency key after a day. What was done under it, and never
// answered, is not done again: a repetition asks first what became of it.
func TestAKeyThatThePSPHasForgottenHasNoSecondEffect(t *testing.T) {
	w := newWorld(t)
	w.start(payment.Config{})
	unanswered := func(op string) {
		t.Helper()
		w.Check(w.psp.Inject(partners.Fault{Partner: "psp", Op: op, Reference: "p", Kind: partners.KindTimeout, Next: 1}))
	}
	unanswered("authorise")
	servicetest.As[events.PaymentOutcomeUnknown](t, w.authorize("a1", "card-ok"))
	w.Check(w.psp.ForgetKeys())
	servicetest.As[events.PaymentAuthorized](t, w.authorize("a2", "card-ok"))

	unanswered("capture")
	servicetest.As[events.PaymentOutcomeUnknown](t, w.capture("c1"))
	w.Check(w.psp.ForgetKeys())
	servicetest.As[events.PaymentCaptured](t, w.capture("c2"))

	refund := func(id string) events.Event {
		t.Helper()
		w.request(events.RefundRequested{Request: req(id), PaymentID: "p", RefundID: "r", Amount: eur("4.90")})
		return w.await(id)
	}
	unanswered("refund")
	servicetest.As[events.PaymentOutcomeUnknown](t, refund("r1"))
	w.Check(w.psp.ForgetKeys())
	servicetest.As[events.PaymentRefunded](t, refund("r2"))

	p, _ := w.psp.Payment("p")
	if p.Authorisations != 1 || p.Captures != 1 || len(p.Refunds) != 1 || p.Refunded.Amount != "4.90" {
		t.Errorf("the PSP has %+v", p)
	}
}
