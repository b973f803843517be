package esjstest

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

type opened struct {
	Name string `json:"name"`
}

func (opened) EventType() string { return "Opened" }

type closed struct{}

func (closed) EventType() string { return "Closed" }

type door struct {
	Name  string         `json:"name"`
	Open  bool           `json:"open"`
	Count map[string]int `json:"count"`
	Log   []string       `json:"log,omitempty"`

	hidden int // that a snapshot does not have
}

type open struct{ Name string }

func doors(t testing.TB) esjs.Aggregate[door, open, esjs.Event] {
	t.Helper()
	return esjs.Aggregate[door, open, esjs.Event]{
		Category: "door", Codec: codecOf(t, esjs.TypeOf[esjs.Event, opened](), esjs.TypeOf[esjs.Event, closed]()),
		Apply: func(d door, e esjs.Event) door {
			d.Count = maps.Clone(d.Count)
			if d.Count == nil {
				d.Count = map[string]int{}
			}
			d.Count[e.EventType()]++
			switch e := e.(type) {
			case opened:
				d.Name, d.Open = e.Name, true
			case closed:
				d.Open = false
			}
			return d
		},
		Decide: func(d door, c open) ([]esjs.Event, error) {
			switch {
			case c.Name == "":
				return nil, esjs.Reject("no_name", "a door needs a name")
			case d.Open:
				return nil, nil
			}
			return []esjs.Event{opened{c.Name}}, nil
		},
	}
}

// witness is a testing.TB that remembers failures instead of failing.
type witness struct {
	testing.TB
	said []string
}

func (w *witness) Helper() {}
func (w *witness) Errorf(format string, args ...any) {
	w.said = append(w.said, fmt.Sprintf(format, args...))
}

func TestScenarios(t *testing.T) {
	agg := doors(t)
	Given(t, agg).When(open{"a"}).Then(opened{"a"}).AndAgain().ThenState(func(t testing.TB, d door) {
		if !d.Open || d.Name != "a" {
			t.Errorf("the state is %+v", d)
		}
	})
	Given[door, open, esjs.Event](t, agg, opened{"a"}).When(open{"b"}).Then()
	Given[door, open, esjs.Event](t, agg, opened{"a"}, closed{}).When(open{"b"}).Then(opened{"b"})
	Given(t, agg).When(open{}).ThenRefused("no_name").AndAgain()
}

func TestScenariosFail(t *testing.T) {
	agg := doors(t)
	always := agg
	always.Decide = func(door, open) ([]esjs.Event, error) { return []esjs.Event{closed{}}, nil }
	grabbing, careless := agg, agg
	grabbing.Decide = func(d door, _ open) ([]esjs.Event, error) { d.Count["Opened"]++; return nil, nil }
	careless.Apply = func(d door, e esjs.Event) door {
		if _, ok := e.(closed); ok {
			d.Count["Closed"]++
			return d
		}
		return agg.Apply(d, e)
	}
	for want, run := range map[string]func(testing.TB){
		"deciding changed": func(t testing.TB) {
			Given[door, open, esjs.Event](t, grabbing, opened{"a"}).When(open{"b"})
		},
		"applying Closed changed": func(t testing.TB) {
			Given[door, open, esjs.Event](t, careless, opened{"a"}, closed{}).When(open{"b"})
		},
		"- Opened {\"name\":\"b\"}\n+ Opened {\"name\":\"a\"}": func(t testing.TB) { Given(t, agg).When(open{"a"}).Then(opened{"b"}) },
		"- nothing\n+ Opened": func(t testing.TB) { Given(t, agg).When(open{"a"}).Then() },
		"refused with":        func(t testing.TB) { Given(t, agg).When(open{}).Then() },
		`with "other"`:        func(t testing.TB) { Given(t, agg).When(open{}).ThenRefused("other") },
		`with "code"`:         func(t testing.TB) { Given(t, agg).When(open{"a"}).ThenRefused("code") },
		"once more":           func(t testing.TB) { Given(t, always).When(open{"a"}).AndAgain() },
	} {
		w := &witness{TB: t}
		run(w)
		if len(w.said) != 1 || !strings.Contains(w.said[0], want) {
			t.Errorf("it says %q, want one failure with %q", w.said, want)
		}
	}
}
