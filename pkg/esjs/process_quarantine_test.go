package esjs_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go/jetstream"
)

// quarantined waits until exactly the given instances are in quarantine, "key: commits".
func (p *assemblyRun) quarantined(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	eventually(t, "other instances are in quarantine", func() bool {
		list, err := p.Quarantined(contextWithPatience(t))
		if err != nil {
			t.Fatal(err)
		}
		got = nil
		for _, q := range list {
			got = append(got, fmt.Sprintf("%s: %d", q.Key, q.Count))
		}
		return strings.Join(got, ", ") == strings.Join(want, ", ")
	})
}

func (p *assemblyRun) quarantine(t *testing.T, order string) {
	t.Helper()
	if err := p.Quarantine(contextWithPatience(t), order, errors.New("it looks wrong")); err != nil {
		t.Fatal(err)
	}
}

func (p *assemblyRun) release(t *testing.T, order string) {
	t.Helper()
	if err := p.Release(contextWithPatience(t), order); err != nil {
		t.Fatal(err)
	}
}

// An operator sets instances aside on the standby, the process changes hands and
// restarts, and both go on where they were, one of them with a deadline that has passed.
func TestQuarantineOfOneInstance(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		r := newAssemblyRig(t, d)
		s1, s2 := newSignals(), newSignals()
		known := func(instances int) { // in a store of several partitions both are active
			t.Helper()
			eventually(t, fmt.Sprint(instances, " instances are known"), func() bool {
				return s1.count(s1.parked, "assembly")+s2.count(s2.parked, "assembly") == instances
			})
		}
		p1 := r.start(t, observed(s1))
		s1.await(t, "the first is active", func() bool { return s1.active["assembly"] && s1.active["assembly-timers"] })
		p2 := r.start(t, observed(s2))
		r.place(t, "ill", time.Hour)
		r.seen.await(t, "ill", "AssemblyStarted")
		late := inTime("late", func(late string, wait time.Duration) {
			r.place(t, late, wait)
			r.seen.await(t, late, "AssemblyStarted")
			p2.quarantine(t, late)
			known(1)
		}, func(late string) {
			p2.release(t, late)
			known(0)
		})
		p2.quarantine(t, "ill")
		p2.quarantine(t, "unborn")
		known(3)
		r.arrive(t, "ill", "left")
		r.place(t, "unborn", time.Hour)
		r.place(t, "well", 100*time.Millisecond)
		r.seen.await(t, "well", "AssemblyStarted", "Reminded", "GivenUp")
		p2.quarantined(t, "ill: 1", late+": 0", "unborn: 1")
		s1.await(t, "the late one's timer fires", func() bool { return s1.handled["assembly-timers"] >= 3 })

		p1.shutdown(t)
		r.arrive(t, "ill", "right")
		p2.quarantined(t, "ill: 2", late+": 0", "unborn: 1")
		p2.shutdown(t)
		s3 := newSignals()
		p3 := r.start(t, observed(s3))
		s3.await(t, "the third knows", func() bool { return s3.parked["assembly"] == 3 })
		if _, err := p3.Handle(contextWithPatience(t), "unborn", giveUp{Reason: "an operator may"}); err != nil {
			t.Errorf("a command for an instance in quarantine: %v", err)
		}
		r.check(t, "ill", "AssemblyStarted")
		r.check(t, late, "AssemblyStarted")
		r.check(t, "unborn", "GivenUp")

		p3.release(t, "ill")
		p3.release(t, late)
		r.seen.await(t, "ill", "AssemblyStarted", "PartNoted", "PartNoted", "Assembled")
		r.seen.await(t, late, "AssemblyStarted", "Reminded", "GivenUp")
		p3.quarantined(t, "unborn: 1")
		p3.release(t, "unborn")
		p3.quarantined(t)
		if err := p3.Release(contextWithPatience(t), late); !errors.Is(err, esjs.ErrNotFound) {
			t.Errorf("release of an instance that is not in quarantine: %v", err)
		}
		p3.shutdown(t)
		r.check(t, "unborn", "GivenUp")
	})
}

// Nobody asks an instance that does not exist which timers it wants.
func TestReleaseOfAnInstanceThatDoesNotExist(t *testing.T) {
	t.Parallel()
	r := newAssemblyRig(t, esjstest.Server(t))
	p := r.start(t, options{process: func(p *esjs.Process[assembly, esjs.Event, esjs.Event]) {
		p.Timers = func(a assembly) []esjs.Timer {
			return []esjs.Timer{{Name: "deadline", At: a.Deadline, Version: a.Armed}}
		}
	}})
	p.quarantine(t, "unborn")
	p.quarantined(t, "unborn: 0")
	p.release(t, "unborn")
	p.quarantined(t)
	p.shutdown(t)
}

func TestQuarantineNeedsAReasonAndAKey(t *testing.T) {
	t.Parallel()
	r := newAssemblyRig(t, esjstest.Server(t))
	p := r.start(t, options{})
	if err := p.Quarantine(t.Context(), "o-1", nil); !errors.Is(err, esjs.ErrInvalid) {
		t.Errorf("without a reason: %v", err)
	}
	if err := p.Quarantine(t.Context(), "", errors.New("why not")); !errors.Is(err, esjs.ErrInvalid) {
		t.Errorf("without a key: %v", err)
	}
	p.shutdown(t)
}

// cursedTimers fails at the timers of "ill" until it is blessed.
func cursedTimers(blessed *atomic.Bool) func(p *esjs.Process[assembly, esjs.Event, esjs.Event]) {
	return func(p *esjs.Process[assembly, esjs.Event, esjs.Event]) {
		react := p.React
		p.React = func(a assembly, in esjs.Input[esjs.Event]) ([]esjs.Event, error) {
			if in.Timer != nil && in.Timer.Stream.Key == "ill" && !blessed.Load() {
				return nil, errors.New("the timer is cursed")
			}
			return react(a, in)
		}
	}
}

// A timer that fails sets aside the whole instance, not the timers alone, and
// can be released after the stream has forgotten that it fired.
func TestTimerThatFailsQuarantinesItsInstance(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		r := newAssemblyRig(t, d)
		s := newSignals()
		var blessed atomic.Bool
		o := observed(s)
		o.process = cursedTimers(&blessed)
		p := r.start(t, o)
		r.place(t, "ill", 200*time.Millisecond)
		s.await(t, "the instance is in quarantine", func() bool { return s.parked["assembly"] == 1 })
		r.arrive(t, "ill", "left")
		p.quarantined(t, "ill: 1")
		list, err := p.Quarantined(contextWithPatience(t))
		if err != nil || !strings.Contains(list[0].Reason, "timer deadline: the timer is cursed") {
			t.Errorf("listed as %+v, %v", list, err)
		}
		if s.count(s.parked, "assembly-timers") != 0 {
			t.Error("the timers are parked on their own, too")
		}
		p.release(t, "ill") // it is still cursed
		s.await(t, "the part is handled", func() bool { return s.handled["assembly"] >= 2 })
		r.seen.await(t, "ill", "AssemblyStarted", "PartNoted")
		p.quarantined(t, "ill: 0")
		blessed.Store(true)
		js := jetStream(t, d.Connect(t))
		stream, err := js.Stream(contextWithPatience(t), "TIMERS")
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Purge(contextWithPatience(t), jetstream.WithPurgeSubject("timer.test.fired.>")); err != nil {
			t.Fatal(err)
		}
		p.release(t, "ill")
		r.seen.await(t, "ill", "AssemblyStarted", "PartNoted", "Reminded", "GivenUp")
		p.quarantined(t)
		p.shutdown(t)
	})
}

// Whenever instances are set aside and released, by whichever replica, and the
// active one is replaced, every instance gets all of its inputs, each once.
func TestQuarantineAtAnyTimeLosesNothing(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		r := newAssemblyRig(t, d)
		if d.Config().Partitions > 1 {
			r.spreadParts()
		}
		p1, p2 := r.start(t, options{}), r.start(t, options{})
		const n = 12
		order := func(i int) string { return fmt.Sprint("o-", i) }
		for round := range 3 {
			for _, i := range rand.Perm(n) {
				p := p1
				if rand.N(2) == 0 {
					p = p2
				}
				switch rand.N(3) {
				case 0:
					p.quarantine(t, order(i))
				case 1:
					if err := p.Release(contextWithPatience(t), order(i)); err != nil && !errors.Is(err, esjs.ErrNotFound) {
						t.Fatal(err)
					}
				}
				switch round {
				case 0:
					wait := time.Hour
					if i%3 == 0 {
						wait = 200 * time.Millisecond // is over before the parts come
					}
					r.place(t, order(i), wait)
				case 1:
					if i%3 != 0 {
						r.arrive(t, order(i), "left")
					}
				case 2:
					if i%3 != 0 {
						r.arrive(t, order(i), "right")
					}
				}
				if rand.N(n) == 0 {
					p1.shutdown(t)
					p1 = r.start(t, options{})
				}
			}
		}
		for range 2 { // one call leaves out what is parked later
			if _, err := r.subscription().ReleaseAll(contextWithPatience(t)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range n {
			if i%3 == 0 {
				r.seen.await(t, order(i), "AssemblyStarted", "Reminded", "GivenUp")
			} else {
				r.seen.await(t, order(i), "AssemblyStarted", "PartNoted", "PartNoted", "Assembled")
			}
		}
		p2.quarantined(t)
		p1.shutdown(t)
		p2.shutdown(t)
		for i := range n {
			if i%3 == 0 {
				r.check(t, order(i), "AssemblyStarted", "Reminded", "GivenUp")
			} else {
				r.check(t, order(i), "AssemblyStarted", "PartNoted", "PartNoted", "Assembled")
			}
		}
	})
}

// Whenever inputs fail, in whichever partition, and instances are set aside and released
// meanwhile, every instance gets all of its inputs when they fail no more.
func TestQuarantineOfInputsThatFailAtRandomLosesNothing(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{1, 3} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			t.Parallel()
			r := newAssemblyRig(t, esjstest.Server(t, esjstest.Partitions(partitions)))
			r.spreadParts()
			var blessed atomic.Bool
			o := options{
				config: func(c *esjs.ProcessConfig) { c.Retry.Attempts = 1 },
				process: func(p *esjs.Process[assembly, esjs.Event, esjs.Event]) {
					react := p.React
					p.React = func(a assembly, in esjs.Input[esjs.Event]) ([]esjs.Event, error) {
						if !blessed.Load() && rand.N(2) == 0 {
							return nil, errors.New("bad luck")
						}
						return react(a, in)
					}
				},
			}
			p1, p2 := r.start(t, o), r.start(t, o)
			const n = 25
			order := func(i int) string { return fmt.Sprint("o-", i) }
			wants := func(i int) []string {
				if i%3 == 0 {
					return []string{"AssemblyStarted", "Reminded", "GivenUp"}
				}
				return []string{"AssemblyStarted", "PartNoted", "PartNoted", "Assembled"}
			}
			for _, part := range []string{"", "left", "right"} {
				for _, i := range rand.Perm(n) {
					switch {
					case part != "" && i%3 != 0:
						r.arrive(t, order(i), part)
					case part == "" && i%3 != 0:
						r.place(t, order(i), time.Hour)
					case part == "":
						r.place(t, order(i), 300*time.Millisecond)
					}
					switch other := order(rand.N(n)); rand.N(4) {
					case 0:
						p2.quarantine(t, other)
					case 1, 2:
						if err := p1.Release(contextWithPatience(t), other); err != nil && !errors.Is(err, esjs.ErrNotFound) {
							t.Fatal(err)
						}
					}
					if rand.N(2*n) == 0 {
						p1.shutdown(t)
						p1 = r.start(t, o)
					}
				}
			}
			blessed.Store(true)
			eventually(t, "all come to their end", func() bool {
				if _, err := r.subscription().ReleaseAll(contextWithPatience(t)); err != nil {
					t.Fatal(err)
				}
				for i := range n {
					if !r.seen.has(order(i), len(wants(i))) {
						return false
					}
				}
				return true
			})
			p1.quarantined(t)
			p1.shutdown(t)
			p2.shutdown(t)
			for i := range n {
				r.check(t, order(i), wants(i)...)
			}
		})
	}
}

// An input that was parked under its own aggregate, because its instance could
// not be told, is consumed once when it is released, although the instance has
// consumed later ones.
func TestReleasedInputIsConsumedOnceAfterLaterOnes(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		r := newAssemblyRig(t, d)
		s := newSignals()
		var blessed atomic.Bool
		o := observed(s)
		o.process = func(p *esjs.Process[assembly, esjs.Event, esjs.Event]) {
			key := p.Key
			p.Key = func(e esjs.Recorded[esjs.Event]) string {
				if part, ok := e.Event.(partArrived); ok && part.Part == "first" && !blessed.Load() {
					panic("whose part is this?")
				}
				return key(e)
			}
		}
		p := r.start(t, o)
		r.arrive(t, "o-1", "first")
		s.await(t, "the part is parked", func() bool { return s.parked["assembly"] == 1 })
		r.place(t, "o-1", time.Hour)
		r.seen.await(t, "o-1", "AssemblyStarted")
		p.quarantined(t, "part/"+r.key("o-1", "first")+": 1")
		r.arrive(t, "o-1", "second")
		r.seen.await(t, "o-1", "AssemblyStarted", "PartNoted")
		blessed.Store(true)
		p.release(t, "part/"+r.key("o-1", "first"))
		records := r.seen.await(t, "o-1", "AssemblyStarted", "PartNoted", "PartNoted", "Assembled")
		if got := string(records[2].Data); got != `{"part":"first"}` {
			t.Errorf("the released part is %s", got)
		}
		p.quarantined(t)
		p.shutdown(t)
		r.check(t, "o-1", "AssemblyStarted", "PartNoted", "PartNoted", "Assembled")
	})
}

// An input whose Key is no key of an instance is parked under its own aggregate.
func TestInputWhoseKeyIsNoKeyIsParked(t *testing.T) {
	t.Parallel()
	r := newAssemblyRig(t, esjstest.Server(t))
	p := r.start(t, options{process: func(p *esjs.Process[assembly, esjs.Event, esjs.Event]) {
		key := p.Key
		p.Key = func(e esjs.Recorded[esjs.Event]) string {
			if part, ok := e.Event.(partArrived); ok && part.Part == "odd" {
				return strings.Repeat("é", 1000)
			}
			return key(e)
		}
	}})
	r.arrive(t, "o-1", "odd")
	r.place(t, "o-1", time.Hour)
	r.seen.await(t, "o-1", "AssemblyStarted")
	p.quarantined(t, "part/"+r.key("o-1", "odd")+": 1")
	p.shutdown(t)
}

// The timers that a release sets again are handled, also where the leader that is asked was cut off before the release and still
// has the instance in quarantine.
func TestAReleasedTimerFiresBesideAFormerLeader(t *testing.T) {
	t.Parallel()
	d := esjstest.Server(t, esjstest.Partitions(1))
	r, former := newAssemblyRig(t, d), newFormerLeader(t, d)
	s := newSignals()
	p := r.startOn(t, open(t, former.dial, d), observed(s))
	late := inTime("late", func(late string, wait time.Duration) {
		r.place(t, late, wait)
		r.seen.await(t, late, "AssemblyStarted")
		p.quarantine(t, late)
	}, func(late string) { p.release(t, late) })
	former.remember(t, "KV_"+positions, "$KV."+positions+".parked.assembly."+late)
	s.await(t, "its timer fires in quarantine", func() bool { return s.handled["assembly-timers"] >= 1 })
	r.check(t, late, "AssemblyStarted")
	if err := r.subscription().Release(contextWithPatience(t), late); err != nil {
		t.Fatal(err)
	}
	r.seen.await(t, late, "AssemblyStarted", "Reminded", "GivenUp")
	former.resign(t)
	p.shutdown(t)
}

// The timers that a release sets again are those of the newest state, also where the leader that is asked was cut off before it.
func TestAReleaseSetsTheTimersThatAFormerLeaderDoesNotKnow(t *testing.T) {
	t.Parallel()
	d := esjstest.Server(t, esjstest.Partitions(1))
	r, former := newAssemblyRig(t, d), newFormerLeader(t, d)
	s := newSignals()
	p := r.startOn(t, open(t, former.dial, d), observed(s))
	r.place(t, "o-1", time.Hour)
	r.seen.await(t, "o-1", "AssemblyStarted")
	p.quarantine(t, "o-1")
	s.await(t, "the instance is known", func() bool { return s.parked["assembly"] == 1 })
	former.remember(t, "EVENTS", "ev.assembly.o-1")
	if _, err := r.operator(t, d.Dial(), func() {}).Handle(contextWithPatience(t), "o-1", extend{wait: 10 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	s.await(t, "its timer fires in quarantine", func() bool { return s.handled["assembly-timers"] >= 1 })
	r.check(t, "o-1", "AssemblyStarted", "Reminded")
	if err := r.subscription().Release(contextWithPatience(t), "o-1"); err != nil {
		t.Fatal(err)
	}
	r.seen.await(t, "o-1", "AssemblyStarted", "Reminded", "GivenUp")
	former.resign(t)
	p.shutdown(t)
}
