package esjs_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go"
)

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
	"an append on its way": func(t *testing.T, r *assemblyRig, o *options, crash func()) {
		_, prefix := r.Config().StreamOf(0)
		if several, found := strings.CutSuffix(prefix, ".0"); found {
			prefix = several + ".*"
		}
		spyPoint(prefix+".assembly.>")(t, r, o, crash)
	},
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
				config := o.config
				o.config = func(c *esjs.ProcessConfig) {
					c.Lease = time.Second // who crashes does not release it
					if config != nil {
						config(c)
					}
				}
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
