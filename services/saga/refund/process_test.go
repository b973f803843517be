package refund

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
)

// Every pair of a state that a scenario passes through and an input: the money is
// asked for once at most, under one key; what a row appends leads where the row
// says; a settled refund stays as it is.
func TestEveryPair(t *testing.T) {
	known := 0
	for _, p := range scenarios(t) {
		m := machine(t, p.With)
		for n := range len(p.History) + 1 {
			var s State
			for _, e := range p.History[:n] {
				s = Apply(s, e)
			}
			for name, in := range everyInput(t, s) {
				in.Time = p.Input.Time
				row, caused, err := m.React(s, in)
				if err != nil {
					t.Fatal(err)
				}
				if row == nil {
					if len(caused) != 0 {
						t.Errorf("%s + %s: no row, but events: %v", s.Status, name, caused)
					}
					if in.Event != nil && slices.Contains(inputs(Table()), inputName(in)) {
						t.Errorf("%s + %s: no row says why nothing follows", normal(s).Status, name)
					}
					continue
				}
				known++
				after := s
				for _, e := range caused {
					after = Apply(after, e)
					if asked, ok := e.(events.RefundRequested); ok && s.Status != "" &&
						(asked.Key != "p-1:refund:r-1" || asked.Amount != s.Amount || asked.PaymentID != s.PaymentID) {
						t.Errorf("%s + %s: asks for something else: %+v", s.Status, name, asked)
					}
				}
				if resolved := s.PaidBy != "" && s.Status != Refunding; resolved && name == "refunded" && !after.RefundedTwice {
					t.Errorf("%s + %s: the money went back twice, and nobody sees it: %v", s.Status, name, caused)
				} else if !resolved && after.RefundedTwice {
					t.Errorf("%s + %s: the money went back once, and is said to have gone twice: %v", s.Status, name, caused)
				}
				if after.RefundedTwice && after.Status == Settled && s.Status != Settled && after.Attention != attentionTwice {
					t.Errorf("%s + %s: settles what went back twice without asking people", s.Status, name)
				}
				want := row.Next
				if want == "" {
					want = normal(s).Status
				}
				if normal(after).Status != want {
					t.Errorf("%s + %s: row %s leads to %s, its events to %s", s.Status, name, row.ID, want, after.Status)
				}
				if o, ok := in.Command.(fulfilment.Operator); ok {
					wantDecision(t, m, s, name, o, in)
				}
				if s.Status == Settled && len(caused) > 0 && in.Command == nil && row.ID != "R9b" {
					t.Errorf("%s: a settled refund appends %v", name, caused)
				}
			}
		}
	}
	if known < len(Table()) {
		t.Errorf("only %d of all pairs were known to a row", known)
	}
}

// wantDecision checks what an operator's command causes: a decision that says who
// and why, after which something is due; or a refusal in words.
func wantDecision(t *testing.T, m *Machine, s State, name string, o fulfilment.Operator, in esjs.Input[events.Event]) {
	t.Helper()
	caused, err := m.react(s, in)
	var refusal *esjs.Rejection
	if err != nil {
		if !errors.As(err, &refusal) || len(caused) > 0 || !slices.Contains([]string{"wrong_state", "refund_not_found"}, refusal.Code) {
			t.Errorf("%s + %s: refused with %v, %v", s.Status, name, err, caused)
		}
		return
	}
	did, ok := caused[0].(events.OperatorIntervened)
	if !ok || did.By != "alice" || did.Reason != o.Reason || did.Action != string(o.Action) || o.OrderID != orderID {
		t.Errorf("%s + %s: kept as %+v", s.Status, name, caused[0])
	}
	after := s
	for _, e := range caused {
		after = Apply(after, e)
	}
	if o.Action != fulfilment.Release && (s.Attention == "" || after.Attention != "" && after.Attention != attentionTwice || after.Status != Settled && len(Timers(after)) == 0) {
		t.Errorf("%s + %s: leads to %+v", s.Status, name, after)
	}
}

// everyInput returns every word, the zero value of every event type, and timers.
func everyInput(t *testing.T, s State) map[string]esjs.Input[events.Event] {
	t.Helper()
	in := map[string]esjs.Input[events.Event]{
		"step":    {Timer: &esjs.Fired{Name: "step"}},
		"unknown": {Timer: &esjs.Fired{Name: "unknown"}},
		"command": {Command: "rewind"},
	}
	for name, command := range commands() {
		in[name] = esjs.Input[events.Event]{Command: command}
		if o, ok := command.(fulfilment.Operator); ok {
			o.SetAside = true
			in[name+", set aside"] = esjs.Input[events.Event]{Command: o}
			o.SetAside, o.OrderID = false, "another"
			in[name+" of another order"] = esjs.Input[events.Event]{Command: o}
		}
	}
	for word, of := range words() {
		id, e := of(s)
		in[word] = esjs.Input[events.Event]{Event: &esjs.Recorded[events.Event]{Record: esjs.Record{Stream: id}, Event: e}}
	}
	for _, typ := range events.Types {
		e, err := typ.Decode([]byte("{}"), func(data []byte, v any) error { return json.Unmarshal(data, v) })
		if err != nil {
			t.Fatal(err)
		}
		in["zero "+typ.Name] = esjs.Input[events.Event]{Event: &esjs.Recorded[events.Event]{Event: e}}
	}
	return in
}

// Every input of the table finds its refund, and the same answers to fulfilment find none.
func TestEveryInputHasItsRefund(t *testing.T) {
	missing := map[string]bool{}
	for _, input := range inputs(Table()) {
		missing[input] = true
	}
	for word, of := range words() {
		id, e := of(State{RefundID: refundID})
		if got := key(esjs.Recorded[events.Event]{Record: esjs.Record{Stream: id}, Event: e}); got != refundID {
			t.Errorf("%s belongs to %q", word, got)
		}
		delete(missing, e.EventType())
	}
	if len(missing) > 0 {
		t.Errorf("inputs without a word: %v", missing)
	}
	for _, e := range []events.Event{
		events.PaymentRefunded{RequestID: "o-1/refund/1", RefundID: "f-1"}, events.PaymentRefundFailed{RequestID: "o-1/refund/1", RefundID: "f-1"},
		events.PaymentVoided{RequestID: "o-1/void/1"}, events.PaymentVoided{}, events.PaymentVoidFailed{RequestID: "o-1/void/1"},
		events.PaymentOutcomeUnknown{RequestID: "o-1/capture/1"}, events.LateEffectDetected{OrderID: "o-1"},
	} {
		if got := key(esjs.Recorded[events.Event]{Event: e}); got != "" {
			t.Errorf("%+v belongs to %q", e, got)
		}
	}
}

// What another payment tells is no answer to a refund, whatever the request's id: an order may be called
// "refund/<id of another order's refund>".
func TestAnotherPaymentAnswersNothing(t *testing.T) {
	for _, p := range scenarios(t) {
		m := machine(t, p.With)
		var s State
		for _, e := range p.History {
			s = Apply(s, e)
			for word, of := range words() {
				id, told := of(s)
				if id.Category != events.CategoryPayment || s.PaymentID == "" {
					continue
				}
				id.Key = "p-2"
				row, caused, err := m.React(s, esjs.Input[events.Event]{Event: &esjs.Recorded[events.Event]{Record: esjs.Record{Stream: id}, Event: told}})
				if row != nil || len(caused) > 0 || err != nil {
					t.Errorf("%s + %s of another payment: %v, %v", s.Status, word, caused, err)
				}
			}
		}
	}
}

// A refund keeps the policy that it was opened under, and its version must be configured.
func TestPolicies(t *testing.T) {
	m := machine(t, "")
	_, _, err := m.React(State{Status: Refunding, RefundID: refundID, PolicyVersion: 7}, esjs.Input[events.Event]{Timer: &esjs.Fired{Name: "step"}})
	if !errors.Is(err, esjs.ErrConfig) {
		t.Errorf("an unknown policy version: %v", err)
	}
	opened := State{Status: Refunding, RefundID: refundID, PolicyVersion: 1, PolicyDigest: "of other numbers"}
	_, _, err = m.React(opened, esjs.Input[events.Event]{Timer: &esjs.Fired{Name: "step"}})
	if !errors.Is(err, esjs.ErrConfig) || !strings.Contains(err.Error(), "has other numbers") {
		t.Errorf("a version whose numbers were changed: %v", err)
	}
	if _, err := NewMachine(fulfilment.DefaultPolicy(), fulfilment.DefaultPolicy()); !errors.Is(err, esjs.ErrConfig) {
		t.Errorf("two policies of one version: %v", err)
	}
}

// What esjs demands of every process, in all states that scenarios lead to.
func TestRefundIsAProcess(t *testing.T) {
	samples := esjstest.ProcessSamples[events.Event, events.Event]{
		Own: esjstest.ReadSamples(t, codec(t), "../../../pkg/events/testdata/*.json"),
	}
	for _, p := range scenarios(t) {
		if p.With == "" {
			samples.Histories = append(samples.Histories, p.History)
		}
	}
	told := words()
	for _, word := range slices.Sorted(maps.Keys(told)) {
		id, e := told[word](State{RefundID: refundID, Amount: euros("10.00")})
		samples.Inputs = append(samples.Inputs, esjstest.InputSample[events.Event]{Stream: id, Event: e})
	}
	for _, command := range commands() {
		samples.Commands = append(samples.Commands, command)
	}
	esjstest.CheckProcess(t, Process(machine(t, ""), codec(t), ""), samples)
}
