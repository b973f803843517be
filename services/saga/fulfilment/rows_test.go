package fulfilment

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/b144f99b/orderflow/pkg/events"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/rows.txt and docs/saga.md as the table says")

const rowsFile = "testdata/rows.txt"

// scenario is one paragraph of rows.txt: row and words are written by people,
// the rest by the test.
type scenario struct {
	row, title  string
	policy      string
	given, when string
	text        string
}

func readScenarios(t *testing.T) (preface string, all []scenario) {
	t.Helper()
	data, err := os.ReadFile(rowsFile)
	if err != nil {
		t.Fatal(err)
	}
	for i, paragraph := range strings.Split(strings.TrimSpace(string(data)), "\n\n") {
		if i == 0 {
			preface = paragraph
			continue
		}
		s := scenario{text: paragraph}
		for n, line := range strings.Split(paragraph, "\n") {
			word, rest, _ := strings.Cut(line, " ")
			switch {
			case n == 0:
				s.row, s.title = strings.TrimSuffix(word, ":"), rest
			case word == "given":
				s.given = rest
			case word == "when":
				s.when = rest
			case word == "policy":
				s.policy = rest
			}
		}
		all = append(all, s)
	}
	return preface, all
}

// policies that scenarios name.
func policyOf(t *testing.T, name string) Policy {
	p := DefaultPolicy()
	switch name {
	case "":
	case "without a window":
		p.MethodWindow = 0
	case "two attempts":
		p.Book.Attempts, p.CaptureCheck.Attempts, p.Compensate.Attempts, p.Dispatch.Attempts = 2, 2, 2, 2
		p.Confirm.Attempts, p.AuthorizeCheck.Attempts = 2, 2
	default:
		t.Fatalf("unknown policy %q", name)
	}
	return p
}

func (s scenario) play(t *testing.T) (ta *tale, before State, r Reaction) {
	t.Helper()
	ta = newTale(t, policyOf(t, s.policy))
	for _, word := range strings.Split(s.given, ", ") {
		if word == "nothing" {
			continue
		}
		if r := ta.happens(t, word); r.Row == nil {
			t.Fatalf("%s: given %q is not expected in %s", s.row, word, ta.state.Status)
		}
	}
	before = ta.state
	return ta, before, ta.happens(t, s.when)
}

// told writes the scenario with what happened.
func (s scenario) told(t *testing.T, ta *tale, r Reaction) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", s.row, s.title)
	if s.policy != "" {
		fmt.Fprintf(&b, "policy %s\n", s.policy)
	}
	fmt.Fprintf(&b, "given %s\nwhen %s\n", s.given, s.when)
	for _, e := range r.Events {
		fmt.Fprintf(&b, "then %s %s\n", e.EventType(), compact(t, e))
	}
	if len(r.Events) == 0 {
		b.WriteString("then nothing\n")
	}
	status := string(normal(ta.state).Status)
	if ta.state.Attention != "" {
		status = "ATTENTION(" + status + ") " + ta.state.Attention
	}
	fmt.Fprintf(&b, "state %s", status)
	for _, timer := range ta.machine.Timers(ta.state) {
		fmt.Fprintf(&b, ", %s in %v", timer.Name, timer.At.Sub(ta.now).Round(time.Second))
	}
	return b.String()
}

func compact(t *testing.T, e events.Event) string {
	data, err := json.Marshal(e, json.Deterministic(true), jsontext.SpaceAfterComma(true))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(data), fmt.Sprintf(`"order_id":%q`, orderID), "", 1)
	return "{" + strings.TrimPrefix(strings.TrimPrefix(text, "{"), ", ")
}

// Every row does in a concrete case what rows.txt says.
func TestRows(t *testing.T) {
	preface, all := readScenarios(t)
	told := []string{preface}
	for _, s := range all {
		ta, before, r := s.play(t)
		text := s.told(t, ta, r)
		told = append(told, text)
		if r.Row == nil || r.Row.ID != s.row {
			t.Errorf("%s: %s: another row applies: %+v", s.row, s.title, r.Row)
			continue
		}
		if want := r.Row.Next; want != "" && ta.state.Status != want {
			t.Errorf("%s: %s: the events lead to %s, the row says %s", s.row, s.title, ta.state.Status, want)
		} else if want == "" && ta.state.Status != before.Status {
			t.Errorf("%s: %s: the events lead from %s to %s, the row says that it stays", s.row, s.title, before.Status, ta.state.Status)
		}
		if !*rewrite && text != s.text {
			t.Errorf("%s: %s: got\n%s\n\nwant\n%s", s.row, s.title, text, s.text)
		}
	}
	if *rewrite && !t.Failed() {
		if err := os.WriteFile(rowsFile, []byte(strings.Join(told, "\n\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range Table() {
		for _, input := range row.Inputs {
			if row.ID == "F0" || slices.ContainsFunc(all, func(s scenario) bool { return s.row == row.ID }) {
				continue
			}
			t.Errorf("row %s on %s has no scenario in %s", row.ID, input, rowsFile)
		}
	}
}
