package esjstest

import (
	"errors"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
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

// Then demands exactly these events, as they are stored; none means that there
// is nothing to do.
func (d *Decision[S, C, E]) Then(want ...E) *Decision[S, C, E] {
	d.scenario.t.Helper()
	if d.err != nil {
		d.scenario.t.Errorf("refused with %v, want\n%s", d.err, lines(d.scenario.t, want))
	} else {
		wantEvents(d.scenario.t, d.events, want)
	}
	return d
}

// ThenRefused demands an [esjs.Rejection] with the code.
func (d *Decision[S, C, E]) ThenRefused(code string) *Decision[S, C, E] {
	d.scenario.t.Helper()
	var rejection *esjs.Rejection
	switch {
	case d.err == nil:
		d.scenario.t.Errorf("want a refusal with %q, decided was\n%s", code, lines(d.scenario.t, d.events))
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
			t.Errorf("the same command decided once more\n%s", lines(t, events))
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
