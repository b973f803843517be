package esjstest

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// Samples are what [CheckAggregate] tries.
type Samples[C any, E esjs.Event] struct {
	// Events has one event of each type that the aggregate's codec knows, at
	// least, with a value in every field.
	Events []E
	// Golden is the directory of files that [CheckGolden] checks with Values;
	// their events are samples too. Empty: there are none.
	Golden string
	Values []any
	// Commands are given to every state that is reached.
	Commands []C
	// Histories lead to states that matter, beside those that Commands lead to.
	Histories [][]E
	// AddsUp tells commands that are meant to cause something each time, and are
	// told apart by their ids alone. Nil: there are none.
	AddsUp func(C) bool
}

// CheckAggregate checks in one call what every aggregate must be:
//
//   - Every type of its codec has a sample, and comes back from the store as it was;
//     what was ever published is still read, where there are golden files.
//   - Apply is total and pure: it takes every event in every state that up to
//     two others lead to, gives the same for the same, and leaves the state that it was
//     given, and the states that came of it before, as they are. Each sample is applied as
//     it is, with other texts, and, where it has personal values, as it is read after its
//     person was erased.
//   - A state survives a snapshot: it comes back as it was, and everything goes on from it
//     as from the events themselves.
//   - Decide is total and pure, and either causes events that come back from the store
//     or refuses; a *[esjs.Rejection] has a code and a message.
//   - A command that is decided again after what it caused causes nothing more,
//     in every state that histories and commands lead to.
//
// It looks at the first 64 states of the first kind, and 128 of the second.
func CheckAggregate[S, C any, E esjs.Event](t testing.TB, agg esjs.Aggregate[S, C, E], samples Samples[C, E]) {
	t.Helper()
	c := &check[S, E]{t: t, codec: agg.Codec, apply: agg.Apply}
	defer c.end()
	if samples.Golden != "" {
		CheckGolden(t, agg.Codec, samples.Golden, samples.Values...)
		samples.Events = slices.Concat(samples.Events, ReadSamples(t, agg.Codec, filepath.Join(samples.Golden, "*.json")))
	}
	c.sampled(samples.Events)
	commands, names := named(samples.Commands)
	decide := func(at visited[S], i int) []E {
		return c.asked(at, names[i], func(s S) ([]E, error) { return agg.Decide(s, commands[i]) })
	}
	samples.Events = c.andErased(samples.Events)
	variants := c.varied(samples.Events)
	for _, at := range c.anywhere(samples.Events).list {
		c.applied(at, samples.Events, variants)
		for command := range commands {
			decide(at, command)
		}
	}
	reached := c.reached(samples.Histories)
	for i := 0; i < len(reached.list); i++ { // it grows
		for command := range commands {
			decided := decide(reached.list[i], command)
			next := c.fold(reached.list[i], decided)
			reached.add(next)
			if len(decided) == 0 || samples.AddsUp != nil && samples.AddsUp(commands[command]) {
				continue
			}
			if again, err := agg.Decide(next.state, commands[command]); err == nil && len(again) > 0 {
				c.fail("%s: %s decided once more\n%s", next.path, names[command], lines(t, again))
			}
		}
	}
}

// named returns commands without those that are there twice, and their names for people.
func named[C any](all []C) (commands []C, names []string) {
	for _, command := range all {
		if name := fmt.Sprintf("%#v", command); !slices.Contains(names, name) {
			commands, names = append(commands, command), append(names, name)
		}
	}
	return commands, names
}

// CheckApply is the part of [CheckAggregate] about Apply and snapshots.
func CheckApply[S, C any, E esjs.Event](t testing.TB, agg esjs.Aggregate[S, C, E], samples ...E) {
	t.Helper()
	c := &check[S, E]{t: t, codec: agg.Codec, apply: agg.Apply}
	samples = c.andErased(samples)
	variants := c.varied(samples)
	for _, at := range c.anywhere(samples).list {
		c.applied(at, samples, variants)
	}
	c.end()
}

// check reports what is wrong with an Apply, and with what rests on it.
type check[S any, E esjs.Event] struct {
	t      testing.TB
	codec  *esjs.Codec[E]
	apply  func(S, E) S
	failed int
}

// failuresShown bounds what one check reports: one mistake shows everywhere.
const failuresShown = 5

func (c *check[S, E]) fail(format string, args ...any) {
	c.t.Helper()
	if c.failed++; c.failed <= failuresShown {
		c.t.Errorf(format, args...)
	}
}

func (c *check[S, E]) end() {
	c.t.Helper()
	if more := c.failed - failuresShown; more > 0 {
		c.t.Errorf("and %d more like these", more)
	}
}

// sampled demands a sample of each type, and that each comes back from the
// store as it was.
func (c *check[S, E]) sampled(samples []E) {
	c.t.Helper()
	seen := map[string]bool{}
	for _, e := range samples {
		seen[e.EventType()] = true
		c.comesBack(e)
	}
	for _, typ := range c.codec.Types() {
		if !seen[typ.Name] {
			c.fail("the type %s has no sample", typ.Name)
		}
	}
}

// andErased adds what samples with personal values are read as when their
// person was erased.
func (c *check[S, E]) andErased(samples []E) []E {
	c.t.Helper()
	all := slices.Clone(samples)
	for _, e := range samples {
		if _, personal := any(e).(esjs.PersonalEvent); !personal {
			continue
		}
		erased, err := c.codec.Erased(e)
		if err != nil {
			c.fail("%s does not decode when its person was erased: %v", e.EventType(), err)
			continue
		}
		all = append(all, erased)
	}
	return all
}

// applied checks Apply in one state on every event, and on variants of those
// that change something.
func (c *check[S, E]) applied(at visited[S], events []E, variants [][]E) {
	c.t.Helper()
	if after := text(c.t, at.snapshot); after != at.text {
		c.fail("%s: the state does not survive a snapshot\n%s", at.path, diff(at.text, after))
	}
	var outcomes []outcome[S]
	for i, e := range events {
		o, ok := c.outcome(at, e)
		if !ok {
			return
		}
		if o.text == at.text {
			continue
		}
		outcomes = append(outcomes, o)
		for _, variant := range variants[i] {
			if o, ok = c.outcome(at, variant); !ok {
				return
			}
			outcomes = append(outcomes, o)
		}
	}
	for _, o := range outcomes {
		for _, state := range []S{o.state, o.restored} {
			if after := text(c.t, state); after != o.text {
				c.fail("%s: applying another event to one state changed the state that %s had given\n%s", at.path, o.event, diff(o.text, after))
			}
		}
	}
}

// outcome is what an event makes of a state, and of the state's snapshot.
type outcome[S any] struct {
	event           string
	state, restored S
	text            string
}

// outcome applies one event; false when that changed the state that it was given.
func (c *check[S, E]) outcome(at visited[S], e E) (o outcome[S], ok bool) {
	c.t.Helper()
	what := at.path + ": applying " + e.EventType()
	var again S
	c.calmly(what, func() { o.state = c.apply(at.state, e) })
	o.event, o.text = e.EventType(), text(c.t, o.state)
	if after := text(c.t, at.state); after != at.text {
		c.fail("%s changed the state that it was given\n%s", what, diff(at.text, after))
		return o, false
	}
	c.calmly(what, func() { again, o.restored = c.apply(at.state, e), c.apply(at.snapshot, e) })
	if second := text(c.t, again); o.text != second {
		c.fail("%s gives two states\n%s", what, diff(o.text, second))
	} else if third := text(c.t, o.restored); o.text != third {
		c.fail("%s gives another state after a snapshot\n%s", what, diff(o.text, third))
	}
	return o, true
}

// asked asks a pure function, Decide or React, what something causes in one
// state, and returns that; nothing when it fails.
func (c *check[S, E]) asked(at visited[S], what string, ask func(S) ([]E, error)) []E {
	c.t.Helper()
	what = at.path + ": " + what
	answer := func(state S) (events []E, told string) {
		var err error
		c.calmly(what, func() { events, err = ask(state) })
		if err == nil {
			return events, lines(c.t, events)
		}
		if len(events) > 0 {
			c.fail("%s fails with %v and causes events as well\n%s", what, err, lines(c.t, events))
		}
		var refusal *esjs.Rejection
		if !errors.As(err, &refusal) {
			return nil, "an error"
		}
		if refusal.Code == "" || refusal.Message == "" {
			c.fail("%s is refused without a code or a message: %+v", what, refusal)
		}
		return nil, "refused with " + refusal.Code
	}
	events, first := answer(at.state)
	if _, second := answer(at.state); first != second {
		c.fail("%s has two answers\n%s", what, diff(first, second))
	}
	if _, third := answer(at.snapshot); first != third {
		c.fail("%s has another answer after a snapshot\n%s", what, diff(first, third))
	}
	if after := text(c.t, at.state); after != at.text {
		c.fail("%s changed the state\n%s", what, diff(at.text, after))
	}
	for _, e := range events {
		c.comesBack(e)
	}
	return events
}

// comesBack demands that an event comes back from the store as it was.
func (c *check[S, E]) comesBack(e E) {
	c.t.Helper()
	recorded, err := c.codec.Decode(record(c.t, e))
	if err != nil {
		c.fail("an event that was stored does not come back: %v", err)
		return
	}
	if was, is := told(c.t, e), told(c.t, recorded.Event); was != is {
		c.fail("an event does not come back from the store as it was\n%s", diff(was, is))
	}
}

// calmly does something whose panic is a failure, and not the end of the test.
func (c *check[S, E]) calmly(what string, f func()) {
	c.t.Helper()
	defer func() {
		if r := recover(); r != nil {
			c.t.Helper()
			c.fail("%s: it panicked: %v", what, r)
		}
	}()
	f()
}
