package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func observed(s *signals) options {
	return options{config: func(c *esjs.ProcessConfig) { c.Observer = s }}
}

func TestProcessReactsInWhateverOrderInputsCome(t *testing.T) {
	t.Parallel()
	bothDeployments(t, func(t *testing.T, d *esjstest.Deployment) {
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
	bothDeployments(t, func(t *testing.T, d *esjstest.Deployment) {
		r := newAssemblyRig(t, d)
		s := newSignals()
		p := r.start(t, observed(s))
		r.place(t, "o-1", 300*time.Millisecond)
		records := r.seen.await(t, "o-1", "AssemblyStarted", "Reminded", "GivenUp")
		for i := 1; i < 3; i++ {
			if waited := records[i].Time.Sub(records[i-1].Time); waited < 300*time.Millisecond {
				t.Errorf("%s came %s after %s, want at least 300 ms", records[i].Type, waited, records[i-1].Type)
			}
			m := records[i].Metadata
			if m.Input.Source != "/timer/deadline" || m.CausationID != m.Input.ID || m.CorrelationID != "o-1" {
				t.Errorf("%s has %+v, want what names its timer", records[i].Type, m)
			}
		}
		s.await(t, "both timers are handled", func() bool { return s.handled["assembly-timers"] == 2 })
		p.shutdown(t)
		r.check(t, "o-1", "AssemblyStarted", "Reminded", "GivenUp")
	})
}

// crashPoints are places in which a process can end. Each installs what calls
// crash when the place is reached.
var crashPoints = map[string]func(t *testing.T, r *assemblyRig, o *options, crash func()){
	"before an append": func(_ *testing.T, _ *assemblyRig, o *options, crash func()) {
		o.process = func(p *esjs.Process[assembly, esjs.Event, esjs.Event]) {
			react := p.React
			p.React = func(a assembly, in esjs.Input[esjs.Event]) ([]esjs.Event, error) {
				events, err := react(a, in)
				if len(events) > 0 {
					crash()
				}
				return events, err
			}
		}
	},
	"after an append": func(_ *testing.T, _ *assemblyRig, o *options, crash func()) {
		o.process = func(p *esjs.Process[assembly, esjs.Event, esjs.Event]) {
			done := p.Done
			p.Done = func(a assembly) bool { crash(); return done(a) }
		}
	},
	"an append on its way":        spyPoint("ev.assembly.>"),
	"a timer on its way":          spyPoint("timer.test.set.>"),
	"an open instance on its way": spyPoint("$KV." + openOnes + ".>"),
	"after a handler": func(_ *testing.T, _ *assemblyRig, o *options, crash func()) {
		s := newSignals()
		s.onHandled = func(string) { crash() }
		o.config = func(c *esjs.ProcessConfig) { c.Observer = s }
	},
}

// spyPoint is reached when the server has received a message on the subject.
func spyPoint(subject string) func(*testing.T, *assemblyRig, *options, func()) {
	return func(t *testing.T, r *assemblyRig, _ *options, crash func()) {
		nc := r.Connect(t)
		if _, err := nc.Subscribe(subject, func(*nats.Msg) { crash() }); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
	}
}

func TestProcessThatCrashesAnywhereGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	for place, install := range crashPoints {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			r := newAssemblyRig(t, esjstest.Server(t))
			// Inputs of three assemblies that end by parts, by timers, and by both.
			r.arrive(t, "both", "left")
			r.place(t, "parts", time.Hour)
			r.place(t, "timers", 200*time.Millisecond)
			r.place(t, "both", 200*time.Millisecond)
			r.arrive(t, "parts", "left")
			r.arrive(t, "parts", "right")
			finished := make(chan struct{})
			go func() {
				defer close(finished)
				r.seen.until("parts", 4)
				r.seen.until("timers", 3)
				r.seen.until("both", 4)
			}()
			// The n-th process ends where the place is reached for the n-th time.
			crashes := 0
			for n := int32(1); ; n++ {
				store, err := esjs.Open(contextWithPatience(t), r.Dial(), r.Config())
				if err != nil {
					t.Fatal(err)
				}
				var reached atomic.Int32
				var o options
				install(t, r, &o, func() {
					if reached.Add(1) == n {
						store.Close()
					}
				})
				p := r.startOn(t, store, o)
				select {
				case err := <-p.ended:
					if err == nil || reached.Load() < n {
						t.Fatalf("process %d ended with %v after the place was reached %d times", n, err, reached.Load())
					}
					crashes++
					continue
				case <-finished:
					p.stop()
					<-p.ended
				}
				break
			}
			if crashes < 2 {
				t.Errorf("the process crashed %d times, want several", crashes)
			}
			r.check(t, "parts", "AssemblyStarted", "PartNoted", "PartNoted", "Assembled")
			r.check(t, "timers", "AssemblyStarted", "Reminded", "GivenUp")
			r.check(t, "both", "PartNoted", "AssemblyStarted", "Reminded", "GivenUp")
		})
	}
}

func TestProcessIgnoresInputsThatItConsumedBefore(t *testing.T) {
	t.Parallel()
	bothDeployments(t, func(t *testing.T, d *esjstest.Deployment) {
		r := newAssemblyRig(t, d)
		p := r.start(t, options{})
		const n = 10
		for i := range n {
			order := fmt.Sprint("o-", i)
			r.place(t, order, time.Hour)
			r.arrive(t, order, "left")
			// Two events in one commit: both must be consumed, and both once.
			r.append(t, "part", order+" rest", partArrived{Order: order, Part: "left"}, partArrived{Order: order, Part: "right"})
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
		s.await(t, "all inputs are handled again", func() bool { return s.handled["assembly"] == 3*n })
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
	js, err := jetstream.New(d.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
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
	s.await(t, "the order is handled", func() bool { return s.handled["assembly"] == 1 })

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
	s.await(t, "the timers are handled", func() bool { return s.handled["assembly-timers"] == 4 })
	p.shutdown(t)
	r.check(t, "o-1", "AssemblyStarted")
	r.check(t, "nobody")
}

func TestSweepArmsWhatIsMissing(t *testing.T) {
	t.Parallel()
	bothDeployments(t, func(t *testing.T, d *esjstest.Deployment) {
		r := newAssemblyRig(t, d)
		s := newSignals()
		sweeping := options{config: func(c *esjs.ProcessConfig) { c.Sweep, c.Observer = 200*time.Millisecond, s }}
		p := r.start(t, sweeping)
		// One whose deadline comes while the stream is gone, one long after.
		r.place(t, "o-1", 500*time.Millisecond)
		r.place(t, "o-2", 1500*time.Millisecond)
		s.await(t, "both are handled", func() bool { return s.handled["assembly"] == 2 })
		js, err := jetstream.New(d.Connect(t))
		if err != nil {
			t.Fatal(err)
		}
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
	s.await(t, "the process has timers", func() bool { return s.handled["assembly-timers"] == 2 })
	js, err := jetstream.New(r.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
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
	js, err := jetstream.New(r.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
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

func TestQuarantinedInstanceWaitsAloneAndGoesOnInOrder(t *testing.T) {
	t.Parallel()
	bothDeployments(t, func(t *testing.T, d *esjstest.Deployment) {
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
		r.place(t, "ill", 2*time.Second)
		r.arrive(t, "ill", "cursed")
		r.arrive(t, "ill", "right")
		s.await(t, "the instance is parked", func() bool { return s.parked["assembly"] == 1 })
		r.place(t, "well", 100*time.Millisecond)
		r.seen.await(t, "well", "AssemblyStarted", "Reminded", "GivenUp")
		s.await(t, "the timer of the parked instance fires", func() bool { return s.failed["assembly-timers"] > 0 })
		r.check(t, "ill", "AssemblyStarted")

		blessed.Store(true)
		if err := esjs.ReleaseParked(contextWithPatience(t), r.store, positions, "assembly", "ill"); err != nil {
			t.Fatal(err)
		}
		records := r.seen.await(t, "ill", "AssemblyStarted", "PartNoted", "PartNoted", "Assembled")
		if got := string(records[1].Data); got != `{"part":"cursed"}` {
			t.Errorf("the first part is %s, want the cursed one, which came first", got)
		}
		s.await(t, "the timer that waited is handled", func() bool { return s.handled["assembly-timers"] == 3 })
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
		"no name":      func(p *esjs.Process[assembly, esjs.Event, esjs.Event], _ *esjs.ProcessConfig) { p.Name = "" },
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
