package esjstest

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// stored returns an event as it comes back from the store.
func stored[E esjs.Event](t testing.TB, codec *esjs.Codec[E], e E) E {
	t.Helper()
	recorded, err := codec.Decode(record(t, e))
	if err != nil {
		t.Fatalf("an event that was stored does not come back: %v", err)
	}
	return recorded.Event
}

// record is what the store keeps of an event: its type, version and data.
func record(t testing.TB, e esjs.Event) esjs.Record {
	t.Helper()
	data, err := encode(e)
	if err != nil {
		t.Fatalf("encode %s: %v", e.EventType(), err)
	}
	of := formOf(e)
	return esjs.Record{Type: of.name, SchemaVersion: of.version, Data: data}
}

// encode writes v as JSON in a layout, with personal values in clear.
func encode(v any, layout ...jsontext.Options) ([]byte, error) {
	data, err := esjs.MarshalInClear(v)
	if err != nil || len(layout) == 0 {
		return data, err
	}
	return jsontext.AppendFormat(nil, data, layout...)
}

// text is a state as a snapshot would store it.
func text(t testing.TB, state any) string {
	t.Helper()
	data, err := encode(state)
	if err != nil {
		t.Fatalf("the state %T cannot be stored in a snapshot: %v", state, err)
	}
	return string(data)
}

// restored is a state as it comes back from a snapshot.
func restored[S any](t testing.TB, state S) (back S) {
	t.Helper()
	if err := json.Unmarshal([]byte(text(t, state)), &back); err != nil {
		t.Fatalf("the state %T does not come back from a snapshot: %v", state, err)
	}
	return back
}

// unchanged demands that what f does leaves a state as it was.
func unchanged[S any](t testing.TB, what string, state S, f func()) {
	t.Helper()
	before := text(t, state)
	f()
	if after := text(t, state); after != before {
		t.Errorf("%s changed the state that it was given from %s to %s", what, before, after)
	}
}

// told writes an event in one line, as its name and its data.
func told(t testing.TB, e esjs.Event) string {
	t.Helper()
	data, err := encode(e, jsontext.SpaceAfterComma(true))
	if err != nil {
		t.Fatalf("encode %s: %v", e.EventType(), err)
	}
	return e.EventType() + " " + string(data)
}

// lines tells events, one in a line; "nothing" when there are none.
func lines[E esjs.Event](t testing.TB, events []E) string {
	t.Helper()
	if len(events) == 0 {
		return "nothing"
	}
	all := make([]string, len(events))
	for i, e := range events {
		all[i] = told(t, e)
	}
	return strings.Join(all, "\n")
}

// wantEvents demands exactly the wanted events, as they are stored.
func wantEvents[E esjs.Event](t testing.TB, got, want []E) {
	t.Helper()
	if g, w := lines(t, got), lines(t, want); g != w {
		t.Errorf("it is not what is wanted (-) but (+)\n%s", diff(w, g))
	}
}

// wantEqual demands a value, and shows where it differs.
func wantEqual(t testing.TB, what string, got, want any) {
	t.Helper()
	if reflect.DeepEqual(got, want) {
		return
	}
	pretty := func(v any) string {
		data, err := encode(v, jsontext.WithIndent("  "))
		if err != nil {
			return fmt.Sprintf("%#v", v)
		}
		return string(data)
	}
	g, w := pretty(got), pretty(want)
	if g == w { // what differs has no JSON
		g, w = fmt.Sprintf("%#v", got), fmt.Sprintf("%#v", want)
	}
	t.Errorf("%s are not what is wanted (-) but (+)\n%s", what, diff(w, g))
}

// diff shows two texts as one: lines of both with "  " before them, those of
// the first alone with "- ", and those of the second alone with "+ ".
func diff(first, second string) string {
	a, b := strings.Split(first, "\n"), strings.Split(second, "\n")
	// common[i][j] is the length of the longest common part of a[i:] and b[j:].
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []string
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, "  "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
	}
	return strings.Join(out, "\n")
}
