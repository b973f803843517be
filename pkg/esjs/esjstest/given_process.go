package esjstest

import (
	"slices"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// ProcessScenario is one instance of a process with a past, about to get an input.
//
//	esjstest.GivenProcess(t, dunning).
//		After(invoice, InvoiceSent{Due: due}).
//		WhenFired("due").
//		Then(ReminderRequested{}).ThenArmed()
//
// The rules are the runner's, without a store: events come back as they are
// stored, inputs must be selected by Inputs and belong to one instance, and a
// timer fires when it is due. See [StartOfTime] for the clock.
type ProcessScenario[S any, In, Out esjs.Event] struct {
	t  testing.TB
	of *instance[S, In, Out]
}

// GivenProcess starts a scenario of an instance that has no events yet.
func GivenProcess[S any, In, Out esjs.Event](t testing.TB, p esjs.Process[S, In, Out]) *ProcessScenario[S, In, Out] {
	t.Helper()
	return &ProcessScenario[S, In, Out]{t: t, of: newInstance(p)}
}

// Past adds events that the instance has stored before.
func (s *ProcessScenario[S, In, Out]) Past(own ...Out) *ProcessScenario[S, In, Out] {
	s.t.Helper()
	s.of.fold(s.t, own)
	return s
}

// At lets the next input happen at a time; a timer does not fire before it is due.
func (s *ProcessScenario[S, In, Out]) At(when time.Time) *ProcessScenario[S, In, Out] {
	s.of.at = when
	return s
}

// After lets events of another stream happen, each of which the process takes
// without an error, and stores what it causes.
func (s *ProcessScenario[S, In, Out]) After(id esjs.StreamID, events ...In) *ProcessScenario[S, In, Out] {
	s.t.Helper()
	for _, e := range events {
		s.happens(s.of.event(s.t, id, e))
	}
	return s
}

// AfterFired lets armed timers fire, one after the other.
func (s *ProcessScenario[S, In, Out]) AfterFired(names ...string) *ProcessScenario[S, In, Out] {
	s.t.Helper()
	for _, name := range names {
		s.happens(s.of.fire(s.t, name))
	}
	return s
}

func (s *ProcessScenario[S, In, Out]) happens(in esjs.Input[In]) {
	s.t.Helper()
	events, err := s.of.react(s.t, in)
	if err != nil {
		s.t.Fatalf("what came before, %s: %v", inputName(in), err)
	}
	s.of.fold(s.t, events)
}

// When gives the process an event of another stream.
func (s *ProcessScenario[S, In, Out]) When(id esjs.StreamID, event In) *Reaction[S, In, Out] {
	s.t.Helper()
	return s.reaction(s.of.event(s.t, id, event))
}

// WhenFired lets an armed timer fire when it is due.
func (s *ProcessScenario[S, In, Out]) WhenFired(name string) *Reaction[S, In, Out] {
	s.t.Helper()
	return s.reaction(s.of.fire(s.t, name))
}

// WhenCommanded gives the process an operator's command.
func (s *ProcessScenario[S, In, Out]) WhenCommanded(command any) *Reaction[S, In, Out] {
	s.t.Helper()
	return s.reaction(s.of.command(command))
}

func (s *ProcessScenario[S, In, Out]) reaction(in esjs.Input[In]) *Reaction[S, In, Out] {
	s.t.Helper()
	events, err := s.of.react(s.t, in)
	after := *s.of
	after.fold(s.t, events)
	return &Reaction[S, In, Out]{t: s.t, input: in, events: events, err: err, after: &after}
}

// Reaction is what a process answered to an input.
type Reaction[S any, In, Out esjs.Event] struct {
	t      testing.TB
	input  esjs.Input[In]
	events []Out
	err    error
	after  *instance[S, In, Out]
}

// Then demands exactly these events, as they are stored; none means that the
// process knows the input and has nothing to do.
func (r *Reaction[S, In, Out]) Then(want ...Out) *Reaction[S, In, Out] {
	r.t.Helper()
	if r.err != nil {
		r.t.Errorf("failed with %v, want\n%s", r.err, lines(r.t, want))
	} else {
		wantEvents(r.t, r.events, want)
	}
	return r
}

// ThenUnexpected demands that the process does not know the input in this state.
func (r *Reaction[S, In, Out]) ThenUnexpected() *Reaction[S, In, Out] {
	r.t.Helper()
	if !unexpected(r.err) {
		r.t.Errorf("want that it is unexpected, the error is %v, and it caused\n%s", r.err, lines(r.t, r.events))
	}
	return r
}

// ThenFails demands an error after which the input is tried again.
func (r *Reaction[S, In, Out]) ThenFails() *Reaction[S, In, Out] {
	r.t.Helper()
	if r.err == nil || unexpected(r.err) {
		r.t.Errorf("want that it fails, the error is %v, and it caused\n%s", r.err, lines(r.t, r.events))
	}
	return r
}

// ThenArmed demands that exactly the timers of these names are armed.
func (r *Reaction[S, In, Out]) ThenArmed(names ...string) *Reaction[S, In, Out] {
	r.t.Helper()
	var armed []string
	for _, timer := range r.after.timers() {
		armed = append(armed, timer.Name)
	}
	slices.Sort(armed)
	want := slices.Sorted(slices.Values(names))
	if !slices.Equal(armed, want) {
		r.t.Errorf("armed are the timers %v, want %v", armed, want)
	}
	return r
}

// ThenDue demands that a timer is armed for a time.
func (r *Reaction[S, In, Out]) ThenDue(name string, at time.Time) *Reaction[S, In, Out] {
	r.t.Helper()
	if timer, ok := r.after.armed(name); !ok || !timer.At.Equal(at) {
		r.t.Errorf("want the timer %s at %s; armed are, from %s on: %s", name, at, r.after.now, r.after.toldTimers())
	}
	return r
}

// ThenDone demands that the instance has ended, or that it has not.
func (r *Reaction[S, In, Out]) ThenDone(want bool) *Reaction[S, In, Out] {
	r.t.Helper()
	if got := r.after.process.Done != nil && r.after.process.Done(r.after.state); got != want {
		r.t.Errorf("done is %t, want %t", got, want)
	}
	return r
}

// ThenState gives the state after the reaction to check.
func (r *Reaction[S, In, Out]) ThenState(check func(testing.TB, S)) *Reaction[S, In, Out] {
	r.t.Helper()
	check(r.t, r.after.state)
	return r
}

// AndAgain demands that the same, told once more by another event, causes
// nothing more. The runner recognises an event that comes again and caused
// something, so a process needs this only where participants repeat themselves.
func (r *Reaction[S, In, Out]) AndAgain() *Reaction[S, In, Out] {
	r.t.Helper()
	again := r.input
	if again.Event != nil {
		e := *again.Event
		e.ID, e.Version = e.ID+"-again", e.Version+1
		again.Event = &e
	}
	after := *r.after
	if events, err := after.react(r.t, again); err == nil && len(events) > 0 {
		r.t.Errorf("%s, told again, caused once more\n%s", inputName(again), lines(r.t, events))
	}
	return r
}

// Next goes on from where the reaction has led.
func (r *Reaction[S, In, Out]) Next() *ProcessScenario[S, In, Out] {
	next := *r.after
	return &ProcessScenario[S, In, Out]{t: r.t, of: &next}
}
