package esjstest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// ProcessScript plays text files of scenarios of a process.
//
//	script := esjstest.NewProcessScript(dunning)
//	script.Play(t, "testdata/*.txt")
//
// In a file, "given" and "when" are one of
//
//	TYPE CATEGORY/KEY {…}    an event of another stream, with its data as JSON
//	WORD                     an event that Words has under this name
//	timer NAME               the armed timer fires when it is due
//	late timer NAME          a timer fires that is not waited for any more
//	command NAME {…}         an operator's command
//
// [ProcessScript.Play] says what else a file has.
type ProcessScript[S any, In, Out esjs.Event] struct {
	// Words are inputs by name, made from the state that they come in.
	Words map[string]func(S) (esjs.StreamID, In)
	// Commands by name; what a file says of one replaces members of the value.
	Commands map[string]any
	// With returns the process as the settings of a scenario want it; nil: there are none.
	With func(t testing.TB, settings string) esjs.Process[S, In, Out]
	// State names a state; nil: there is no such line.
	State func(S) string
	// Start is the time before the first input; zero: [StartOfTime].
	Start time.Time

	process esjs.Process[S, In, Out]
}

// NewProcessScript prepares scenarios of the process; set its fields next.
func NewProcessScript[S any, In, Out esjs.Event](p esjs.Process[S, In, Out]) *ProcessScript[S, In, Out] {
	return &ProcessScript[S, In, Out]{process: p}
}

// Played is the last "when" of a scenario, for what else a test wants to know of it.
type Played[S any, In, Out esjs.Event] struct {
	Title   string
	With    string // the settings
	Before  S
	Input   esjs.Input[In]
	Events  []Out // that the input caused
	After   S
	History []Out // all that the instance has stored
}

// Play plays every scenario of the files that match pattern, each as a subtest,
// and returns them. A file is what [AggregateScript.Play] says, with two more
// lines that people write:
//
//	with SETTINGS   names what the test shall set up in another way
//	at TIME         when the next input happens, as RFC 3339
//
// The test writes an event in each line "then", or "then nothing", "then
// unexpected", "then fails: …", for a command "then refused CODE: …"; and "state" and
// "timers" with what is armed.
func (s *ProcessScript[S, In, Out]) Play(t *testing.T, pattern string) []Played[S, In, Out] {
	t.Helper()
	var all []Played[S, In, Out]
	play(t, pattern, func(t *testing.T, file *script, st *story) (outcomes []string) {
		chain := file.chain(t, st)
		last := Played[S, In, Out]{Title: st.title, With: chain[0].with}
		of := newInstance(s.process)
		if last.With != "" {
			if s.With == nil {
				t.Fatalf("with %s: the test has no settings", last.With)
			}
			of = newInstance(s.With(t, last.With))
		}
		if !s.Start.IsZero() {
			of.now = s.Start
		}
		for _, st := range chain {
			outcomes = nil
			for _, line := range st.lines {
				if line.word == "at" {
					of.at = readTime(t, line.rest)
					continue
				}
				last.Before = of.state
				last.Input = s.input(t, of, line.rest)
				last.Events = s.happens(t, of, line, last.Input, &outcomes)
			}
		}
		last.After, last.History = of.state, of.history
		all = append(all, last)
		return outcomes
	})
	return all
}

// happens gives the instance an input, and adds what comes of a "when".
func (s *ProcessScript[S, In, Out]) happens(t *testing.T, of *instance[S, In, Out], l line, in esjs.Input[In], outcomes *[]string) []Out {
	t.Helper()
	events, err := of.react(t, in)
	of.fold(t, events)
	if l.word == "given" {
		if err != nil {
			t.Fatalf("given %s: %v", l.rest, err)
		}
		return events
	}
	var out []string
	var refusal *esjs.Rejection
	switch {
	case unexpected(err):
		out = append(out, "then unexpected")
	case in.Command != nil && errors.As(err, &refusal):
		out = append(out, fmt.Sprintf("then refused %s: %s", refusal.Code, refusal.Message))
	case err != nil:
		out = append(out, "then fails: "+err.Error())
	default:
		out = thens(t, events)
	}
	if s.State != nil {
		out = append(out, "state "+s.State(of.state))
	}
	out = append(out, "timers "+of.toldTimers())
	*outcomes = append(*outcomes, strings.Join(out, "\n"))
	return events
}

func (s *ProcessScript[S, In, Out]) input(t *testing.T, of *instance[S, In, Out], text string) esjs.Input[In] {
	t.Helper()
	if make, ok := s.Words[text]; ok {
		id, e := make(of.state)
		return of.event(t, id, e)
	}
	word, rest, _ := strings.Cut(text, " ")
	name, data, _ := strings.Cut(rest, " ")
	switch word {
	case "timer":
		return of.fire(t, rest)
	case "late":
		of.tick()
		return of.fired(esjs.Timer{Name: data, At: of.now})
	case "command":
		command, ok := s.Commands[name]
		if !ok {
			t.Fatalf("%q is not the name of a command", name)
		}
		return of.command(merged(t, text, command, data))
	}
	category, key, ok := strings.Cut(name, "/")
	if !ok {
		t.Fatalf("%q is neither a word that the test has, nor an event with the stream that it is of", text)
	}
	return of.event(t, esjs.StreamID{Category: category, Key: key}, readEvent(t, of.process.In, text, word, data))
}

func readTime(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatalf("at %s: %v", text, err)
	}
	return at
}
