package fulfilment

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"pgregory.net/rapid"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/events"
)

// situations returns a state for every status, with and without attention: all
// that any scenario passes through.
func situations(t *testing.T) map[string]*tale {
	t.Helper()
	out := map[string]*tale{}
	for _, p := range scenarios(t) {
		for n := range len(p.History) + 1 {
			ta := &tale{machine: p.machine, state: fold(State{}, p.History[:n]), now: p.Input.Time}
			name := fmt.Sprintf("%s %s %t", normal(ta.state).Status, ta.state.Attention, ta.state.Quarantined != "")
			if out[name] == nil {
				out[name] = ta
			}
		}
	}
	for _, status := range Statuses() {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(out)), func(name string) bool { return strings.HasPrefix(name, string(status)+" ") }) {
			t.Errorf("no scenario passes through %s", status)
		}
	}
	return out
}

// inputsFor returns every input that could ever arrive: each word of the
// vocabulary, the zero value of each event type there is, each timer, and all that
// operators may do, to every step.
func inputsFor(t *testing.T, ta *tale) []Input {
	t.Helper()
	at := ta.now.Add(1)
	var out []Input
	for word, of := range words(t) {
		e := of(ta.state)
		out = append(out,
			Input{Event: e, EventID: word, Stream: streamOf(ta.state, e), At: at},
			Input{Event: e, EventID: "given-up " + word, Stream: givenUpStreamOf(ta.state, e), At: at},
			Input{Event: e, EventID: "stranger " + word, Stream: esjs.StreamID{Category: streamOf(ta.state, e).Category, Key: "stranger"}, At: at})
	}
	for _, typ := range events.Types {
		e, err := typ.Decode([]byte("{}"), func(data []byte, v any) error { return json.Unmarshal(data, v) })
		if err != nil {
			t.Fatal(err)
		}
		out = append(out,
			Input{Event: e, EventID: "zero", Stream: streamOf(ta.state, e), At: at},
			Input{Event: e, EventID: "zero of another", Stream: esjs.StreamID{Category: events.CategoryPayment, Key: "another"}, At: at})
	}
	for _, command := range everyCommand() {
		in := translated(esjs.Input[events.Event]{Command: command, Time: at})
		out = append(out, in)
	}
	for _, timer := range []string{"step", "sla", "authexp", "warning", "unknown", ""} {
		out = append(out, Input{Timer: timer, At: at})
	}
	return out
}

// everyCommand returns each action, for each step and for none, also of a
// fulfilment whose inputs wait.
func everyCommand() []any {
	out := []any{commands()["input-fails"]}
	for _, action := range Actions() {
		for _, step := range []events.Step{"", events.StepDispatch, events.StepCommit, events.StepUndoShipment, events.StepUndoPayment, events.StepUndoStock, "unknown"} {
			for _, waits := range []bool{false, true} {
				o := commands()[string(action)].(Operator)
				o.Step, o.SetAside = step, waits
				out = append(out, o)
			}
		}
	}
	return out
}

// What an operator may not do is refused with a sentence that says where the
// fulfilment is; what is done says by whom and why, and leaves nothing unseen: what
// has to be answered has a deadline, or people are still asked.
func TestOperatorsInEveryState(t *testing.T) {
	for name, ta := range situations(t) {
		for _, command := range everyCommand() {
			o, ok := command.(Operator)
			if !ok {
				continue
			}
			out, err := ta.machine.handle(newOrphans(), ta.state, esjs.Input[events.Event]{Command: o, Time: ta.now.Add(1)})
			if err != nil {
				var refusal *esjs.Rejection
				if !errors.As(err, &refusal) || len(out) != 0 || !strings.Contains(refusal.Message, orderID) || strings.Contains(refusal.Message, "%!") ||
					!slices.Contains([]string{"saga_not_found", "wrong_state", "step_required", "step_not_open"}, refusal.Code) {
					t.Errorf("%s: %+v is refused with %v and %v", name, o, err, out)
				}
				continue
			}
			did, ok := out[0].(events.OperatorIntervened)
			if !ok || did.By != "alice" || did.Reason != o.Reason || did.Action != string(o.Action) || did.Evidence != o.Evidence || did.OrderID != orderID {
				t.Errorf("%s: %+v is kept as %+v", name, o, out[0])
			}
			after := fold(ta.state, out)
			if o.Action == Release {
				if after.Quarantined != "" || after.Attention != ta.state.Attention || len(out) != 2 {
					t.Errorf("%s: after the release it is %+v", name, after)
				}
				continue
			}
			if ta.state.Attention == "" || ta.state.Quarantined != "" {
				t.Errorf("%s: %s is done although nobody asked", name, o.Action)
			}
			if !after.Status.Terminal() && after.Attention == "" && !after.Step.At.After(ta.now) {
				t.Errorf("%s: after %s nothing is due any more: %+v", name, o.Action, after)
			}
		}
	}
}

// Every pair of state and input: no panic; a row, or no effect at all, and of news of money
// and goods always a row; what a row appends leads where the row says; the same again from the same state.
func TestEveryPair(t *testing.T) {
	known := 0
	for name, ta := range situations(t) {
		for _, in := range inputsFor(t, ta) {
			pair := fmt.Sprintf("%s + %s %T %+v", name, in.name(), in.Event, in.Operator)
			r, err := ta.machine.React(ta.state, in)
			if err != nil {
				t.Fatalf("%s: %v", pair, err)
			}
			again, _ := ta.machine.React(ta.state, in)
			if text(t, r.Events) != text(t, again.Events) {
				t.Errorf("%s: two reactions differ", pair)
			}
			if r.Row == nil {
				if len(r.Events) != 0 {
					t.Errorf("%s: no row, but events: %v", pair, r.Events)
				}
				if ta.machine.aboutMoneyOrGoods(in) {
					t.Errorf("%s: no row says why nothing follows", pair)
				}
				continue
			}
			known++
			if !slices.Contains(r.Row.States, normal(ta.state).Status) || !slices.ContainsFunc([]string{"", ofGivenUp, ofStranger}, func(whose string) bool { return slices.Contains(r.Row.Inputs, whose+in.name()) }) {
				t.Errorf("%s: row %s is for other pairs", pair, r.Row.ID)
			}
			after := fold(ta.state, r.Events)
			want := r.Row.Next
			if want == "" {
				want = normal(ta.state).Status
			}
			if normal(after).Status != want {
				t.Errorf("%s: row %s leads to %s, its events to %s", pair, r.Row.ID, want, after.Status)
			}
			if normal(ta.state).Status.Terminal() && after.Status != ta.state.Status {
				t.Errorf("%s: a terminal state was left", pair)
			}
		}
	}
	if known < len(Table()) {
		t.Errorf("only %d of all pairs were known to a row", known)
	}
}

// aboutMoneyOrGoods tells the news that are never dropped without a row.
func (m *Machine) aboutMoneyOrGoods(in Input) bool {
	if in.Event == nil || !slices.Contains(m.Inputs(), in.name()) {
		return false
	}
	category := streamOf(State{}, in.Event).Category
	return category == in.Stream.Category && category != events.CategoryOrder
}

// What a row may append follows from where it stands.
func TestTableKeepsItsPromises(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range Table() {
		if seen[row.ID] {
			t.Errorf("two rows are %s", row.ID)
		}
		seen[row.ID] = true
		if len(row.Facts) == 0 && row.Remark == "" {
			t.Errorf("%s: nothing follows, and nobody says why", row.ID)
		}
		for _, f := range row.Facts {
			for _, s := range row.States {
				if (s.Paid() || s.Terminal()) && f.Type == "CompensationStarted" {
					t.Errorf("%s: nothing is undone in %s, after the capture", row.ID, s)
				}
				if s.Terminal() && (f.Type == "FulfilmentCompleted" || f.Type == "FulfilmentCompensated") {
					t.Errorf("%s: %s has ended already", row.ID, s)
				}
			}
			if f.Type == "FulfilmentCompensated" && row.Guard.Name != everythingUndone.Name {
				t.Errorf("%s: ends the compensation without asking whether everything is undone", row.ID)
			}
		}
	}
	// Every row of the design is there.
	for n := range 47 {
		if n != 0 && !slices.ContainsFunc(Table(), func(r Row) bool { return is(r, "F", n) }) {
			t.Errorf("row F%d is missing", n)
		}
	}
	for kind, last := range map[string]int{"C": 13, "L": 3, "A": 4, "Q": 2} {
		for n := 1; n <= last; n++ {
			if !slices.ContainsFunc(append(Table(), lateAnswer()), func(r Row) bool { return is(r, kind, n) }) {
				t.Errorf("row %s%d is missing", kind, n)
			}
		}
	}
}

func is(r Row, kind string, n int) bool {
	number := strings.TrimRight(strings.TrimPrefix(r.ID, kind), "abcdefghij'")
	return strings.HasPrefix(r.ID, kind) && number == fmt.Sprint(n)
}

// What esjs demands of every process, in all states that scenarios lead to.
func TestFulfilmentIsAProcess(t *testing.T) {
	samples := esjstest.ProcessSamples[events.Event, events.Event]{
		Own: esjstest.ReadSamples(t, codec(t), "../../../pkg/events/testdata/*.json"),
	}
	for _, p := range scenarios(t) {
		if p.With == "" {
			samples.Histories = append(samples.Histories, p.History)
		}
	}
	first := State{OrderID: orderID, PaymentID: identity(orderID, "payment", 1), ShipmentID: identity(orderID, "shipment", 1)}
	told := words(t)
	for _, word := range slices.Sorted(maps.Keys(told)) {
		e := told[word](first)
		samples.Inputs = append(samples.Inputs, esjstest.InputSample[events.Event]{Stream: streamOf(first, e), Event: e})
	}
	samples.Commands = everyCommand()
	esjstest.CheckProcess(t, Process(newTale(t).machine, codec(t), ""), samples)
}

func fold(s State, es []events.Event) State {
	for _, e := range es {
		s = Apply(s, e)
	}
	return s
}

func text(t rapid.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
