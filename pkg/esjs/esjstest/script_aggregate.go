package esjstest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/go-json-experiment/json"
)

// AggregateScript plays text files of scenarios of an aggregate:
//
//	script := esjstest.NewAggregateScript(giftCard)
//	script.Commands = map[string]any{"issue": IssueCard{}, "redeem": RedeemCard{}}
//	script.Play(t, "testdata/*.txt")
//
// In a file, "given" is an event or a command that is not refused, and "when" is a
// command. An event is its type and its data; a command is its name and what it
// has, both as JSON. Play says what else a file has.
type AggregateScript[S, C any, E esjs.Event] struct {
	// Commands by the names that files give them. What a file says of a command
	// replaces members of the value that is here; names of fields are
	// compared without regard to case, "_" and "-".
	Commands map[string]C
	// Reaction makes a command of an event whose type stands where a command
	// may; nil: events are no commands, and "given" they are the aggregate's own.
	Reaction func(E) C
	// State names a state in a line of its own; nil: there is no such line.
	State func(S) string

	agg esjs.Aggregate[S, C, E]
}

// NewAggregateScript prepares scenarios of the aggregate; set its fields next.
func NewAggregateScript[S, C any, E esjs.Event](agg esjs.Aggregate[S, C, E]) *AggregateScript[S, C, E] {
	return &AggregateScript[S, C, E]{agg: agg}
}

// Play plays every scenario of the files that match pattern, each as a subtest.
//
// A file is paragraphs. The first one may be a comment, whose lines begin with
// "#". Every other one is a scenario: its title, and then lines that begin with a word.
// People write these:
//
//	after TITLE   goes on from where another scenario of the file ends
//	given …       what happened before; a line without JSON may have several, with ", "
//	when …        what the scenario is about; there may be several
//
// The test writes what follows a "when": an event in each line "then", or "then
// nothing", "then refused CODE: …"; and "state". When that differs the test fails and
// shows how, or the files are written as they are now, if [Rewriting].
func (s *AggregateScript[S, C, E]) Play(t *testing.T, pattern string) {
	t.Helper()
	play(t, pattern, func(t *testing.T, file *script, st *story) (outcomes []string) {
		var state S
		for _, st := range file.chain(t, st) {
			outcomes = nil
			for _, line := range st.lines {
				var outcome string
				state, outcome = s.happens(t, state, line)
				if line.word == "when" {
					outcomes = append(outcomes, outcome)
				}
			}
		}
		return outcomes
	})
}

// happens plays one line, and returns the state after it and what it caused.
func (s *AggregateScript[S, C, E]) happens(t *testing.T, state S, l line) (S, string) {
	t.Helper()
	name, data, _ := strings.Cut(l.rest, " ")
	command, ok := s.Commands[name]
	switch {
	case l.word == "at":
		t.Fatalf("at %s: commands have no time of their own here; name it in their JSON", l.rest)
	case ok:
		command = merged(t, l.rest, command, data)
	case s.Reaction != nil:
		command = s.Reaction(s.read(t, l.rest, name, data))
	case l.word == "given":
		return s.fold(t, state, []E{s.read(t, l.rest, name, data)}), ""
	default:
		t.Fatalf("%q is not the name of a command", name)
	}
	var events []E
	var err error
	unchanged(t, "deciding "+name, state, func() { events, err = s.agg.Decide(state, command) })
	var refusal *esjs.Rejection
	var out []string
	switch {
	case err != nil && l.word == "given":
		t.Fatalf("given %s: %v", l.rest, err)
	case errors.As(err, &refusal):
		out = append(out, fmt.Sprintf("then refused %s: %s", refusal.Code, refusal.Message))
	case err != nil:
		out = append(out, "then fails: "+err.Error())
	default:
		state = s.fold(t, state, events)
		out = thens(t, events)
	}
	if s.State != nil {
		out = append(out, "state "+s.State(state))
	}
	return state, strings.Join(out, "\n")
}

func (s *AggregateScript[S, C, E]) fold(t *testing.T, state S, events []E) S {
	t.Helper()
	for _, e := range events {
		e, given := stored(t, s.agg.Codec, e), state
		unchanged(t, "applying "+e.EventType(), given, func() { state = s.agg.Apply(given, e) })
	}
	return state
}

func (s *AggregateScript[S, C, E]) read(t *testing.T, text, name, data string) E {
	t.Helper()
	return readEvent(t, s.agg.Codec, text, name, data)
}

// readEvent reads an event as a file tells it.
func readEvent[E esjs.Event](t *testing.T, codec *esjs.Codec[E], text, name, data string) E {
	t.Helper()
	if data == "" {
		data = "{}"
	}
	version := 1
	for _, typ := range codec.Types() {
		if typ.Name == name {
			version = typ.SchemaVersion
		}
	}
	recorded, err := codec.Decode(esjs.Record{Type: name, SchemaVersion: version, Data: []byte(data)})
	if err != nil {
		t.Fatalf("%q: it is neither the name of something, nor an event: %v", text, err)
	}
	return recorded.Event
}

// merged is value with the members that data has. Its type is value's own.
func merged[C any](t *testing.T, text string, value C, data string) C {
	t.Helper()
	if data == "" {
		return value
	}
	copied := reflect.New(reflect.TypeOf(value))
	copied.Elem().Set(reflect.ValueOf(value))
	own(copied.Elem())
	if err := json.Unmarshal([]byte(data), copied.Interface(), json.RejectUnknownMembers(true), json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return copied.Elem().Interface().(C)
}

// own gives v slices, maps and pointers of its own, so that what is read into it
// changes nothing that other scenarios start from.
func own(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				own(v.Field(i))
			}
		}
	case reflect.Slice:
		if v.IsNil() {
			return
		}
		list := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(list, v)
		for i := range list.Len() {
			own(list.Index(i))
		}
		v.Set(list)
	case reflect.Map:
		if v.IsNil() {
			return
		}
		entries := reflect.MakeMapWithSize(v.Type(), v.Len())
		for key, value := range v.Seq2() {
			entries.SetMapIndex(key, value)
		}
		v.Set(entries)
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		target := reflect.New(v.Type().Elem())
		target.Elem().Set(v.Elem())
		own(target.Elem())
		v.Set(target)
	}
}

// thens tells events as a file does, each in a line.
func thens[E esjs.Event](t testing.TB, events []E) []string {
	t.Helper()
	var out []string
	for text := range strings.SplitSeq(lines(t, events), "\n") {
		out = append(out, "then "+text)
	}
	return out
}
