package esjstest

import (
	"errors"
	"reflect"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/go-json-experiment/json"
)

// Scenario is an aggregate with a history, about to get a command.
//
//	esjstest.Given(t, Order, created, submitted).When(Cancel{}).Then(cancelled)
type Scenario[S, C any, E esjs.Event] struct {
	t       testing.TB
	agg     esjs.Aggregate[S, C, E]
	history []E
}

// Given starts a scenario from what happened before; nothing is also a history.
// The events are folded as they come back from the store, and folding must leave
// the states that it is given as they were.
func Given[S, C any, E esjs.Event](t testing.TB, agg esjs.Aggregate[S, C, E], history ...E) *Scenario[S, C, E] {
	t.Helper()
	return &Scenario[S, C, E]{t: t, agg: agg, history: history}
}

// Decision is what an aggregate answered to a command.
type Decision[S, C any, E esjs.Event] struct {
	scenario *Scenario[S, C, E]
	command  C
	events   []E
	err      error
}

// When gives the command to the aggregate, and demands that deciding leaves the
// state as it was.
func (s *Scenario[S, C, E]) When(command C) *Decision[S, C, E] {
	s.t.Helper()
	state := s.fold(s.history)
	var events []E
	var err error
	unchanged(s.t, "deciding", state, func() { events, err = s.agg.Decide(state, command) })
	return &Decision[S, C, E]{scenario: s, command: command, events: events, err: err}
}

// Then demands exactly these events; none means that there is nothing to do.
func (d *Decision[S, C, E]) Then(want ...E) *Decision[S, C, E] {
	d.scenario.t.Helper()
	switch {
	case d.err != nil:
		d.scenario.t.Errorf("refused with %v, want %#v", d.err, want)
	case len(d.events) != len(want), len(want) > 0 && !reflect.DeepEqual(d.events, want):
		d.scenario.t.Errorf("decided\n%#v\nwant\n%#v", d.events, want)
	}
	return d
}

// ThenRefused demands an [esjs.Rejection] with the code.
func (d *Decision[S, C, E]) ThenRefused(code string) *Decision[S, C, E] {
	d.scenario.t.Helper()
	var rejection *esjs.Rejection
	switch {
	case d.err == nil:
		d.scenario.t.Errorf("decided %#v, want a refusal with %q", d.events, code)
	case !errors.As(d.err, &rejection) || rejection.Code != code:
		d.scenario.t.Errorf("refused with %v, want a refusal with %q", d.err, code)
	}
	return d
}

// ThenState gives the state after what was decided to check.
func (d *Decision[S, C, E]) ThenState(check func(testing.TB, S)) *Decision[S, C, E] {
	d.scenario.t.Helper()
	check(d.scenario.t, d.scenario.fold(append(d.scenario.history[:len(d.scenario.history):len(d.scenario.history)], d.events...)))
	return d
}

// AndAgain demands that the same command, after what was decided, causes no
// more events: it is refused or there is nothing to do.
func (d *Decision[S, C, E]) AndAgain() *Decision[S, C, E] {
	d.scenario.t.Helper()
	d.ThenState(func(t testing.TB, state S) {
		t.Helper()
		if events, err := d.scenario.agg.Decide(state, d.command); err == nil && len(events) > 0 {
			t.Errorf("the same command decided %#v once more", events)
		}
	})
	return d
}

func (s *Scenario[S, C, E]) fold(history []E) (state S) {
	s.t.Helper()
	for _, e := range history {
		e = stored(s.t, s.agg.Codec, e)
		given := state
		unchanged(s.t, "applying "+e.EventType(), given, func() { state = s.agg.Apply(given, e) })
	}
	return state
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

// stored returns an event as it comes back from the store.
func stored[E esjs.Event](t testing.TB, codec *esjs.Codec[E], e E) E {
	t.Helper()
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatalf("encode %s: %v", e.EventType(), err)
	}
	version := 1
	if v, ok := any(e).(esjs.Versioned); ok {
		version = v.SchemaVersion()
	}
	back, err := codec.Decode(esjs.Record{Type: e.EventType(), SchemaVersion: version, Data: data})
	if err != nil {
		t.Fatalf("read %s back: %v", data, err)
	}
	return back.Event
}

// CheckApply checks on samples, one of each type at least, that Apply is total
// and pure: it accepts every event in every state that up to two others lead
// to, gives the same state for the same events, and leaves the state that it was
// given as it was.
func CheckApply[S, C any, E esjs.Event](t testing.TB, agg esjs.Aggregate[S, C, E], samples ...E) {
	t.Helper()
	var none S
	states := []S{none}
	for _, first := range samples {
		state := agg.Apply(none, stored(t, agg.Codec, first))
		states = append(states, state)
		for _, second := range samples {
			states = append(states, agg.Apply(state, stored(t, agg.Codec, second)))
		}
	}
	for _, state := range states {
		for _, e := range samples {
			var one, two S
			unchanged(t, "applying "+e.EventType(), state, func() { one, two = agg.Apply(state, e), agg.Apply(state, e) })
			if !reflect.DeepEqual(one, two) {
				t.Errorf("%s applied to %s gives %s, and then %s", e.EventType(), text(t, state), text(t, one), text(t, two))
			}
		}
	}
}

// text is a state as a snapshot would store it.
func text(t testing.TB, state any) string {
	t.Helper()
	data, err := json.Marshal(state, json.Deterministic(true))
	if err != nil {
		t.Fatalf("the state %T cannot be stored in a snapshot: %v", state, err)
	}
	return string(data)
}
