package payment_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/partners"
	"github.com/b144f99b/orderflow/services/payment"
)

// reconciliation asks for the last comparison.
func (w *world) reconciliation(begin bool) (r queries.Reconciliation) {
	w.T.Helper()
	answer, err := service.Client{Conn: w.NC}.Ask(w.T.Context(), queries.PaymentReconciliation.Subject, fmt.Appendf(nil, `{"begin":%t}`, begin))
	w.Check(err)
	w.Check(json.Unmarshal(answer, &r))
	return r
}

// reconcile has the two compared now.
func (w *world) reconcile() (r queries.Reconciliation) {
	w.T.Helper()
	next := w.reconciliation(true).Next
	w.Until("the comparison", func() bool {
		r = w.reconciliation(false)
		return r.Number >= next
	})
	return r
}

// behind is somebody who moves money at the PSP without us.
func (w *world) behind(reference, op, key, body string) {
	w.T.Helper()
	if status := servicetest.Post(w.T, w.pspURL+"/psp/v1/payments/"+reference+"/"+op, body, "Idempotency-Key", key); status != http.StatusOK {
		w.T.Fatalf("%s of %s is answered %d", op, reference, status)
	}
}

// What agrees is no mismatch; each way in which the two ledgers can differ is one,
// named by its payment, also where an operator looks.
func TestPaymentsAreReconciledWithTheProvidersList(t *testing.T) {
	w := newWorld(t)
	env := w.Env("payment")
	w.Run(w.service(env, payment.Config{Settle: time.Millisecond}).Run)
	w.Ready(env)
	if r := w.reconcile(); r.Number == 0 || r.Found != 0 || r.Payments != 0 || r.Error != "" || r.Mismatches == nil {
		t.Errorf("of nothing: %+v", r)
	}

	const amount = `{"amount":{"amount":"24.90","currency":"EUR"}}`
	pay := func(id string, steps ...string) {
		t.Helper()
		for i, step := range steps {
			request := req(fmt.Sprint(id, "-", i))
			switch step {
			case "authorize":
				w.request(events.AuthorizationRequested{Request: request, PaymentID: id, Amount: eur("24.90"), MethodRef: "card-ok"})
			case "decline":
				w.request(events.AuthorizationRequested{Request: request, PaymentID: id, Amount: eur("24.90"), MethodRef: "card-declined"})
			case "capture":
				w.request(events.CaptureRequested{Request: request, PaymentID: id, Amount: eur("24.90")})
			case "void":
				w.request(events.VoidRequested{Request: request, PaymentID: id})
			case "refund":
				w.request(events.RefundRequested{Request: request, PaymentID: id, RefundID: "r-" + id, Amount: eur("4.90")})
			}
			w.await(request.RequestID)
		}
	}
	pay("agrees-1", "authorize")
	pay("agrees-2", "authorize", "capture", "refund")
	pay("agrees-3", "authorize", "void")
	pay("agrees-4", "decline")
	pay("agrees-5", "void")                                  // of nothing
	if r := w.reconcile(); r.Found != 0 || r.Payments != 4 { // a void of nothing needs no PSP
		t.Errorf("of what agrees: %+v", r)
	}

	pay("captured", "authorize", "capture")
	w.behind("captured", "capture", "x-1", amount) // a second time
	pay("refunded", "authorize", "capture")
	w.behind("refunded", "refund", "x-2", `{"refund_id":"x","amount":{"amount":"1.00","currency":"EUR"}}`)
	pay("voided", "authorize")
	w.behind("voided", "void", "x-3", "{}")
	pay("held", "decline")
	w.behind("held", "authorise", "x-4", `{"amount":{"amount":"24.90","currency":"EUR"},"method_ref":"card-ok"}`)
	w.behind("stranger", "authorise", "x-5", `{"amount":{"amount":"1.00","currency":"EUR"},"method_ref":"card-ok"}`)
	pay("more", "authorize")
	w.behind("more", "authorise", "x-6", `{"amount":{"amount":"30.00","currency":"EUR"},"method_ref":"card-ok"}`)
	w.Append(events.CategoryPayment, "lost",
		events.PaymentInitiated{OrderID: "o", Amount: eur("24.90"), MethodRef: "card-ok"},
		events.PaymentAuthorized{OrderID: "o", AuthID: "auth", Amount: eur("24.90"), ExpiresAt: time.Now().Add(time.Hour)})

	r := w.reconcile()
	var found []string
	for _, m := range r.Mismatches {
		found = append(found, fmt.Sprintf("%s: %s (%s) here %s, there %s", m.PaymentID, m.Code, m.OrderID, m.Here, m.There))
	}
	want := []string{
		"captured: captured_differs (o) here 24.90 EUR, there 49.80 EUR",
		"held: held_there (o) here declined, there authorised, authorised 24.90 EUR",
		"lost: unknown_there (o) here authorized, authorised 24.90 EUR, there no such payment",
		"more: held_differs (o) here 24.90 EUR, there 30.00 EUR",
		"refunded: refunded_differs (o) here nothing, there 1.00 EUR",
		"stranger: unknown_here () here no such payment, there authorised, authorised 1.00 EUR",
		"voided: not_held_there (o) here authorized, authorised 24.90 EUR, there voided, authorised 24.90 EUR",
	}
	if !slices.Equal(found, want) || r.Found != len(want) {
		t.Errorf("found\n%s\nnot\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
	}
	codes := map[string]float64{}
	w.Until("the metric", func() bool {
		codes = gauges(t, env, "psp_reconcile_mismatch")
		return codes["captured_differs"] == 1
	})
	for _, m := range r.Mismatches {
		if codes[m.Code] != 1 {
			t.Errorf("measured %v", codes)
		}
	}
	if unreadable, there := codes["unreadable_here"]; len(codes) != len(want)+1 || !there || unreadable != 0 {
		t.Errorf("measured %v", slices.Collect(maps.Keys(codes)))
	}

	// A list that cannot be read leaves what was measured, and says so.
	w.Check(w.psp.Inject(partners.Fault{Partner: "psp", Op: "list", Kind: partners.KindUnavailable, Next: 1}))
	if r := w.reconcile(); r.Error == "" || r.Found != 0 {
		t.Errorf("without a list: %+v", r)
	}
	if now := gauges(t, env, "psp_reconcile_mismatch"); now["captured_differs"] != 1 {
		t.Errorf("measured %v", now)
	}
}

// What became of an attempt may not be known for a while: the payment is pending, and not
// wrong. It is when the attempt is settled and it differs all the same, and when it is
// pending for too long.
func TestAnUnsettledAttemptIsPending(t *testing.T) {
	w := newWorld(t)
	env := w.Env("payment")
	stop := w.Run(w.service(env, payment.Config{Settle: time.Millisecond}).Run)
	w.Ready(env)
	unanswered := func(op string) {
		t.Helper()
		w.Check(w.psp.Inject(partners.Fault{Partner: "psp", Op: op, Reference: "p", Kind: partners.KindTimeout, Next: 1}))
	}
	pending := func(what, code string) (first queries.Mismatch) {
		t.Helper()
		r := w.reconcile()
		if r.Found != 0 || len(r.Mismatches) != 0 || r.Pending != 1 || len(r.Unsettled) != 1 || r.Unsettled[0].PaymentID != "p" ||
			r.Unsettled[0].Code != code || !r.Unsettled[0].Since.Equal(r.StartedAt) || len(r.Counts) != 0 {
			t.Fatalf("%s: %+v", what, r)
		}
		again := w.reconcile()
		if again.Found != 0 || len(again.Unsettled) != 1 || !again.Unsettled[0].Since.Equal(r.StartedAt) {
			t.Fatalf("%s, compared again: %+v", what, again)
		}
		return r.Unsettled[0]
	}
	agrees := func(what string) {
		t.Helper()
		if r := w.reconcile(); r.Found != 0 || r.Pending != 0 {
			t.Fatalf("%s: %+v", what, r)
		}
	}
	unanswered("authorise")
	servicetest.As[events.PaymentOutcomeUnknown](t, w.authorize("a1", "card-ok"))
	pending("an authorisation that is unknown", "held_there")
	w.Until("the metric", func() bool { return value(t, env, "psp_reconcile_pending") == 1 })
	servicetest.As[events.PaymentAuthorized](t, w.authorize("a2", "card-ok"))
	agrees("an authorisation that is known")

	unanswered("capture")
	servicetest.As[events.PaymentOutcomeUnknown](t, w.capture("c1"))
	first := pending("a capture that is unknown", "captured_differs")

	// A list that cannot be read forgets nothing.
	w.Check(w.psp.Inject(partners.Fault{Partner: "psp", Op: "list", Kind: partners.KindUnavailable, Next: 1}))
	if r := w.reconcile(); r.Error == "" || len(r.Unsettled) != 1 || r.Unsettled[0] != first {
		t.Errorf("without a list: %+v", r)
	}
	servicetest.As[events.PaymentCaptured](t, w.capture("c2"))
	agrees("a capture that is known")

	unanswered("refund")
	refund := events.RefundRequested{Request: req("r1"), PaymentID: "p", RefundID: "r", Amount: eur("4.90")}
	w.request(refund)
	servicetest.As[events.PaymentOutcomeUnknown](t, w.await("r1"))
	pending("a refund that is unknown", "refunded_differs")
	// Somebody settles it with what is not true.
	w.Append(events.CategoryPayment, "p", events.PaymentRefundFailed{OrderID: "o", RequestID: "r2", RefundID: "r", Code: "refused"})
	r := w.reconcile()
	if r.Found != 1 || r.Pending != 0 || r.Mismatches[0].Code != "refunded_differs" || !r.Mismatches[0].Since.Before(r.StartedAt) {
		t.Fatalf("a refund that was settled, and differs: %+v", r)
	}
	w.behind("other", "authorise", "x-1", `{"amount":{"amount":"24.90","currency":"EUR"},"method_ref":"card-ok"}`)
	w.Append(events.CategoryPayment, "other",
		events.PaymentInitiated{OrderID: "o", Amount: eur("24.90"), MethodRef: "card-ok"},
		events.AuthorizationAttempted{OrderID: "o", RequestID: "a", Key: "other:authorize", Attempt: 1})
	if r := w.reconcile(); r.Found != 1 || r.Pending != 1 || r.Unsettled[0].PaymentID != "other" {
		t.Fatalf("an attempt that is under way: %+v", r)
	}
	stop()

	// By a second scheduled comparison it is wrong, and it stays so.
	w.start(payment.Config{Reconcile: 50 * time.Millisecond, Settle: time.Millisecond, Lease: time.Second})
	wrong := func() bool {
		answer, err := w.NC.Request(queries.PaymentReconciliation.Subject, nil, servicetest.Patience)
		if err != nil { // not running yet
			return false
		}
		w.Check(json.Unmarshal(answer.Data, &r))
		return r.Found == 2
	}
	w.Until("it is pending for too long", wrong)
	from := r.Number
	w.Until("the next comparison", func() bool { return wrong() && r.Number > from })
	if r.Counts["held_there"] != 1 || r.Pending != 0 {
		t.Errorf("pending for too long: %+v", r)
	}
}

// value is that of a metric without labels.
func value(t *testing.T, env *service.Env, name string) float64 {
	t.Helper()
	families, err := env.Metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return -1
}

// It happens by itself, and not by every instance.
func TestReconciliationIsRepeated(t *testing.T) {
	w := newWorld(t)
	for range 2 {
		w.start(payment.Config{Reconcile: 50 * time.Millisecond, Settle: time.Millisecond, Lease: time.Second})
	}
	var r queries.Reconciliation
	w.Until("three comparisons", func() bool {
		answer, err := w.NC.Request(queries.PaymentReconciliation.Subject, nil, servicetest.Patience)
		if err != nil { // not running yet
			return false
		}
		w.Check(json.Unmarshal(answer.Data, &r))
		return r.Number >= 3
	})
}

// gauges are a metric's values by its label.
func gauges(t *testing.T, env *service.Env, name string) map[string]float64 {
	t.Helper()
	families, err := env.Metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, one := range f.GetMetric() {
			if f.GetName() == name {
				values[one.GetLabel()[0].GetValue()] = one.GetGauge().GetValue()
			}
		}
	}
	return values
}

// foreseen is an event that this version does not know.
type foreseen struct{}

func (foreseen) EventType() string { return "PaymentForeseen" }

// A payment that cannot be read, or not looked at again, hides no other one.
func TestReconciliationNamesTheOthersWhenOneFails(t *testing.T) {
	w := newUnreadWorld(t)
	env := w.Env("payment")
	w.Run(w.service(env, payment.Config{Settle: time.Millisecond}).Run)
	w.Ready(env)
	for _, id := range []string{"stranger-1", "stranger-2"} {
		w.behind(id, "authorise", id, `{"amount":{"amount":"1.00","currency":"EUR"},"method_ref":"card-ok"}`)
	}
	_, err := w.Store.Append(t.Context(), esjs.StreamID{Category: events.CategoryPayment, Key: "foreseen"}, esjs.Any(), foreseen{})
	w.Check(err)
	found := func(r queries.Reconciliation) (all []string) {
		for _, m := range r.Mismatches {
			all = append(all, m.PaymentID+" "+m.Code)
		}
		return all
	}
	r := w.reconcile()
	if want := []string{"foreseen unreadable_here", "stranger-1 unknown_here", "stranger-2 unknown_here"}; r.Error != "" || !slices.Equal(found(r), want) {
		t.Fatalf("found %v, %q, not %v", found(r), r.Error, want)
	}
	if r.Counts["unknown_here"] != 2 || r.Counts["unreadable_here"] != 1 {
		t.Errorf("counted %v", r.Counts)
	}
	if m := r.Mismatches[0]; !strings.Contains(m.Here, "PaymentForeseen") || m.There != "no such payment" {
		t.Errorf("an operator does not learn why it cannot be read: %+v", m)
	}

	w.Check(w.psp.Inject(partners.Fault{Partner: "psp", Op: "status", Reference: "stranger-1", Kind: partners.KindUnavailable, Rate: 1}))
	for range 2 { // what the first one found is measured when the second one begins
		r = w.reconcile()
	}
	if want := []string{"foreseen unreadable_here", "stranger-2 unknown_here"}; !slices.Equal(found(r), want) || !strings.Contains(r.Error, "1 of 3 payments") || !strings.Contains(r.Error, "stranger-1") {
		t.Errorf("found %v, %q, not %v", found(r), r.Error, want)
	}
	if now := gauges(t, env, "psp_reconcile_mismatch"); now["unknown_here"] != 2 || now["unreadable_here"] != 1 {
		t.Errorf("measured %v", now)
	}
}

// All mismatches are measured, also those that the report does not name.
func TestAllMismatchesAreMeasured(t *testing.T) {
	w := newWorld(t)
	js, err := jetstream.New(w.NC)
	w.Check(err)
	kv, err := js.KeyValue(t.Context(), payment.BucketReconciliation)
	w.Check(err)
	report, err := json.Marshal(queries.Reconciliation{
		Number: 1, StartedAt: time.Now(), Found: 1500, Counts: map[string]int{"unknown_here": 1200, "held_there": 300},
		Mismatches: []queries.Mismatch{{PaymentID: "p", Code: "unknown_here"}},
	})
	w.Check(err)
	_, err = kv.Put(t.Context(), "last", report)
	w.Check(err)
	env := w.Env("payment")
	w.Run(w.service(env, payment.Config{}).Run)
	w.Until("the metric", func() bool {
		now := gauges(t, env, "psp_reconcile_mismatch")
		return now["unknown_here"] == 1200 && now["held_there"] == 300
	})
}
