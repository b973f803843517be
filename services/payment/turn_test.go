package payment_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/payment"
	"github.com/rs/zerolog"
)

// gate lets nobody read the PSP's list before it is opened, and counts who wants to.
type gate struct {
	asked  atomic.Int64
	opened chan struct{}
}

// gated puts a gate before the list.
func (w *world) gated() *gate {
	w.T.Helper()
	target, err := url.Parse(w.pspURL)
	w.Check(err)
	g := &gate{opened: make(chan struct{})}
	proxy := httputil.NewSingleHostReverseProxy(target)
	front := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if request.URL.Path == "/psp/v1/payments" {
			g.asked.Add(1)
			select {
			case <-g.opened:
			case <-request.Context().Done():
			}
		}
		proxy.ServeHTTP(answer, request)
	}))
	w.T.Cleanup(front.Close)
	w.pspURL = front.URL
	return g
}

// However many instances are asked to begin a comparison, it is made once, and all
// that were asked in the meantime have the same one.
func TestInstancesCompareOneAfterTheOther(t *testing.T) {
	w := newUnreadWorld(t)
	g := w.gated()
	for range 2 {
		env := w.Env("payment")
		w.Run(w.service(env, payment.Config{Settle: time.Millisecond, PSP: service.PartnerConfig{Timeout: servicetest.Patience}}).Run)
		w.Ready(env)
	}
	w.Until("the first comparison is under way", func() bool { return g.asked.Load() == 1 })
	for range 40 { // each instance is asked, but once in 2^39 times
		if r := w.reconciliation(true); r.Number != 0 || r.Next != 2 {
			t.Fatalf("while the first one is under way: %+v", r)
		}
	}
	close(g.opened)
	var r queries.Reconciliation
	w.Until("the second comparison", func() bool {
		r = w.reconciliation(false)
		return r.Number >= 2
	})
	if r = w.reconcile(); r.Number != 3 || g.asked.Load() != 3 {
		t.Errorf("the list was read %d times for %+v", g.asked.Load(), r)
	}
}

// A comparison whose instance has gone is made by another one.
func TestAComparisonIsTakenOver(t *testing.T) {
	w := newUnreadWorld(t)
	g := w.gated()
	env, crash := w.mortal()
	victim := w.service(env, payment.Config{Settle: time.Millisecond, PSP: service.PartnerConfig{Timeout: servicetest.Patience}, Lease: time.Second})
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { ended <- victim.Run(ctx) }()
	w.Until("the comparison is under way", func() bool { return g.asked.Load() == 1 })
	crash()
	w.start(payment.Config{Settle: time.Millisecond, PSP: service.PartnerConfig{Timeout: servicetest.Patience}, Lease: time.Second})
	w.Until("another instance compares", func() bool { return g.asked.Load() >= 2 })
	close(g.opened)
	cancel()
	<-ended
	w.Until("its comparison", func() bool {
		answer, err := w.NC.Request(queries.PaymentReconciliation.Subject, nil, servicetest.Patience)
		return err == nil && string(answer.Data[:11]) == `{"number":1`
	})
}

// A renewal of the turn of which only the answer was lost is not the turn's end.
func TestARenewalWhoseAnswerIsLostKeepsTheTurn(t *testing.T) {
	w := newUnreadWorld(t)
	g := w.gated()
	faults := w.Server.Faults()
	renewed := make(chan struct{})
	faults.BeforeAppend(func() {}) // takes the turn
	faults.BeforeAppend(func() { faults.LoseAcks(1) })
	faults.BeforeAppend(func() {})                 // asks again
	faults.BeforeAppend(func() { close(renewed) }) // the next renewal, as the turn goes on; or the turn's end
	env := w.Env("payment")
	env.Dial = faults.Dial()
	w.Run(w.service(env, payment.Config{Settle: time.Millisecond, Lease: 9 * time.Second, PSP: service.PartnerConfig{Timeout: servicetest.Patience}}).Run)
	select {
	case <-renewed:
	case <-time.After(servicetest.Patience):
		t.Fatal("nothing comes after the renewal")
	}
	close(g.opened)
	var r queries.Reconciliation
	w.Until("the comparison", func() bool {
		r = w.reconciliation(false)
		return r.Number > 0
	})
	if asked := g.asked.Load(); r.Number != 1 || r.Error != "" || asked != 1 {
		t.Errorf("the list was read %d times for %+v", asked, r)
	}
}

// A comparison that was stored, and of which only the answer was lost, is told as any other.
func TestAComparisonWhoseAnswerIsLostIsTold(t *testing.T) {
	w := newUnreadWorld(t)
	w.behind("stranger", "authorise", "k", `{"amount":{"amount":"1.00","currency":"EUR"},"method_ref":"card-ok"}`)
	faults := w.Server.Faults()
	faults.BeforeAppend(func() {}) // takes the turn
	faults.BeforeAppend(func() { faults.LoseAcks(1) })
	env := w.Env("payment")
	env.Dial = faults.Dial()
	said := make(chan string, 100)
	env.Log = env.Log.Hook(zerolog.HookFunc(func(_ *zerolog.Event, _ zerolog.Level, message string) { said <- message }))
	w.Run(w.service(env, payment.Config{Settle: time.Millisecond, Lease: 3 * servicetest.Patience, PSP: service.PartnerConfig{Timeout: servicetest.Patience}}).Run)
	for deadline := time.After(servicetest.Patience); ; {
		select {
		case message := <-said:
			if message == "what the comparison with the payment provider found is not stored" {
				t.Error("it was stored: " + message)
			}
			if message != "a payment differs from the payment provider's list" {
				continue
			}
		case <-deadline:
			t.Fatal("nobody was told what it found")
		}
		break
	}
	if r := w.reconciliation(false); r.Number != 1 || r.Counts["unknown_here"] != 1 {
		t.Errorf("it found %+v", r)
	}
	if n := faults.Armed(); n != 0 {
		t.Errorf("%d faults did not come", n)
	}
}
