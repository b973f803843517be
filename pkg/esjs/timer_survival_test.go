package esjs_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go"
)

// Timers that were armed fire after the server's process was killed, also those
// whose time came while it was dead, and not early.
func TestTimersSurviveAKilledServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := startServer(t, dir)
	dial := esjs.DialURL(first.URL())
	if err := esjs.Provision(within(t), dial, esjs.Config{}); err != nil {
		t.Fatal(err)
	}
	if err := esjs.ProvisionTimers(within(t), dial, 1); err != nil {
		t.Fatal(err)
	}
	store, err := esjs.Open(within(t), dial, esjs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	timers, err := esjs.OpenTimers(within(t), store, "saga")
	if err != nil {
		t.Fatal(err)
	}
	const n = 20
	soon := time.Now().Add(time.Second)
	for i := range n {
		id := esjs.StreamID{Category: "fulfilment", Key: fmt.Sprint("o-", i)}
		at := soon.Add(time.Duration(i%2) * 4 * time.Second)
		if err := timers.Set(within(t), id, esjs.Timer{Name: "step", At: at, Version: 1}); err != nil {
			t.Fatal(err)
		}
	}
	kill(t, first)
	store.Close()
	<-time.After(time.Until(soon)) // half of them are due while nobody is there

	second := startServer(t, dir)
	nc, err := nats.Connect(second.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js := jetStream(t, nc)
	stream, err := js.Stream(within(t), "TIMERS")
	if err != nil {
		t.Fatal(err)
	}
	for subject, by := range fired(t, stream, "timer.saga.fired.>", n) {
		if by < 0 {
			t.Errorf("%s fired %s early", subject, -by)
		}
	}
	kill(t, second)
}

// What ends a wait disarms its timer in the same commit: whichever comes first,
// the other one finds nothing to do, however close they are.
func TestTimerAndWhatDisarmsItAtTheSameTime(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		r := newAssemblyRig(t, d)
		_, stream := openTimers(t, d, "test")
		s := newSignals()
		p := r.start(t, options{config: func(c *esjs.ProcessConfig) { c.Observer = s }, process: func(p *esjs.Process[assembly, esjs.Event, esjs.Event]) {
			react := p.React
			p.React = func(a assembly, in esjs.Input[esjs.Event]) ([]esjs.Event, error) {
				if in.Timer != nil {
					return []esjs.Event{givenUp{Reason: "late"}}, nil
				}
				return react(a, in)
			}
		}})
		const n = 30
		deadline := time.Now().Add(2 * time.Second)
		for i := range n {
			order := fmt.Sprint("o-", i)
			r.arrive(t, order, "left")
			r.place(t, order, max(time.Until(deadline), 0))
		}
		for i := range n { // before, at, and after the deadline
			<-time.After(time.Until(deadline.Add(time.Duration(4*i-2*n) * time.Millisecond)))
			r.arrive(t, fmt.Sprint("o-", i), "right")
		}
		s.await(t, "all inputs are handled", func() bool { return s.handled["assembly"] >= 3*n })
		// Each timer has fired, or was taken back.
		var over []string
		eventually(t, "timers are left", func() bool {
			over = timersNow(t, stream, "test")
			return !slices.ContainsFunc(over, func(name string) bool { return strings.HasPrefix(name, "set.") })
		})
		first := slices.IndexFunc(over, func(name string) bool { return strings.HasPrefix(name, "fired.") })
		s.await(t, "all fired timers are handled", func() bool { return first < 0 || s.handled["assembly-timers"] >= len(over)-first })
		p.shutdown(t)
		ends := map[string]int{}
		for i := range n {
			history := typesOf(r.history(t, fmt.Sprint("o-", i)))
			switch history {
			case "PartNoted AssemblyStarted PartNoted Assembled", "PartNoted AssemblyStarted GivenUp":
				ends[history]++
			default:
				t.Errorf("o-%d: %s", i, history)
			}
		}
		t.Log(ends)
	})
}
