package esjstest

import (
	"slices"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// ProcessSamples are what [CheckProcess] tries.
type ProcessSamples[In, Out esjs.Event] struct {
	// Inputs has one event of each type that the process's Inputs name, at
	// least, all of them about one instance.
	Inputs []InputSample[In]
	// Commands are an operator's.
	Commands []any
	// Own has one event of each type that the process's Out knows, at least,
	// with a value in every field.
	Own []Out
	// Histories lead to states that matter, beside those that Inputs lead to.
	Histories [][]Out
}

// InputSample is an event of another stream.
type InputSample[In esjs.Event] struct {
	Stream esjs.StreamID
	Event  In
}

// CheckProcess checks in one call what every process must be. It gives every
// input and every armed timer to the process in every state that histories and
// inputs lead to, the first 128 of them:
//
//   - Every type that Inputs name has a sample, Inputs select it, and Key finds its
//     instance; every type of Out has a sample, and comes back from the store as it was.
//   - Apply is total and pure, and a state survives a snapshot, as [CheckAggregate] says.
//   - React is total and pure, and either fails or causes events that come back from the
//     store.
//   - Timers have one name each, a time, and the version of an event of the instance.
//   - A timer that fired and caused something is not waited for any longer: it fires once.
func CheckProcess[S any, In, Out esjs.Event](t testing.TB, p esjs.Process[S, In, Out], samples ProcessSamples[In, Out]) {
	t.Helper()
	c := &check[S, Out]{t: t, codec: p.Out, apply: p.Apply}
	defer c.end()
	c.sampled(samples.Own)
	for _, name := range p.Inputs.Types {
		if !slices.ContainsFunc(samples.Inputs, func(s InputSample[In]) bool { return s.Event.EventType() == name }) {
			c.fail("the input %s has no sample", name)
		}
	}
	start := newInstance(p)
	var inputs []esjs.Input[In]
	for _, sample := range samples.Inputs {
		inputs = append(inputs, start.event(t, sample.Stream, sample.Event))
	}
	for _, command := range samples.Commands {
		inputs = append(inputs, start.command(command))
	}
	react := func(at visited[S], in esjs.Input[In]) []Out {
		return c.asked(at, inputName(in), func(s S) ([]Out, error) { return p.React(s, in) })
	}
	variants := c.varied(samples.Own)
	for _, at := range c.anywhere(samples.Own).list {
		c.applied(at, samples.Own, variants)
		for _, in := range inputs {
			react(at, in)
		}
	}
	reached := c.reached(samples.Histories)
	for i := 0; i < len(reached.list); i++ { // it grows
		at := reached.list[i]
		for _, in := range inputs {
			reached.add(c.fold(at, react(at, in)))
		}
		instance := *start
		instance.state = at.state
		checkTimers(t, instance.timers(), at.version)
		for _, timer := range instance.timers() {
			fired := instance
			fired.now = timer.At
			caused := react(at, fired.fired(timer))
			next := c.fold(at, caused)
			reached.add(next)
			fired.state = next.state
			if still, ok := fired.armed(timer.Name); ok && len(caused) > 0 && still.Version == timer.Version {
				c.fail("%s: the timer %q has fired and is still waited for", next.path, timer.Name)
			}
		}
	}
}
