package esjstest

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/go-json-experiment/json"
)

// says runs a check on a witness and returns what it says.
func says(t *testing.T, check func(testing.TB)) []string {
	t.Helper()
	w := &witness{TB: t}
	check(w)
	return w.said
}

// wantSaid demands that one of the failures has the text.
func wantSaid(t *testing.T, said []string, want string) {
	t.Helper()
	if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, want) }) {
		t.Errorf("it says %q, want %q", said, want)
	}
	if len(said) > failuresShown+1 {
		t.Errorf("it says %d things", len(said))
	}
}

var doorEvents = []esjs.Event{opened{"a"}, closed{}}

func TestCheckApply(t *testing.T) {
	CheckApply(t, doors(t), doorEvents...)
}

func TestCheckAggregate(t *testing.T) {
	CheckAggregate(t, doors(t), Samples[open, esjs.Event]{
		Events: doorEvents, Commands: []open{{"a"}, {}}, Histories: [][]esjs.Event{{opened{"a"}, closed{}}},
	})
}

// Golden files are written once, and are samples.
func TestCheckAggregateWithGoldenFiles(t *testing.T) {
	dir := t.TempDir()
	samples := Samples[open, esjs.Event]{Golden: dir, Commands: []open{{"a"}}}
	t.Setenv("ESJSTEST_REWRITE", "1")
	CheckAggregate(t, doors(t), samples)
	t.Setenv("ESJSTEST_REWRITE", "")
	CheckAggregate(t, doors(t), samples)
	if err := os.WriteFile(filepath.Join(dir, "Opened.v1.json"), []byte(`{"name":"a", "colour":"red"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	wantSaid(t, says(t, func(t testing.TB) { CheckAggregate(t, doors(t), samples) }), "colour")
}

// sleepy comes back from the store as another event.
type sleepy struct {
	Name string `json:"name"`
}

func (sleepy) EventType() string               { return "Sleepy" }
func (s *sleepy) UnmarshalJSON(b []byte) error { s.Name = "someone else"; return nil }

func TestCheckAggregateFindsWhatIsWrong(t *testing.T) {
	agg := doors(t)
	type doorAggregate = esjs.Aggregate[door, open, esjs.Event]
	calls := 0
	for want, spoil := range map[string]func(*doorAggregate){
		"applying Closed changed the state that it was given": func(a *doorAggregate) {
			a.Apply = func(d door, e esjs.Event) door {
				if d.Count == nil {
					return agg.Apply(d, e)
				}
				if _, ok := e.(closed); ok {
					d.Count["Closed"]++
					return d
				}
				return agg.Apply(d, e)
			}
		},
		"gives two states": func(a *doorAggregate) {
			a.Apply = func(d door, _ esjs.Event) door { calls++; d.Open = calls%2 == 0; return d }
		},
		"it panicked: no closing": func(a *doorAggregate) {
			a.Apply = func(d door, e esjs.Event) door {
				if e.EventType() == "Closed" && d.Open {
					panic("no closing")
				}
				return agg.Apply(d, e)
			}
		},
		"changed the state that Opened had given": func(a *doorAggregate) {
			a.Apply = func(d door, e esjs.Event) door {
				if e, ok := e.(opened); ok {
					d.Log = append(d.Log, e.Name) // it is not cloned
				}
				return d
			}
		},
		"gives another state after a snapshot": func(a *doorAggregate) {
			a.Apply = func(d door, e esjs.Event) door {
				d.hidden++
				d.Name = strings.Repeat("x", d.hidden)
				return d
			}
		},
		"has two answers": func(a *doorAggregate) {
			a.Decide = func(door, open) ([]esjs.Event, error) {
				calls++
				return slices.Repeat([]esjs.Event{closed{}}, calls%2), nil
			}
		},
		"has another answer after a snapshot": func(a *doorAggregate) {
			a.Apply = func(d door, e esjs.Event) door { d = agg.Apply(d, e); d.hidden = 1; return d }
			a.Decide = func(d door, o open) ([]esjs.Event, error) {
				if d.hidden == 1 {
					return nil, nil
				}
				return agg.Decide(d, o)
			}
		},
		"changed the state": func(a *doorAggregate) {
			a.Decide = func(d door, o open) ([]esjs.Event, error) {
				maps.DeleteFunc(d.Count, func(string, int) bool { return true })
				return nil, nil
			}
		},
		"decided once more": func(a *doorAggregate) {
			a.Decide = func(door, open) ([]esjs.Event, error) { return []esjs.Event{opened{"a"}}, nil }
		},
		"causes events as well": func(a *doorAggregate) {
			a.Decide = func(door, open) ([]esjs.Event, error) { return []esjs.Event{closed{}}, esjs.Reject("no", "no") }
		},
		"without a code or a message": func(a *doorAggregate) {
			a.Decide = func(door, open) ([]esjs.Event, error) { return nil, &esjs.Rejection{Code: "no"} }
		},
		"does not come back: ": func(a *doorAggregate) {
			a.Decide = func(d door, _ open) ([]esjs.Event, error) { return []esjs.Event{sleepy{"me"}}, nil }
		},
		"the type Sleepy has no sample": func(a *doorAggregate) {
			a.Codec = codecOf(t, esjs.TypeOf[esjs.Event, opened](), esjs.TypeOf[esjs.Event, closed](), esjs.TypeOf[esjs.Event, sleepy]())
		},
	} {
		t.Run(want, func(t *testing.T) {
			spoiled := agg
			spoil(&spoiled)
			wantSaid(t, says(t, func(t testing.TB) {
				CheckAggregate(t, spoiled, Samples[open, esjs.Event]{Events: doorEvents, Commands: []open{{"a"}, {}}})
			}), want)
		})
	}
	t.Run("an event that does not come back", func(t *testing.T) {
		spoiled := agg
		spoiled.Codec = codecOf(t, esjs.TypeOf[esjs.Event, sleepy]())
		wantSaid(t, says(t, func(t testing.TB) {
			CheckAggregate(t, spoiled, Samples[open, esjs.Event]{Events: []esjs.Event{sleepy{"me"}}})
		}), "+ Sleepy {\"name\":\"someone else\"}")
	})
	t.Run("a command that adds up is told", func(t *testing.T) {
		adding := agg
		adding.Decide = func(door, open) ([]esjs.Event, error) { return []esjs.Event{opened{"a"}}, nil }
		CheckAggregate(t, adding, Samples[open, esjs.Event]{Events: doorEvents, Commands: []open{{"a"}}, AddsUp: func(open) bool { return true }})
	})
}

func codecOf(t testing.TB, types ...esjs.EventType[esjs.Event]) *esjs.Codec[esjs.Event] {
	t.Helper()
	codec, err := esjs.NewCodec(types...)
	if err != nil {
		t.Fatal(err)
	}
	return codec
}

func TestDiff(t *testing.T) {
	for _, c := range []struct{ first, second, want string }{
		{"a", "a", "  a"},
		{"a\nb\nc", "a\nc", "  a\n- b\n  c"},
		{"a\nc", "a\nb\nc", "  a\n+ b\n  c"},
		{"a\nb", "c\nd", "- a\n- b\n+ c\n+ d"},
		{"", "x", "- \n+ x"},
	} {
		if got := diff(c.first, c.second); got != c.want {
			t.Errorf("%q and %q differ as\n%s\nwant\n%s", c.first, c.second, got, c.want)
		}
	}
}

var _ json.Unmarshaler = (*sleepy)(nil)
