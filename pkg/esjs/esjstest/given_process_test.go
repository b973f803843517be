package esjstest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// The watch asks for a closed door: a door that stays open for too long is
// reported, once an hour until it is closed.

type watched struct {
	Until time.Time `json:"until"`
}

type reported struct {
	Until time.Time `json:"until"`
}

type relieved struct{}

func (watched) EventType() string  { return "Watched" }
func (reported) EventType() string { return "Reported" }
func (relieved) EventType() string { return "Relieved" }

type watchState struct {
	On    bool      `json:"on"`
	Until time.Time `json:"until"`
	Armed uint64    `json:"armed"`
	N     uint64    `json:"n"`
	Ended bool      `json:"ended"`
}

type relieve struct{}

func watch(t testing.TB) esjs.Process[watchState, esjs.Event, esjs.Event] {
	t.Helper()
	codec := codecOf(t, esjs.TypeOf[esjs.Event, opened](), esjs.TypeOf[esjs.Event, closed](),
		esjs.TypeOf[esjs.Event, watched](), esjs.TypeOf[esjs.Event, reported](), esjs.TypeOf[esjs.Event, relieved]())
	return esjs.Process[watchState, esjs.Event, esjs.Event]{
		Name: "watch", Category: "watch", In: codec, Out: codec,
		Inputs: esjs.Query{Categories: []string{"door"}, Types: []string{"Opened", "Closed"}},
		Key: func(e esjs.Recorded[esjs.Event]) string {
			return strings.TrimPrefix(e.Stream.Key, "unwatched")
		},
		Apply: func(w watchState, e esjs.Event) watchState {
			w.N++
			switch e := e.(type) {
			case watched:
				w.On, w.Until, w.Armed = true, e.Until, w.N
			case reported:
				w.Until, w.Armed = e.Until, w.N
			case relieved:
				w.On, w.Ended = false, true
			}
			return w
		},
		React: func(w watchState, in esjs.Input[esjs.Event]) ([]esjs.Event, error) {
			until := in.Time.Add(time.Hour)
			switch {
			case w.Ended:
				return nil, esjs.Unexpected("ended", "anything")
			case in.Command != nil, w.On && in.Event != nil && in.Event.Type == "Closed":
				return []esjs.Event{relieved{}}, nil
			case in.Timer != nil:
				return []esjs.Event{reported{until}}, nil
			case in.Event.Event == esjs.Event(opened{"haunted"}):
				return nil, errors.New("nobody dares")
			case in.Event.Type == "Opened" && !w.On:
				return []esjs.Event{watched{until}}, nil
			}
			return nil, nil
		},
		Timers: func(w watchState) []esjs.Timer {
			if !w.On {
				return nil
			}
			return []esjs.Timer{{Name: "report", At: w.Until, Version: w.Armed}}
		},
		Done: func(w watchState) bool { return w.Ended },
	}
}

func TestProcessScenarios(t *testing.T) {
	first := StartOfTime.Add(time.Second)
	GivenProcess(t, watch(t)).
		When(hall, opened{"hall"}).
		Then(watched{first.Add(time.Hour)}).
		ThenArmed("report").ThenDue("report", first.Add(time.Hour)).ThenDone(false).
		AndAgain().
		Next().WhenFired("report").
		Then(reported{first.Add(2 * time.Hour)}).ThenDue("report", first.Add(2*time.Hour)).
		Next().When(hall, closed{}).
		Then(relieved{}).ThenArmed().ThenDone(true).
		Next().When(hall, closed{}).ThenUnexpected().AndAgain()
	GivenProcess(t, watch(t)).After(hall, opened{"hall"}).AfterFired("report", "report").
		WhenCommanded(relieve{}).Then(relieved{}).ThenState(func(t testing.TB, w watchState) {
		if w.N != 4 {
			t.Errorf("the state is %+v", w)
		}
	})
	noon := StartOfTime.AddDate(0, 1, 0)
	GivenProcess(t, watch(t)).Past(watched{noon}).At(noon.Add(time.Hour)).WhenFired("report").Then(reported{noon.Add(2 * time.Hour)})
	GivenProcess(t, watch(t)).When(hall, opened{"haunted"}).ThenFails().ThenArmed()
	GivenProcess(t, watch(t)).When(hall, closed{}).Then()
}

func TestProcessScenariosFail(t *testing.T) {
	for want, run := range map[string]func(testing.TB){
		"- Relieved {}\n+ nothing": func(t testing.TB) { GivenProcess(t, watch(t)).When(hall, closed{}).Then(relieved{}) },
		"its Inputs do not select it": func(t testing.TB) {
			GivenProcess(t, watch(t)).When(esjs.StreamID{Category: "window", Key: "hall"}, closed{})
		},
		"its Key is empty": func(t testing.TB) {
			GivenProcess(t, watch(t)).When(esjs.StreamID{Category: "door", Key: "unwatched"}, closed{})
		},
		`belongs to the instance "cellar"`:      func(t testing.TB) { GivenProcess(t, watch(t)).After(hall, opened{}).When(cellar, closed{}) },
		"armed are the timers [], want [other]": func(t testing.TB) { GivenProcess(t, watch(t)).When(hall, closed{}).ThenArmed("other") },
		"want the timer report": func(t testing.TB) {
			GivenProcess(t, watch(t)).When(hall, opened{}).ThenDue("report", StartOfTime)
		},
		"done is false, want true":   func(t testing.TB) { GivenProcess(t, watch(t)).When(hall, opened{}).ThenDone(true) },
		"want that it is unexpected": func(t testing.TB) { GivenProcess(t, watch(t)).When(hall, opened{}).ThenUnexpected() },
		"want that it fails":         func(t testing.TB) { GivenProcess(t, watch(t)).When(hall, opened{}).ThenFails() },
		"failed with nobody dares":   func(t testing.TB) { GivenProcess(t, watch(t)).When(hall, opened{"haunted"}).Then() },
		"caused once more": func(t testing.TB) {
			p := watch(t)
			p.React = func(watchState, esjs.Input[esjs.Event]) ([]esjs.Event, error) { return []esjs.Event{relieved{}}, nil }
			GivenProcess(t, p).When(hall, opened{}).AndAgain()
		},
		"version 1, which is not that of one": func(t testing.TB) {
			p := watch(t)
			p.Timers = func(watchState) []esjs.Timer { return []esjs.Timer{{Name: "report", At: StartOfTime, Version: 1}} }
			GivenProcess(t, p).When(hall, closed{})
		},
		"two timers": func(t testing.TB) {
			p := watch(t)
			timers := p.Timers
			p.Timers = func(w watchState) []esjs.Timer { return append(timers(w), timers(w)...) }
			GivenProcess(t, p).When(hall, opened{})
		},
	} {
		if said := says(t, run); len(said) != 1 || !strings.Contains(said[0], want) {
			t.Errorf("it says %q, want one failure with %q", said, want)
		}
	}
}

func watchSamples() ProcessSamples[esjs.Event, esjs.Event] {
	until := StartOfTime.Add(time.Hour)
	return ProcessSamples[esjs.Event, esjs.Event]{
		Inputs:   []InputSample[esjs.Event]{{hall, opened{"hall"}}, {hall, closed{}}},
		Commands: []any{relieve{}},
		Own:      []esjs.Event{opened{"hall"}, closed{}, watched{until}, reported{until}, relieved{}},
	}
}

func TestCheckProcess(t *testing.T) {
	CheckProcess(t, watch(t), watchSamples())
	for want, spoil := range map[string]func(*esjs.Process[watchState, esjs.Event, esjs.Event]){
		"fired and is still waited for": func(p *esjs.Process[watchState, esjs.Event, esjs.Event]) {
			apply := p.Apply
			p.Apply = func(w watchState, e esjs.Event) watchState {
				armed := w.Armed
				if w = apply(w, e); armed != 0 {
					w.Armed = armed
				}
				return w
			}
		},
		"has two answers": func(p *esjs.Process[watchState, esjs.Event, esjs.Event]) {
			calls, react := 0, p.React
			p.React = func(w watchState, in esjs.Input[esjs.Event]) ([]esjs.Event, error) {
				if calls++; calls%2 == 0 {
					return nil, nil
				}
				return react(w, in)
			}
		},
		"it panicked": func(p *esjs.Process[watchState, esjs.Event, esjs.Event]) {
			react := p.React
			p.React = func(w watchState, in esjs.Input[esjs.Event]) ([]esjs.Event, error) {
				if w.On && in.Command == nil {
					_ = in.Event.Type // a timer has none
				}
				return react(w, in)
			}
		},
		"the input Knocked has no sample": func(p *esjs.Process[watchState, esjs.Event, esjs.Event]) {
			p.Inputs.Types = append(p.Inputs.Types, "Knocked")
		},
	} {
		p := watch(t)
		spoil(&p)
		wantSaid(t, says(t, func(t testing.TB) { CheckProcess(t, p, watchSamples()) }), want)
	}
	samples := watchSamples()
	samples.Own = samples.Own[:4]
	wantSaid(t, says(t, func(t testing.TB) { CheckProcess(t, watch(t), samples) }), "the type Relieved has no sample")
}
