package esjstest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// StartOfTime is when scenarios of processes begin: the first input happens one
// second later, and each further one a second after the one before it, except
// timers, which fire when they are due.
var StartOfTime = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// instance is one instance of a process, by the rules of the runner and without
// a store.
type instance[S any, In, Out esjs.Event] struct {
	process esjs.Process[S, In, Out]
	key     string // "" until the first input of another stream
	state   S
	history []Out
	now     time.Time // of the last input
	at      time.Time // of the next input; zero: not named
	inputs  int
}

func newInstance[S any, In, Out esjs.Event](p esjs.Process[S, In, Out]) *instance[S, In, Out] {
	return &instance[S, In, Out]{process: p, now: StartOfTime}
}

// tick moves the clock to the next input.
func (i *instance[S, In, Out]) tick() {
	i.now = i.now.Add(time.Second)
	if !i.at.IsZero() {
		i.now, i.at = i.at, time.Time{}
	}
}

// event makes an input of an event as it comes back from the store. It demands
// that the process's Query selects it and that it belongs to the instance.
func (i *instance[S, In, Out]) event(t testing.TB, id esjs.StreamID, e In) esjs.Input[In] {
	t.Helper()
	i.inputs++
	i.tick()
	r := record(t, e)
	r.ID, r.Stream, r.Version, r.Time = fmt.Sprintf("event-%d", i.inputs), id, uint64(i.inputs), i.now
	if !selects(i.process.Inputs, r) {
		t.Errorf("the process never sees %s of %s: its Inputs do not select it", r.Type, id)
	}
	recorded, err := i.process.In.Decode(r)
	if err != nil {
		t.Fatalf("the process cannot read %s: %v", r.Type, err)
	}
	switch key := i.process.Key(recorded); {
	case key == "":
		t.Errorf("%s of %s belongs to no instance: its Key is empty", r.Type, id)
	case i.key == "":
		i.key = key
	case key != i.key:
		t.Errorf("%s of %s belongs to the instance %q, and what was before it to %q", r.Type, id, key, i.key)
	}
	return esjs.Input[In]{Event: &recorded, Time: i.now}
}

// selects tells that a query, as a subscription reads it, selects a record.
func selects(q esjs.Query, r esjs.Record) bool {
	all := len(q.Categories) == 0 && len(q.Streams) == 0
	return (all || slices.Contains(q.Categories, r.Stream.Category) || slices.Contains(q.Streams, r.Stream)) &&
		(len(q.Types) == 0 || slices.Contains(q.Types, r.Type))
}

// command makes an input of an operator's command.
func (i *instance[S, In, Out]) command(command any) esjs.Input[In] {
	i.tick()
	return esjs.Input[In]{Command: command, Time: i.now}
}

// timers returns what is armed, as it is declared.
func (i *instance[S, In, Out]) timers() []esjs.Timer {
	if i.process.Timers == nil {
		return nil
	}
	return i.process.Timers(i.state)
}

func (i *instance[S, In, Out]) armed(name string) (esjs.Timer, bool) {
	for _, timer := range i.timers() {
		if timer.Name == name {
			return timer, true
		}
	}
	return esjs.Timer{}, false
}

// fire makes an input of the armed timer, which fires when it is due, or at the
// time that was named and is later.
func (i *instance[S, In, Out]) fire(t testing.TB, name string) esjs.Input[In] {
	t.Helper()
	timer, ok := i.armed(name)
	if !ok {
		t.Fatalf("no timer %q is armed; armed are: %s", name, i.toldTimers())
	}
	if i.at.After(i.now) {
		i.now = i.at
	}
	if i.at = (time.Time{}); i.now.Before(timer.At) {
		i.now = timer.At
	}
	return i.fired(timer)
}

func (i *instance[S, In, Out]) fired(timer esjs.Timer) esjs.Input[In] {
	stream := esjs.StreamID{Category: i.process.Category, Key: i.key}
	return esjs.Input[In]{Timer: &esjs.Fired{Stream: stream, Name: timer.Name, Version: timer.Version, At: timer.At, FiredAt: i.now}, Time: i.now}
}

// toldTimers lists what is armed and how soon it is due.
func (i *instance[S, In, Out]) toldTimers() string {
	var all []string
	for _, timer := range i.timers() {
		all = append(all, fmt.Sprintf("%s in %v", timer.Name, timer.At.Sub(i.now).Round(time.Second)))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// takes tells that the runner shows the input to React: a timer that is not
// armed any more is passed over.
func (i *instance[S, In, Out]) takes(in esjs.Input[In]) bool {
	if in.Timer == nil {
		return true
	}
	timer, ok := i.armed(in.Timer.Name)
	return ok && timer.Version == in.Timer.Version
}

// react asks the process what an input causes, and demands that asking leaves
// the state as it was.
func (i *instance[S, In, Out]) react(t testing.TB, in esjs.Input[In]) (events []Out, err error) {
	t.Helper()
	if !i.takes(in) {
		return nil, nil
	}
	unchanged(t, "reacting to "+inputName(in), i.state, func() { events, err = i.process.React(i.state, in) })
	if err != nil && len(events) > 0 {
		t.Errorf("%s fails with %v and causes events as well: they are dropped", inputName(in), err)
		return nil, err
	}
	return events, err
}

// fold applies the instance's own events as they come back from the store, and
// demands that what is armed then can be armed.
func (i *instance[S, In, Out]) fold(t testing.TB, events []Out) {
	t.Helper()
	for _, e := range events {
		e = stored(t, i.process.Out, e)
		given := i.state
		unchanged(t, "applying "+e.EventType(), given, func() { i.state = i.process.Apply(given, e) })
		i.history = append(i.history[:len(i.history):len(i.history)], e)
	}
	checkTimers(t, i.timers(), uint64(len(i.history)))
}

// checkTimers demands what [esjs.Timer] says.
func checkTimers(t testing.TB, timers []esjs.Timer, version uint64) {
	t.Helper()
	named := map[string]bool{}
	for _, timer := range timers {
		switch {
		case named[timer.Name]:
			t.Errorf("two timers %q are armed at once", timer.Name)
		case timer.Version == 0 || timer.Version > version:
			t.Errorf("the timer %q has version %d, which is not that of one of the instance's %d events", timer.Name, timer.Version, version)
		case timer.At.IsZero():
			t.Errorf("the timer %q has no time", timer.Name)
		}
		named[timer.Name] = true
	}
}

// inputName names an input for people.
func inputName[In esjs.Event](in esjs.Input[In]) string {
	switch {
	case in.Event != nil:
		return in.Event.Type
	case in.Timer != nil:
		return "timer " + in.Timer.Name
	}
	return fmt.Sprintf("%T", in.Command)
}

// unexpected tells that React does not know the input in its state.
func unexpected(err error) bool { return errors.As(err, new(*esjs.UnexpectedError)) }
