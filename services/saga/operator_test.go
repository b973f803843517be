package saga_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/saga"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
)

// decided is what an operator is answered.
type decided struct {
	service.Problem
	Version  uint64    `json:"version"`
	Revision string    `json:"revision"`
	EventIDs []string  `json:"event_ids"`
	View     saga.View `json:"state"`
}

// decide sends an operator's command, with headers that are each a name and a value.
func (h *house) decide(subject, body string, header ...string) (d decided) {
	h.T.Helper()
	m := nats.NewMsg(subject)
	m.Data = []byte(body)
	for i := 0; i < len(header); i += 2 {
		m.Header.Set(header[i], header[i+1])
	}
	answer, err := h.NC.RequestMsg(m, servicetest.Patience)
	h.Check(err)
	h.Check(json.Unmarshal(answer.Data, &d))
	return d
}

// runReady starts a saga service and waits until it answers.
func (h *house) runReady(cfg saga.Config) {
	h.T.Helper()
	env := h.Env("saga")
	h.Run(saga.New(env, cfg).Run)
	h.Ready(env)
}

// hasty is a policy that soon asks for people.
func hasty() fulfilment.Policy {
	p := fulfilment.DefaultPolicy()
	soon := fulfilment.Patience{First: 10 * time.Millisecond, Max: 10 * time.Millisecond, Attempts: 2}
	p.Version, p.Capture, p.CaptureCheck = 2, soon, soon
	return p
}

// deaf participants do not hear of captures until they are told to.
func deaf(hears *atomic.Bool) answer {
	silent := unless(silence("CaptureRequested"), silence("CaptureCheckRequested"))
	return unless(func(key string, e events.Event) (esjs.StreamID, events.Event) {
		check, ok := e.(events.CaptureCheckRequested)
		switch {
		case !hears.Load():
			return silent(key, e)
		case ok:
			return esjs.StreamID{Category: events.CategoryPayment, Key: check.PaymentID},
				events.PaymentNotFound{OrderID: key, RequestID: check.RequestID, Op: events.OperationCapture}
		}
		return esjs.StreamID{}, nil
	}, willing())
}

// Two orders ask for people when payment stays silent: one is retried when payment
// hears again, and completes, the other is undone. Who decided and why is kept.
func TestOperatorsDecide(t *testing.T) {
	h := newHouse(t)
	var hears atomic.Bool
	h.participants(deaf(&hears))
	h.runReady(saga.Config{Policies: []fulfilment.Policy{hasty()}})
	for _, order := range []string{"o 1.ü", "o-2"} {
		h.submit(order)
		h.follow(order, "AttentionRequired")
	}
	retry := "cmd.saga.o=201=2E=C3=BC.retry"

	// What is refused changes nothing.
	before := len(h.History(events.CategoryFulfilment, "o 1.ü"))
	const why = `{"reason":"payment is well again"}`
	for _, c := range []struct {
		subject, body string
		header        []string
		status        int
		code, says    string
	}{
		{retry, `{}`, nil, 422, "field_required", `the field "reason" is missing`},
		{retry, `{"reason":" "}`, nil, 422, "reason_required", "must say something"},
		{retry, `{"reason":"` + strings.Repeat("x", 501) + `"}`, nil, 422, "field_too_long", "at most 500"},
		{retry, why, nil, 422, "actor_required", "the header Actor"},
		{retry, `{"reason":"x","force":true}`, nil, 400, "bad_request", `"force" is not known`},
		{retry, why, []string{"Actor", "alice", "Expected-Version", "3"}, 409, "conflict", "not 3"},
		{"cmd.saga.o-2.resolve", why, []string{"Actor", "alice"}, 422, "field_required", `the field "evidence" is missing`},
		{"cmd.saga.o-2.resolve", `{"reason":"x","evidence":""}`, []string{"Actor", "alice"}, 422, "evidence_required", "must say something"},
		{"cmd.saga.o-2.resolve", `{"reason":"x","evidence":"y"}`, []string{"Actor", "alice"}, 409, "wrong_state", "an operator may retry or compensate there"},
		{"cmd.saga.o-2.release", why, []string{"Actor", "alice"}, 409, "wrong_state", "release is not possible"},
		{"cmd.saga.o-9.retry", why, []string{"Actor", "alice"}, 404, "saga_not_found", "order o-9 has no fulfilment"},
		{"cmd.saga.o-2.retry", `{"reason":"x","refund_id":"r-1"}`, []string{"Actor", "alice"}, 404, "refund_not_found", "order o-2 has no such refund"},
		{"cmd.saga.o-2.rewind", why, []string{"Actor", "alice"}, 404, "unknown_verb", "compensate, release, resolve, retry"},
	} {
		if d := h.decide(c.subject, c.body, c.header...); d.Status != c.status || d.Code != c.code || !strings.Contains(d.Detail, c.says) {
			t.Errorf("%s %.40s %v is answered %+v, want %d %s …%s…", c.subject, c.body, c.header, d.Problem, c.status, c.code, c.says)
		}
	}
	if after := len(h.History(events.CategoryFulfilment, "o 1.ü")); after != before {
		t.Fatalf("refused commands appended %d events", after-before)
	}

	hears.Store(true)
	first := h.decide(retry, why, "Actor", "alice", "Command-Id", "c-1")
	if first.Code != "" || len(first.EventIDs) != 3 || first.Version != uint64(before+3) || first.Revision == "" ||
		first.View.State != "CAPTURE_UNKNOWN" || first.View.OrderID != "o 1.ü" || first.View.Attention != "" || first.View.Due.IsZero() {
		t.Errorf("the retry is answered %+v", first)
	}
	h.follow("o 1.ü", "FulfilmentCompleted")
	if again := h.decide(retry, why, "Actor", "alice", "Command-Id", "c-1"); again.Code != "" || again.Version != first.Version || again.Revision != first.Revision {
		t.Errorf("the same command again is answered %+v", again)
	}
	if other := h.decide(retry, `{"reason":"another"}`, "Actor", "alice", "Command-Id", "c-1"); other.Code != "command_id_reused" {
		t.Errorf("another command of the same id is answered %+v", other.Problem)
	}

	if d := h.decide("cmd.saga.o-2.compensate", `{"reason":"the customer waited for too long"}`, "Actor", "bob"); d.View.State != "COMP_SHIPMENT" {
		t.Errorf("the compensation is answered %+v", d)
	}
	h.follow("o-2", "FulfilmentCompensated")
	for order, want := range map[string]events.OperatorIntervened{
		"o 1.ü": {OrderID: "o 1.ü", Action: "retry", By: "alice", Reason: "payment is well again"},
		"o-2":   {OrderID: "o-2", Action: "compensate", By: "bob", Reason: "the customer waited for too long"},
	} {
		var kept []events.OperatorIntervened
		for _, e := range h.History(events.CategoryFulfilment, order) {
			if did, ok := e.Event.(events.OperatorIntervened); ok {
				kept = append(kept, did)
				if e.Metadata.Actor != want.By || e.Metadata.CorrelationID != order {
					t.Errorf("%s: stored with %+v", order, e.Metadata)
				}
			}
		}
		if len(kept) != 1 || kept[0] != want {
			t.Errorf("%s: kept is %+v", order, kept)
		}
	}
}

// A refund that the provider refuses is resolved by evidence.
func TestOperatorsResolveRefunds(t *testing.T) {
	h := newHouse(t)
	h.participants(willing())
	h.runReady(saga.Config{})
	h.says("o-1", events.OrderRefundRequested{RefundID: "r-1", PaymentID: "p-1", Amount: eur("10.00"), Reason: "broken"})
	refunds := h.Follow(esjs.Query{Streams: []esjs.StreamID{{Category: events.CategoryRefund, Key: "r-1"}}})
	until := func(eventType string) events.Event {
		return refunds.Find(eventType, func(e esjs.Recorded[events.Event]) bool { return e.Type == eventType }).Event
	}
	asked := servicetest.As[events.RefundRequested](t, until("RefundRequested"))
	h.Check(h.append(t.Context(), esjs.StreamID{Category: events.CategoryPayment, Key: "p-1"}, "o-1",
		events.PaymentRefundFailed{OrderID: "o-1", RequestID: asked.RequestID, RefundID: "r-1", Code: "account_closed"}))
	until("AttentionRequired")

	resolve := `{"reason":"paid by hand","evidence":"transfer 4711","refund_id":"r-1"}`
	if d := h.decide("cmd.saga.o-2.resolve", resolve, "Actor", "alice"); d.Code != "refund_not_found" {
		t.Errorf("a refund of another order: %+v", d)
	}
	if d := h.decide("cmd.saga.o-1.resolve", resolve, "Actor", "alice"); d.View.State != "SETTLED" || d.View.RefundID != "r-1" {
		t.Errorf("the resolve is answered %+v", d)
	}
	if paid := servicetest.As[events.RefundPaid](t, until("RefundPaid")); paid.By != "alice" || paid.Amount != eur("10.00") {
		t.Errorf("the order is told %+v", paid)
	}
}
