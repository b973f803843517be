package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go/jetstream"
)

func quickSweeps(s *signals) options {
	return options{config: func(c *esjs.ProcessConfig) { c.Sweep, c.Observer = 100*time.Millisecond, s }}
}

// A sweep that fails is told and repeated, and works when what it needs is back.
func TestSweepThatFailsIsTold(t *testing.T) {
	t.Parallel()
	r := newAssemblyRig(t, esjstest.Server(t))
	s := newSignals()
	p := r.start(t, quickSweeps(s))
	s.await(t, "a sweep works", func() bool { return s.handled["assembly-sweep"] > 0 })
	js := jetStream(t, r.Connect(t))
	if err := js.DeleteKeyValue(contextWithPatience(t), openOnes); err != nil {
		t.Fatal(err)
	}
	s.await(t, "failed sweeps are told", func() bool { return s.failed["assembly-sweep"] > 1 })
	if err := esjs.ProvisionBucket(contextWithPatience(t), r.Dial(), openOnes, 1); err != nil {
		t.Fatal(err)
	}
	worked := s.count(s.handled, "assembly-sweep")
	s.await(t, "a sweep works again", func() bool { return s.handled["assembly-sweep"] > worked })
	p.shutdown(t)
}

// An instance that cannot be loaded is told with every sweep, and keeps neither
// the list from being made nor the others from being armed.
func TestSweepGoesOnBesideADamagedInstance(t *testing.T) {
	t.Parallel()
	r := newAssemblyRig(t, esjstest.Server(t))
	p := r.start(t, options{})
	r.place(t, "o-1", 2*time.Second)
	r.seen.await(t, "o-1", "AssemblyStarted")
	p.shutdown(t)
	r.append(t, "assembly", "damaged", unheard{}) // which the process does not know
	renewBucket(t, r.Deployment, openOnes)
	js := jetStream(t, r.Connect(t))
	if err := js.DeleteStream(contextWithPatience(t), "TIMERS"); err != nil {
		t.Fatal(err)
	}
	if err := esjs.ProvisionTimers(contextWithPatience(t), r.Dial(), 1); err != nil {
		t.Fatal(err)
	}
	s := newSignals()
	p = r.start(t, quickSweeps(s))
	r.seen.until("o-1", 3)
	r.check(t, "o-1", "AssemblyStarted", "Reminded", "GivenUp")
	s.await(t, "the damaged one is told", func() bool {
		return s.failed["assembly-sweep"] > 1 && strings.Contains(s.lastError["assembly-sweep"], "assembly/damaged")
	})
	kv, err := js.KeyValue(contextWithPatience(t), openOnes)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Get(contextWithPatience(t), "assembly"); err != nil {
		t.Errorf("the list is not complete: %v", err)
	}
	p.shutdown(t)
}

// A refused command leaves nothing behind for ever.
func TestInstanceThatNeverCameToBeLeavesTheList(t *testing.T) {
	t.Parallel()
	r := newAssemblyRig(t, esjstest.Server(t))
	s := newSignals()
	o := quickSweeps(s)
	o.process = func(p *esjs.Process[assembly, esjs.Event, esjs.Event]) {
		react := p.React
		p.React = func(a assembly, in esjs.Input[esjs.Event]) ([]esjs.Event, error) {
			if in.Command != nil && !a.Started {
				return nil, esjs.Unexpected(a.String(), describe(in))
			}
			return react(a, in)
		}
	}
	p := r.start(t, o)
	s.await(t, "the list is made", func() bool { return s.handled["assembly-sweep"] > 0 })
	if _, err := p.Handle(contextWithPatience(t), "ghost", giveUp{}); err == nil {
		t.Fatal("the command was not refused")
	}
	js := jetStream(t, r.Connect(t))
	kv, err := js.KeyValue(contextWithPatience(t), openOnes)
	if err != nil {
		t.Fatal(err)
	}
	swept := s.count(s.handled, "assembly-sweep")
	s.await(t, "it is swept", func() bool { return s.handled["assembly-sweep"] > swept+2 })
	if _, err := kv.Get(contextWithPatience(t), "assembly.ghost"); err != nil {
		t.Errorf("the entry of a command that may still be appended: %v", err)
	}
	p.shutdown(t)
	o.runner = func(p *runner) { p.ForgetAfter(time.Nanosecond) }
	p = r.start(t, o)
	eventually(t, "it is still listed", func() bool {
		_, err := kv.Get(contextWithPatience(t), "assembly.ghost")
		return errors.Is(err, jetstream.ErrKeyNotFound)
	})
	p.shutdown(t)
}

// A check before the start sees the state of all that is open, also where the
// list of it was lost, and may refuse.
func TestEachOpenInstanceCanBeCheckedBeforeTheStart(t *testing.T) {
	t.Parallel()
	r := newAssemblyRig(t, esjstest.Server(t))
	p := r.start(t, options{})
	for _, order := range []string{"open-1", "open-2", "ended"} {
		r.place(t, order, time.Hour)
		r.seen.await(t, order, "AssemblyStarted")
	}
	r.arrive(t, "ended", "left")
	r.arrive(t, "ended", "right")
	r.seen.await(t, "ended", "AssemblyStarted", "PartNoted", "PartNoted", "Assembled")
	open := func() string {
		t.Helper()
		var mu sync.Mutex
		var keys []string
		if err := p.EachOpen(contextWithPatience(t), func(key string, a assembly) error {
			mu.Lock()
			defer mu.Unlock()
			keys = append(keys, fmt.Sprintf("%s %v", key, a))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(keys)
		return strings.Join(keys, ", ")
	}
	eventually(t, "it is not the open ones that are seen", func() bool { return open() == "open-1 started, open-2 started" })
	err := p.EachOpen(contextWithPatience(t), func(key string, _ assembly) error { return errors.New("no parts for " + key) })
	if err == nil || !strings.Contains(err.Error(), "no parts for open-1") || !strings.Contains(err.Error(), "no parts for open-2") {
		t.Errorf("the check fails with %v", err)
	}
	p.shutdown(t)
}

func TestSweepArmsWhatIsMissing(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		r := newAssemblyRig(t, d)
		s := newSignals()
		sweeping := options{config: func(c *esjs.ProcessConfig) { c.Sweep, c.Observer = 200*time.Millisecond, s }}
		p := r.start(t, sweeping)
		// One whose deadline comes while the stream is gone, one long after.
		r.place(t, "o-1", 500*time.Millisecond)
		r.place(t, "o-2", 1500*time.Millisecond)
		s.await(t, "both are handled", func() bool { return s.handled["assembly"] >= 2 })
		js := jetStream(t, d.Connect(t))
		if err := js.DeleteStream(contextWithPatience(t), "TIMERS"); err != nil {
			t.Fatal(err)
		}
		if err := esjs.ProvisionTimers(contextWithPatience(t), d.Dial(), d.Replicas()); err != nil {
			t.Fatal(err)
		}
		r.seen.await(t, "o-1", "AssemblyStarted", "Reminded", "GivenUp")
		r.seen.await(t, "o-2", "AssemblyStarted", "Reminded", "GivenUp")
		p.shutdown(t)

		// The list of open instances can be lost, too.
		p = r.start(t, options{})
		r.place(t, "o-3", time.Second)
		r.seen.await(t, "o-3", "AssemblyStarted")
		p.shutdown(t)
		renewBucket(t, d, openOnes)
		if err := js.DeleteStream(contextWithPatience(t), "TIMERS"); err != nil {
			t.Fatal(err)
		}
		if err := esjs.ProvisionTimers(contextWithPatience(t), d.Dial(), d.Replicas()); err != nil {
			t.Fatal(err)
		}
		p = r.start(t, sweeping)
		r.seen.await(t, "o-3", "AssemblyStarted", "Reminded", "GivenUp")
		p.shutdown(t)
	})
}

func TestServerThatIsAwayParksNobody(t *testing.T) {
	t.Parallel()
	r := newAssemblyRig(t, esjstest.Server(t))
	s := newSignals()
	p := r.start(t, observed(s))
	r.place(t, "o-0", 100*time.Millisecond)
	s.await(t, "the process has timers", func() bool { return s.handled["assembly-timers"] >= 2 })
	js := jetStream(t, r.Connect(t))
	if err := js.DeleteStream(contextWithPatience(t), "TIMERS"); err != nil {
		t.Fatal(err)
	}
	r.place(t, "o-1", 300*time.Millisecond)
	// More calls than attempts: the timer cannot be armed, which is not the instance's fault.
	s.await(t, "the input is tried again and again", func() bool { return s.failed["assembly"] > 3 })
	if s.parked["assembly"] != 0 {
		t.Error("the instance is parked")
	}
	if err := esjs.ProvisionTimers(contextWithPatience(t), r.Dial(), 1); err != nil {
		t.Fatal(err)
	}
	r.seen.await(t, "o-1", "AssemblyStarted", "Reminded", "GivenUp")
	p.shutdown(t)
}

// A standby that was configured before an instance began leaves it to one that knows it.
func TestProcessThatIsNotConfiguredForAnInstanceParksNobody(t *testing.T) {
	t.Parallel()
	r := newAssemblyRig(t, esjstest.Server(t))
	s := newSignals()
	old := observed(s)
	old.process = func(p *esjs.Process[assembly, esjs.Event, esjs.Event]) {
		react := p.React
		p.React = func(state assembly, in esjs.Input[esjs.Event]) ([]esjs.Event, error) {
			if in.Event != nil && in.Event.Stream.Key == "o-new" {
				return nil, fmt.Errorf("%w: its policy is not among those that are given", esjs.ErrConfig)
			}
			return react(state, in)
		}
	}
	p := r.start(t, old)
	r.place(t, "o-new", time.Hour)
	// More calls than attempts.
	s.await(t, "the input is tried again and again", func() bool { return s.failed["assembly"] > 3 })
	p.quarantined(t)
	p.shutdown(t)
	p = r.start(t, options{})
	r.seen.await(t, "o-new", "AssemblyStarted")
	p.quarantined(t)
	p.shutdown(t)
}

func TestEndedInstancesLeaveTheList(t *testing.T) {
	t.Parallel()
	r := newAssemblyRig(t, esjstest.Server(t))
	p := r.start(t, options{})
	r.place(t, "o-1", time.Hour)
	r.place(t, "o-2", time.Hour)
	r.arrive(t, "o-1", "left")
	r.arrive(t, "o-1", "right")
	r.seen.await(t, "o-1", "AssemblyStarted", "PartNoted", "PartNoted", "Assembled")
	r.seen.await(t, "o-2", "AssemblyStarted")
	p.shutdown(t)
	js := jetStream(t, r.Connect(t))
	kv, err := js.KeyValue(contextWithPatience(t), openOnes)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Get(contextWithPatience(t), "assembly.o-1"); !errors.Is(err, jetstream.ErrKeyNotFound) {
		t.Errorf("the entry of an instance that has ended: %v, want none", err)
	}
	if _, err := kv.Get(contextWithPatience(t), "assembly.o-2"); err != nil {
		t.Errorf("the entry of an open instance: %v", err)
	}
}

// The timers of a command are armed also where a sweep has looked between its entry on the list and its append, and who gave it
// does not learn that it was stored.
func TestACommandOfUnknownOutcomeKeepsItsTimers(t *testing.T) {
	t.Parallel()
	r := newAssemblyRig(t, esjstest.Server(t))
	s := newSignals()
	p := r.start(t, quickSweeps(s))
	r.place(t, "o-1", time.Hour)
	r.seen.await(t, "o-1", "AssemblyStarted")

	f := r.Faults()
	ctx, lose := context.WithCancel(contextWithPatience(t))
	operator := r.operator(t, f.Dial(), func() {
		swept := s.count(s.handled, "assembly-sweep")
		s.await(t, "a whole sweep comes first", func() bool { return s.handled["assembly-sweep"] > swept+1 })
		f.BeforeAppend(lose)
	})
	if _, err := operator.Handle(ctx, "o-1", extend{wait: 100 * time.Millisecond}); !errors.Is(err, esjs.ErrUnknownOutcome) {
		t.Errorf("the command: %v, want an unknown outcome", err)
	}
	r.seen.await(t, "o-1", "AssemblyStarted", "Reminded", "GivenUp")
	p.shutdown(t)
}
