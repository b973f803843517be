package fulfilment

import (
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/events"
)

var _ = flag.Bool("rewrite", false, "write the scenarios in testdata and docs/saga.md as they are now")

// played is a scenario of a text file in testdata.
type played struct {
	esjstest.Played[State, events.Event, events.Event]
	machine *Machine
}

// scenarios plays the text files: the process does what they say.
func scenarios(t *testing.T) []played {
	t.Helper()
	machines := map[string]*Machine{}
	process := func(t testing.TB, policy string) esjs.Process[State, events.Event, events.Event] {
		machines[policy] = newTale(t, policyOf(t, policy)).machine
		return Process(machines[policy], codec(t), "")
	}
	script := esjstest.NewProcessScript(process(t, ""))
	script.With = process
	script.Start = submittedAt.Add(-time.Second)
	script.State = func(s State) string { return Place(string(normal(s).Status), s.Attention, s.Quarantined) }
	script.Commands = commands()
	script.Words = map[string]func(State) (esjs.StreamID, events.Event){}
	for word, of := range words(t) {
		script.Words[word] = func(s State) (esjs.StreamID, events.Event) { return streamOf(s, of(s)), of(s) }
		// Of the newest payment or shipment that another one took the place of, and of one that was never asked for.
		script.Words["given-up "+word] = func(s State) (esjs.StreamID, events.Event) { return givenUpStreamOf(s, of(s)), of(s) }
		script.Words["stranger "+word] = func(s State) (esjs.StreamID, events.Event) {
			return esjs.StreamID{Category: streamOf(s, of(s)).Category, Key: "stranger"}, of(s)
		}
	}
	var all []played
	for _, p := range script.Play(t, "testdata/*.txt") {
		all = append(all, played{p, machines[p.With]})
	}
	return all
}

// commands are what operators decide in scenarios.
func commands() map[string]any {
	of := func(action Action) Operator {
		return Operator{Action: action, OrderID: orderID, By: "alice", Reason: "the partner is well again"}
	}
	resolve := of(Resolve)
	resolve.Reason, resolve.Evidence = "seen with my own eyes", "mail of 3 March"
	return map[string]any{
		"retry": of(Retry), "resolve": resolve, "compensate": of(Compensate), "release": of(Release),
		"input-fails": SetAside{OrderID: orderID, Position: "0-17", Error: "the event cannot be decoded"},
	}
}

func codec(t testing.TB) *esjs.Codec[events.Event] {
	t.Helper()
	c, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// policyOf returns the policy that scenarios name.
func policyOf(t testing.TB, name string) Policy {
	t.Helper()
	p := DefaultPolicy()
	switch name {
	case "":
	case "no window":
		p.MethodWindow = 0
	case "two attempts":
		p.Book.Attempts, p.CaptureCheck.Attempts, p.Compensate.Attempts, p.Dispatch.Attempts = 2, 2, 2, 2
		p.Confirm.Attempts, p.AuthorizeCheck.Attempts = 2, 2
	default:
		t.Fatalf("unknown policy %q", name)
	}
	return p
}

// Every row of the table has a scenario that a reviewer can read, in which it is
// this row that applies, and leads where the row says.
func TestRows(t *testing.T) {
	told := map[string]bool{}
	for _, p := range scenarios(t) {
		row, _, _ := strings.Cut(p.Title, ":")
		told[row] = true
		r, err := p.machine.React(p.Before, translated(p.Input))
		if row == "refused" {
			if err != nil || r.Row != nil || len(p.Events) > 0 {
				t.Errorf("%s: it is not: %+v, %v", p.Title, r.Row, err)
			}
			continue
		}
		if err != nil || r.Row == nil || r.Row.ID != row && (r.Before == nil || r.Before.ID != row) {
			t.Errorf("%s: another row applies: %+v, %v", p.Title, r.Row, err)
			continue
		}
		want := r.Row.Next
		if want == "" {
			want = normal(p.Before).Status
		}
		if got := normal(p.After).Status; got != want {
			t.Errorf("%s: the events lead to %s, the row says %s", p.Title, got, want)
		}
	}
	delete(told, "refused")
	for _, row := range append(Table(), lateAnswer()) {
		if !told[row.ID] {
			t.Errorf("row %s has no scenario in testdata", row.ID)
		}
		delete(told, row.ID)
	}
	if len(told) > 0 {
		t.Errorf("there are scenarios of rows that the table does not have: %v", told)
	}
}
