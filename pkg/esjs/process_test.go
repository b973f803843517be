package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

func observed(s *signals) options {
	return options{config: func(c *esjs.ProcessConfig) { c.Observer = s }}
}

func TestProcessReactsInWhateverOrderInputsCome(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		r := newAssemblyRig(t, d)
		p := r.start(t, options{})
		r.place(t, "o 1", time.Hour)
		r.arrive(t, "o 1", "left")
		r.arrive(t, "o 1", "right")
		r.arrive(t, "o 2", "left")
		r.arrive(t, "o 2", "right")
		r.place(t, "o 2", time.Hour)
		first := r.seen.await(t, "o 1", "AssemblyStarted", "PartNoted", "PartNoted", "Assembled")
		r.seen.await(t, "o 2", "PartNoted", "PartNoted", "AssemblyStarted", "Assembled")

		var cause esjs.Record
		for record, err := range r.store.Read(contextWithPatience(t), esjs.StreamID{Category: "order", Key: "o 1"}, 1, 0) {
			if err != nil {
				t.Fatal(err)
			}
			cause = record
		}
		m := first[0].Metadata
		if m.CausationID != cause.ID || m.CorrelationID != "o 1" || !first[0].Time.Equal(cause.Time) ||
			m.Input != (esjs.InputRef{ID: cause.ID, Source: "/order", Position: cause.Position, Version: 1}) {
			t.Errorf("the first event has %+v at %s, want what names its cause %+v", m, first[0].Time, cause)
		}
		loaded, err := p.Load(contextWithPatience(t), "o 2", esjs.Fresh())
		if err != nil || !loaded.State.Ended {
			t.Errorf("loaded %+v, %v, want an assembly that has ended", loaded.State, err)
		}
		p.shutdown(t)
	})
}

func TestProcessActsAtItsDeadlines(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		r := newAssemblyRig(t, d)
		s := newSignals()
		p := r.start(t, observed(s))
		if _, err := r.store.AppendWrite(contextWithPatience(t), esjs.Write{
			Stream: esjs.StreamID{Category: "order", Key: "o-1"}, Expect: esjs.NoStream(), Metadata: esjs.Metadata{CorrelationID: "case-7"},
			Events: []esjs.Event{placed{Order: "o-1", WaitMS: 300}},
		}); err != nil {
			t.Fatal(err)
		}
		records := r.seen.await(t, "o-1", "AssemblyStarted", "Reminded", "GivenUp")
		for i := 1; i < 3; i++ {
			if waited := records[i].Time.Sub(records[i-1].Time); waited < 300*time.Millisecond {
				t.Errorf("%s came %s after %s, want at least 300 ms", records[i].Type, waited, records[i-1].Type)
			}
			m := records[i].Metadata
			if m.Input.Source != "/timer/deadline" || m.CausationID != m.Input.ID || m.CorrelationID != "case-7" {
				t.Errorf("%s has %+v, want what names its timer, and the correlation of what began it", records[i].Type, m)
			}
		}
		s.await(t, "both timers are handled", func() bool { return s.handled["assembly-timers"] >= 2 })
		p.shutdown(t)
		r.check(t, "o-1", "AssemblyStarted", "Reminded", "GivenUp")
	})
}

func TestProcessIgnoresInputsThatItConsumedBefore(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		r := newAssemblyRig(t, d)
		p := r.start(t, options{})
		const n = 10
		for i := range n {
			order := fmt.Sprint("o-", i)
			r.place(t, order, time.Hour)
			r.arrive(t, order, "left")
			// Two events in one commit: both must be consumed, and both once.
			r.append(t, "part", r.key(order, "rest"), partArrived{Order: order, Part: "left"}, partArrived{Order: order, Part: "right"})
		}
		for i := range n {
			r.seen.await(t, fmt.Sprint("o-", i), "AssemblyStarted", "PartNoted", "PartNoted", "Assembled")
		}
		p.shutdown(t)

		// Without its positions the process reads everything again.
		s := newSignals()
		var reactions atomic.Int32
		o := observed(s)
		o.process = func(p *esjs.Process[assembly, esjs.Event, esjs.Event]) {
			react := p.React
			p.React = func(a assembly, in esjs.Input[esjs.Event]) ([]esjs.Event, error) {
				reactions.Add(1)
				return react(a, in)
			}
		}
		renewBucket(t, d, positions)
		p = r.start(t, o)
		s.await(t, "all inputs are handled again", func() bool { return s.handled["assembly"] >= 3*n })
		p.shutdown(t)
		if got := reactions.Load(); got != 0 {
			t.Errorf("React was called %d times for inputs that were consumed before", got)
		}
		for i := range n {
			r.check(t, fmt.Sprint("o-", i), "AssemblyStarted", "PartNoted", "PartNoted", "Assembled")
		}
	})
}

// renewBucket loses what a bucket holds.
func renewBucket(t *testing.T, d *esjstest.Deployment, bucket string) {
	t.Helper()
	ctx := contextWithPatience(t)
	js := jetStream(t, d.Connect(t))
	if err := js.DeleteKeyValue(ctx, bucket); err != nil {
		t.Fatal(err)
	}
	if err := esjs.ProvisionBucket(ctx, d.Dial(), bucket, d.Replicas()); err != nil {
		t.Fatal(err)
	}
}

func TestTimersThatAreNotArmedAreIgnored(t *testing.T) {
	t.Parallel()
	r := newAssemblyRig(t, esjstest.Server(t))
	s := newSignals()
	p := r.start(t, observed(s))
	r.place(t, "o-1", time.Hour)
	s.await(t, "the order is handled", func() bool { return s.handled["assembly"] >= 1 })

	timers, err := esjs.OpenTimers(contextWithPatience(t), r.store, "test")
	if err != nil {
		t.Fatal(err)
	}
	id := esjs.StreamID{Category: "assembly", Key: "o-1"}
	for _, timer := range []esjs.Timer{
		{Name: "deadline", Version: 2},                    // of another version
		{Name: "other", Version: 1},                       // of another name
		{Name: "deadline", Version: 1},                    // armed for later already: stays armed
		{Name: "deadline", Version: 18446744073709551615}, // of a version that will never be
	} {
		timer.At = time.Now()
		if err := timers.Set(contextWithPatience(t), id, timer); err != nil {
			t.Fatal(err)
		}
	}
	stranger := esjs.StreamID{Category: "assembly", Key: "nobody"}
	if err := timers.Set(contextWithPatience(t), stranger, esjs.Timer{Name: "deadline", At: time.Now(), Version: 1}); err != nil {
		t.Fatal(err)
	}
	s.await(t, "the timers are handled", func() bool { return s.handled["assembly-timers"] >= 4 })
	p.shutdown(t)
	r.check(t, "o-1", "AssemblyStarted")
	r.check(t, "nobody")
}

func TestQuarantinedInstanceWaitsAloneAndGoesOnInOrder(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		r := newAssemblyRig(t, d)
		s := newSignals()
		var blessed atomic.Bool
		o := observed(s)
		o.process = func(p *esjs.Process[assembly, esjs.Event, esjs.Event]) {
			react := p.React
			p.React = func(a assembly, in esjs.Input[esjs.Event]) ([]esjs.Event, error) {
				if in.Event != nil {
					if e, ok := in.Event.Event.(partArrived); ok && e.Part == "cursed" && blessed.Load() {
						return completeAssembly(a, partNoted{Part: "cursed"}), nil
					}
				}
				return react(a, in)
			}
		}
		p := r.start(t, o)
		ill := inTime("ill", func(ill string, wait time.Duration) {
			r.place(t, ill, wait)
			r.arrive(t, ill, "cursed")
			r.arrive(t, ill, "right")
			s.await(t, "the instance is parked", func() bool { return s.parked["assembly"] == 1 })
		}, func(ill string) {
			blessed.Store(true)
			defer blessed.Store(false)
			if err := r.subscription().Release(contextWithPatience(t), ill); err != nil {
				t.Fatal(err)
			}
			s.await(t, "the instance goes on", func() bool { return s.parked["assembly"] == 0 })
		})
		before := s.count(s.handled, "assembly-timers")
		r.place(t, "well", 100*time.Millisecond)
		r.seen.await(t, "well", "AssemblyStarted", "Reminded", "GivenUp")
		s.await(t, "the timer of the parked instance fires", func() bool { return s.handled["assembly-timers"] >= before+3 })
		r.check(t, ill, "AssemblyStarted")

		blessed.Store(true)
		if err := r.subscription().Release(contextWithPatience(t), ill); err != nil {
			t.Fatal(err)
		}
		records := r.seen.await(t, ill, "AssemblyStarted", "PartNoted", "PartNoted", "Assembled")
		if got := string(records[1].Data); got != `{"part":"cursed"}` {
			t.Errorf("the first part is %s, want the cursed one, which came first", got)
		}
		s.await(t, "the timer that was left is not needed", func() bool { return s.parked["assembly"] == 0 })
		p.shutdown(t)
	})
}

func TestUnexpectedInputs(t *testing.T) {
	t.Parallel()
	r := newAssemblyRig(t, esjstest.Server(t))
	s := newSignals()
	p := r.start(t, observed(s))
	r.place(t, "o-1", time.Hour)
	r.seen.await(t, "o-1", "AssemblyStarted")
	result, err := p.Handle(contextWithPatience(t), "o-1", giveUp{Reason: "changed my mind"})
	if err != nil || !result.State.Ended || result.Version != 2 {
		t.Errorf("a command gave %+v, %v", result, err)
	}
	var refused *esjs.Rejection
	if _, err := p.Handle(contextWithPatience(t), "o-1", giveUp{}); !errors.As(err, &refused) || refused.Code != "unexpected" {
		t.Errorf("a command that is not possible gave %v, want a rejection", err)
	}
	r.arrive(t, "o-1", "left")
	s.await(t, "the late part is told", func() bool {
		return len(s.unexpected) == 1 && s.unexpected[0] == "assembly: PartArrived when ended"
	})
	p.shutdown(t)
	r.check(t, "o-1", "AssemblyStarted", "GivenUp")
}

func TestProcessThatIsNotCompleteIsRefused(t *testing.T) {
	t.Parallel()
	r := newAssemblyRig(t, esjstest.Server(t))
	for name, change := range map[string]func(*esjs.Process[assembly, esjs.Event, esjs.Event], *esjs.ProcessConfig){
		"no name": func(p *esjs.Process[assembly, esjs.Event, esjs.Event], _ *esjs.ProcessConfig) { p.Name = "" },
		"a long name": func(p *esjs.Process[assembly, esjs.Event, esjs.Event], _ *esjs.ProcessConfig) {
			p.Name = strings.Repeat("n", 58)
		},
		"no such bucket": func(_ *esjs.Process[assembly, esjs.Event, esjs.Event], c *esjs.ProcessConfig) {
			c.Bucket = "NOT_THERE"
		},
		"no category":  func(p *esjs.Process[assembly, esjs.Event, esjs.Event], _ *esjs.ProcessConfig) { p.Category = "" },
		"no React":     func(p *esjs.Process[assembly, esjs.Event, esjs.Event], _ *esjs.ProcessConfig) { p.React = nil },
		"no codec":     func(p *esjs.Process[assembly, esjs.Event, esjs.Event], _ *esjs.ProcessConfig) { p.In = nil },
		"no service":   func(_ *esjs.Process[assembly, esjs.Event, esjs.Event], c *esjs.ProcessConfig) { c.Service = "" },
		"no positions": func(_ *esjs.Process[assembly, esjs.Event, esjs.Event], c *esjs.ProcessConfig) { c.Bucket = "" },
		"no instances": func(_ *esjs.Process[assembly, esjs.Event, esjs.Event], c *esjs.ProcessConfig) { c.Instances = "" },
		"another bucket": func(_ *esjs.Process[assembly, esjs.Event, esjs.Event], c *esjs.ProcessConfig) {
			c.Instances = "NOT_THERE"
		},
	} {
		process, cfg := assemblyProcess(t), esjs.ProcessConfig{Service: "test", Bucket: positions, Instances: openOnes}
		change(&process, &cfg)
		if _, err := esjs.NewProcess(context.Background(), r.store, process, cfg); !errors.Is(err, esjs.ErrConfig) {
			t.Errorf("%s: %v, want ErrConfig", name, err)
		}
	}
}
