package payment

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/partners"
)

// provider runs the real PSP program in this process.
func provider(t testing.TB) (*partners.Server, psp) {
	t.Helper()
	server, err := partners.New(partners.Config{Hang: 200 * time.Millisecond, Slow: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(server)
	t.Cleanup(func() {
		h.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server, psp{partner: service.NewPartner(service.PartnerConfig{URL: h.URL + "/psp/v1", Timeout: 50 * time.Millisecond})}
}

// life is one payment, handled as the service handles it, without a store.
type life struct {
	t      *rapid.T
	id     string
	server *partners.Server
	psp    psp
	state  State
	n      int      // of requests
	asks   []Ask    // every request so far
	news   [][]byte // every webhook so far
}

func (l *life) decide(c Command) {
	decided, err := Decide(l.state, c)
	if err != nil {
		l.t.Fatalf("%+v: %v", c, err)
	}
	for _, e := range decided {
		l.state = Apply(l.state, e)
		l.check(e)
	}
	if again, _ := Decide(l.state, c); len(again) > 0 {
		l.t.Fatalf("%+v decided twice brought %+v", c, again)
	}
}

// check asserts what holds after every event (proof P2).
func (l *life) check(after events.Event) {
	s := l.state
	if c, err := s.Captured.Cmp(s.Authorized); err != nil || c > 0 {
		l.t.Fatalf("after %+v captured %s of authorised %s", after, s.Captured, s.Authorized)
	}
	if c, err := s.Refunded.Cmp(s.Captured); err != nil || c > 0 {
		l.t.Fatalf("after %+v refunded %s of captured %s", after, s.Refunded, s.Captured)
	}
	if s.Released && s.Status == StatusAuthorized {
		l.t.Fatalf("after %+v a voided payment is authorised", after)
	}
	if lie := l.lie(after); lie != "" {
		l.t.Fatalf("%T is not true: %s", after, lie)
	}
	for _, a := range s.Open {
		if s.isAnswered(a.RequestID) {
			l.t.Fatalf("after %+v the request %s is open and answered", after, a.RequestID)
		}
	}
}

// lie compares what an event claims with the PSP's ledger; "" when it is true.
// What nobody knows must be told as unknown and never as failed.
func (l *life) lie(e events.Event) string {
	account, _ := l.server.Payment(l.id)
	switch e := e.(type) {
	case events.PaymentDeclined, events.PaymentNotFound:
		if account.Status == "authorised" || account.Captures > 0 {
			return "the PSP holds " + account.Authorised.Amount
		}
	case events.PaymentVoided:
		if account.Status == "authorised" || account.Captures > 0 {
			return "the PSP holds " + account.Authorised.Amount
		}
	case events.PaymentCaptureFailed:
		if account.Captures > 0 {
			return "the PSP captured " + account.Captured.Amount
		}
	case events.PaymentVoidFailed:
		if account.Voids > 0 {
			return "the PSP voided"
		}
	case events.PaymentRefundFailed:
		for _, r := range account.Refunds {
			if r.RefundID == e.RefundID {
				return "the PSP refunded " + r.Amount.Amount
			}
		}
	}
	return ""
}

// crash is where the program dies while it handles a request.
type crash int

const (
	never crash = iota
	beforeTheCall
	afterTheCall
)

// handle is [Service.handle]; a repeated request is one that was delivered again.
func (l *life) handle(a Ask, repeated bool, dies crash) {
	l.decide(a)
	call, needed := a.Call(l.state)
	if !needed || dies == beforeTheCall {
		return
	}
	call.Look = call.Look || repeated
	answer, err := l.psp.ask(context.Background(), call)
	if err != nil {
		l.t.Fatal(err)
	}
	l.overhear()
	if dies == afterTheCall {
		return
	}
	l.decide(Tell{Ask: a, Answer: answer})
	if !l.state.isAnswered(a.RequestID) {
		l.t.Fatalf("%+v has no answer after %+v", a, answer)
	}
}

// overhear keeps the PSP's present account as a webhook that may come later.
func (l *life) overhear() {
	account, known := l.server.Payment(l.id)
	if !known {
		return
	}
	hook := partners.Webhook{ID: fmt.Sprint("evt-", len(l.news)), Type: "payment.changed", Payment: &account}
	body, err := json.Marshal(hook)
	if err != nil {
		l.t.Fatal(err)
	}
	l.news = append(l.news, body)
}

func (l *life) request(op events.PaymentOperation, check bool, amount events.Money, refundID string) Ask {
	l.n++
	a := Ask{
		PaymentID: l.id, OrderID: "o", RequestID: fmt.Sprint("req-", l.n), Op: op, Check: check,
		Amount: amount, MethodRef: "card-ok", RefundID: refundID,
	}
	l.asks = append(l.asks, a)
	return a
}

// Whatever is asked for in whatever order, whatever fails at the PSP and
// wherever the program dies: no money moves twice, never more is captured than
// authorised or refunded than captured, and in the end our books are the PSP's.
func TestMoneyNeverMovesTwice(t *testing.T) {
	server, client := provider(t)
	payments := 0
	rapid.Check(t, func(t *rapid.T) {
		payments++
		l := &life{t: t, id: fmt.Sprint("p-", payments), server: server, psp: client}
		total := rapid.Int64Range(1, 10_000).Draw(t, "total")
		refunds := map[string]events.Money{}
		for i := range rapid.IntRange(1, 3).Draw(t, "refunds") {
			refunds[fmt.Sprint("r", i)] = minor(t, rapid.Int64Range(1, total).Draw(t, "refund"))
		}
		t.Repeat(map[string]func(*rapid.T){
			"ask": func(t *rapid.T) {
				l.fault(t)
				l.handle(l.draw(t, total, refunds), false, rapid.SampledFrom([]crash{never, never, beforeTheCall, afterTheCall}).Draw(t, "crash"))
			},
			"deliver again": func(t *rapid.T) {
				if len(l.asks) == 0 {
					t.Skip("nothing was asked")
				}
				l.fault(t)
				// Only the last request can be delivered again: a key is handled in order.
				l.handle(l.asks[len(l.asks)-1], true, never)
			},
			"webhook": func(t *rapid.T) {
				if len(l.news) == 0 || l.state.OrderID == "" {
					t.Skip("no news")
				}
				news, err := readNotice(l.news[rapid.IntRange(0, len(l.news)-1).Draw(t, "news")])
				if err != nil {
					t.Fatal(err)
				}
				l.decide(news)
			},
			"": func(t *rapid.T) { l.compare(t, total) },
		})
		l.settle(t)
	})
}

func minor(t *rapid.T, n int64) events.Money {
	m, err := events.NewMoney(n, "EUR")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// draw makes the next request. Fulfilment finishes one before it makes another
// one of the same order, so what was delivered and not handled comes first.
func (l *life) draw(t *rapid.T, total int64, refunds map[string]events.Money) Ask {
	if len(l.asks) > 0 {
		if last := l.asks[len(l.asks)-1]; !l.state.isAnswered(last.RequestID) {
			return last
		}
	}
	switch op := rapid.SampledFrom([]events.PaymentOperation{
		events.OperationAuthorize, events.OperationAuthorize, events.OperationCapture, events.OperationCapture,
		events.OperationRefund, events.OperationVoid,
	}).Draw(t, "operation"); op {
	case events.OperationRefund:
		id := rapid.SampledFrom([]string{"r0", "r1", "r2"}).Draw(t, "refund")
		amount, ok := refunds[id]
		if !ok {
			id, amount = "r0", refunds["r0"]
		}
		return l.request(op, false, amount, id)
	default:
		return l.request(op, rapid.Bool().Draw(t, "check"), minor(t, total), "")
	}
}

// fault lets the PSP fail at what comes next, or not.
func (l *life) fault(t *rapid.T) {
	kinds := []string{
		"", "", partners.KindReset, partners.KindError, partners.KindUnavailable, partners.KindBusy, partners.KindThrottled,
	}
	for _, op := range []string{"status", "authorise", "capture", "void", "refund"} {
		kinds := kinds
		if op == "void" || op == "refund" {
			kinds = append(slices.Clone(kinds), partners.KindDecline)
		}
		kind := rapid.SampledFrom(kinds).Draw(t, op)
		if kind == "" {
			continue
		}
		if err := l.server.Inject(partners.Fault{Partner: "psp", Op: op, Reference: l.id, Kind: kind, Next: 1}); err != nil {
			t.Fatal(err)
		}
	}
}

// compare asserts that the PSP did everything at most once (proof P6), and that
// a stored state is the state.
func (l *life) compare(t *rapid.T, total int64) {
	account, _ := l.server.Payment(l.id)
	if account.Authorisations > 1 || account.Captures > 1 || account.Voids > 1 {
		t.Fatalf("the PSP did it twice: %+v", account)
	}
	if account.Captures == 1 && account.Captured.Amount != minor(t, total).Amount() {
		t.Fatalf("the PSP captured %s of %d", account.Captured.Amount, total)
	}
	stored, err := json.Marshal(l.state, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	var read State
	if err := json.Unmarshal(stored, &read); err != nil {
		t.Fatal(err)
	}
	if again, err := json.Marshal(read, json.Deterministic(true)); err != nil || string(again) != string(stored) {
		t.Fatalf("a snapshot changes the state: %s became %s (%v)", stored, again, err)
	}
}

// settle lets the PSP tell the present state, and compares the books.
func (l *life) settle(t *rapid.T) {
	account, known := l.server.Payment(l.id)
	if !known {
		return
	}
	l.overhear()
	news, err := readNotice(l.news[len(l.news)-1])
	if err != nil {
		t.Fatal(err)
	}
	l.decide(news)
	if ours, theirs := l.state.Captured.Amount(), read(account.Captured); ours != theirs {
		t.Fatalf("we say captured %s, the PSP %s", ours, theirs)
	}
	if ours, theirs := l.state.Refunded.Amount(), read(account.Refunded); ours != theirs {
		t.Fatalf("we say refunded %s, the PSP %s", ours, theirs)
	}
	if held := account.Status == "authorised"; held != (l.state.Status == StatusAuthorized) {
		t.Fatalf("the PSP says %s, we say %s", account.Status, l.state.Status)
	}
}

// read is the amount of the PSP's money; none is zero.
func read(m partners.Money) string {
	if m.Amount == "" {
		return "0"
	}
	return m.Amount
}
