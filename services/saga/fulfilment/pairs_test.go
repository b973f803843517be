package fulfilment

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"pgregory.net/rapid"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// situations returns a state for every status, with and without attention: all
// that any scenario of rows.txt passes through.
func situations(t *testing.T) map[string]*tale {
	t.Helper()
	out := map[string]*tale{}
	keep := func(ta *tale) {
		name := fmt.Sprintf("%s %s", normal(ta.state).Status, ta.state.Attention)
		if out[name] == nil {
			copied := *ta
			out[name] = &copied
		}
	}
	_, all := readScenarios(t)
	for _, s := range all {
		ta := newTale(t, policyOf(t, s.policy))
		keep(ta)
		for _, word := range append(strings.Split(s.given, ", "), s.when) {
			if word != "nothing" {
				ta.happens(t, word)
				keep(ta)
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
// vocabulary, the zero value of each event type there is, each timer.
func inputsFor(t *testing.T, ta *tale) []Input {
	t.Helper()
	at := ta.now.Add(1)
	var out []Input
	for word, of := range words(t) {
		e := of(ta.state)
		out = append(out, Input{Event: e, EventID: word, Stream: streamOf(ta.state, e), At: at})
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
	for _, timer := range []string{"step", "sla", "authexp", "unknown", ""} {
		out = append(out, Input{Timer: timer, At: at})
	}
	return out
}

// Every pair of state and input: no panic; a row, or no effect at all; what a
// row appends leads where the row says; the same again from the same state.
func TestEveryPair(t *testing.T) {
	known := 0
	for name, ta := range situations(t) {
		for _, in := range inputsFor(t, ta) {
			pair := fmt.Sprintf("%s + %s %T", name, in.name(), in.Event)
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
				continue
			}
			known++
			if !slices.Contains(r.Row.States, normal(ta.state).Status) || !slices.Contains(r.Row.Inputs, in.name()) {
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

// What a row may append follows from where it stands.
func TestTableKeepsItsPromises(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range Table() {
		if seen[row.ID] {
			t.Errorf("two rows are %s", row.ID)
		}
		seen[row.ID] = true
		for _, f := range row.Facts {
			for _, s := range row.States {
				if s.Paid() && f.Type == "CompensationStarted" {
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
	for n := 1; n <= 13; n++ {
		if !slices.ContainsFunc(Table(), func(r Row) bool { return is(r, "C", n) }) {
			t.Errorf("row C%d is missing", n)
		}
	}
}

func is(r Row, kind string, n int) bool {
	number := strings.TrimRight(strings.TrimPrefix(r.ID, kind), "abcdefgh'")
	return strings.HasPrefix(r.ID, kind) && number == fmt.Sprint(n)
}

// A snapshot of a state is the state.
func TestStateSurvivesJSON(t *testing.T) {
	for name, ta := range situations(t) {
		data, err := json.Marshal(ta.state, json.Deterministic(true))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var back State
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := text(t, back); got != string(data) {
			t.Errorf("%s: %s came back as %s", name, data, got)
		}
	}
}

// Apply is total: it takes every event there is, at any time.
func TestApplyIsTotal(t *testing.T) {
	all := situations(t)
	for _, typ := range events.Types {
		e, err := typ.Decode([]byte("{}"), func(data []byte, v any) error { return json.Unmarshal(data, v) })
		if err != nil {
			t.Fatal(err)
		}
		for name, ta := range all {
			if after := Apply(ta.state, e); after.Version != ta.state.Version+1 {
				t.Errorf("%s + %s: version %d after %d", name, typ.Name, after.Version, ta.state.Version)
			}
		}
	}
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
