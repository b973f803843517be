package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go/jetstream"
)

// timersNow lists the subjects of the stream TIMERS, without what all of them have in common.
func timersNow(t *testing.T, stream jetstream.Stream, service string) []string {
	t.Helper()
	info, err := stream.Info(within(t), jetstream.WithSubjectFilter("timer."+service+".>"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for subject := range maps.Keys(info.State.Subjects) {
		names = append(names, strings.TrimPrefix(subject, "timer."+service+"."))
	}
	slices.Sort(names)
	return names
}

// wantTimers waits until the timers are these: an input may be handled a second time, and
// what it does to them comes after it is counted as handled.
func wantTimers(t *testing.T, stream jetstream.Stream, service string, want ...string) {
	t.Helper()
	var got []string
	for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(10 * time.Millisecond) {
		if got = timersNow(t, stream, service); slices.Equal(got, want) {
			return
		}
	}
	t.Errorf("the timers are %q, want %q", got, want)
}

func TestCancelledTimerDoesNotFire(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		timers, stream := openTimers(t, d, "sales")
		id := esjs.StreamID{Category: "quote", Key: "q 1"}
		var first, last esjs.Timer
		for lead := 1500 * time.Millisecond; ; lead *= 2 { // again with more time where the machine was too slow
			soon := time.Now().Add(lead)
			first = esjs.Timer{Name: "end", At: soon, Version: 1}
			second := esjs.Timer{Name: "end", At: soon, Version: 2} // due at the same time, of another version
			last = esjs.Timer{Name: "end", At: soon.Add(time.Second), Version: 3}
			for _, timer := range []esjs.Timer{first, second, last} {
				if err := timers.Set(within(t), id, timer); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 { // repeated without harm
				if err := timers.Cancel(within(t), id, first); err != nil {
					t.Fatal(err)
				}
			}
			if err := timers.Cancel(within(t), id, esjs.Timer{Name: "never-set", Version: 1}); err != nil {
				t.Errorf("a timer that was never set: %v", err)
			}
			if time.Now().Before(soon) {
				break
			}
			fired(t, stream, "timer.sales.fired.quote.*.end.3", 1)
			if err := stream.Purge(within(t)); err != nil {
				t.Fatal(err)
			}
		}
		fired(t, stream, "timer.sales.fired.quote.*.end.3", 1) // the others' time has passed
		if err := timers.Cancel(within(t), id, last); err != nil {
			t.Errorf("a timer that has fired: %v", err)
		}
		wantTimers(t, stream, "sales", "cancelled.quote.q=201.end.1", "cancelled.quote.q=201.end.3", "cancelled.quote.q=201.never-set.1",
			"fired.quote.q=201.end.2", "fired.quote.q=201.end.3")
		msg, err := stream.GetLastMsgForSubject(within(t), "timer.sales.cancelled.quote.q=201.end.1")
		if err != nil || msg.Header.Get("Nats-TTL") != "1m0s" || len(msg.Data) != 0 {
			t.Errorf("what took the timer back stays as %+v, %v, want nothing, for a minute", msg, err)
		}
	})
}

func TestTimerThatCannotBeIsNotCancelled(t *testing.T) {
	t.Parallel()
	timers, _ := openTimers(t, esjstest.Server(t), "sales")
	good := esjs.StreamID{Category: "quote", Key: "q-1"}
	for name, c := range map[string]struct {
		id    esjs.StreamID
		timer esjs.Timer
	}{
		"no name":    {good, esjs.Timer{Version: 1}},
		"no version": {good, esjs.Timer{Name: "end"}},
		"no key":     {esjs.StreamID{Category: "quote"}, esjs.Timer{Name: "end", Version: 1}},
	} {
		if err := timers.Cancel(within(t), c.id, c.timer); !errors.Is(err, esjs.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := timers.Cancel(ended, good, esjs.Timer{Name: "end", Version: 1}); !errors.Is(err, esjs.ErrUnknownOutcome) || !errors.Is(err, context.Canceled) {
		t.Errorf("under a context that has ended: %v, want ErrUnknownOutcome and the context's error", err)
	}
}

// What an instance's state no longer asks for is taken back: in one step with what takes
// its place, and alone where nothing does.
func TestProcessTakesItsTimersBack(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		r := newAssemblyRig(t, d)
		_, stream := openTimers(t, d, "test")
		s := newSignals()
		o := observed(s)
		o.process = func(p *esjs.Process[assembly, esjs.Event, esjs.Event]) {
			p.Timers = func(a assembly) []esjs.Timer {
				if a.Ended || a.Version == 0 {
					return nil
				}
				timers := []esjs.Timer{{Name: "step", At: time.Now().Add(time.Hour), Version: a.Version}} // armed anew by each event
				if len(a.Parts) == 0 {
					timers = append(timers, esjs.Timer{Name: "first", At: time.Now().Add(time.Hour), Version: 1})
				}
				return timers
			}
		}
		p := r.start(t, o)
		handled := func(n int) {
			t.Helper()
			s.await(t, fmt.Sprint(n, " inputs are handled"), func() bool { return s.handled["assembly"] >= n })
		}
		r.place(t, "o-1", time.Hour)
		handled(1)
		wantTimers(t, stream, "test", "set.assembly.o-1.first.1", "set.assembly.o-1.step.1")
		r.arrive(t, "o-1", "left")
		handled(2)
		wantTimers(t, stream, "test", "cancelled.assembly.o-1.first.1", "set.assembly.o-1.step.2")
		r.arrive(t, "o-1", "right") // and with that the assembly has ended
		handled(3)
		wantTimers(t, stream, "test", "cancelled.assembly.o-1.first.1", "cancelled.assembly.o-1.step.2")
		p.shutdown(t)
		r.check(t, "o-1", "AssemblyStarted", "PartNoted", "PartNoted", "Assembled")
	})
}

// Where the timer in the other one's place was armed before, by another runner, the other
// one is taken back as well.
func TestReplacedTimerIsTakenBackThoughTheNewOneWasArmedBefore(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		timers, stream := openTimers(t, d, "sales")
		id := esjs.StreamID{Category: "quote", Key: "q-1"}
		at := func(version uint64) esjs.Timer {
			return esjs.Timer{Name: "end", At: time.Now().Add(time.Hour), Version: version}
		}
		for _, version := range []uint64{1, 2} {
			if err := timers.Set(within(t), id, at(version)); err != nil {
				t.Fatal(err)
			}
		}
		if err := timers.Replace(within(t), id, at(1), at(2)); err != nil {
			t.Fatal(err)
		}
		wantTimers(t, stream, "sales", "cancelled.quote.q-1.end.1", "set.quote.q-1.end.2")
		if err := timers.Replace(within(t), id, at(2), at(3)); err != nil {
			t.Fatal(err)
		}
		wantTimers(t, stream, "sales", "cancelled.quote.q-1.end.1", "set.quote.q-1.end.3")
	})
}
