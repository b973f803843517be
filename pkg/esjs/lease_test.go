package esjs_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/kvsink"
)

// owner is who has the lease.
func (r *rig) owner(t *testing.T) string {
	t.Helper()
	status, err := esjs.Subscriptions(within(t), r.store, subscriptions)
	if err != nil {
		t.Fatal(err)
	}
	if len(status) == 0 {
		return ""
	}
	return status[0].Owner
}

func TestLeaseIsReleasedByACleanStop(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	cfg := r.cfg
	cfg.Lease = time.Hour // longer than any test waits
	one := newHandled(t, 1)
	first := r.start(t, cfg, one.handle)
	r.tick(t, "a")
	one.wait()
	two := newHandled(t, 1)
	second := r.start(t, cfg, two.handle)
	eventually(t, "nobody watches the lease", func() bool {
		return len(consumers(t, jetStream(t, r.Connect(t)), "KV_"+subscriptions)) == 2
	})
	r.tick(t, "b") // may still be handled by the first one
	began := time.Now()
	first.stopped(t)
	r.tick(t, "a")
	eventually(t, "the second one does not handle", func() bool { return two.versions("a") == "2" })
	t.Logf("taken over within %s of the stop", time.Since(began))
	second.stopped(t)
}

// Who waits says so, once, and then that it is active.
func TestLeaseTellsWhoStandsBy(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	one, two := &activity{}, &activity{}
	cfg := r.cfg
	cfg.Lease = 20 * time.Second
	cfg.Observer = one
	first := r.start(t, cfg, newHandled(t, 0).handle)
	eventually(t, "the first one is not active", func() bool { return one.String() == "on" })
	cfg.Observer = two
	second := r.start(t, cfg, newHandled(t, 0).handle)
	eventually(t, "the second one does not stand by", func() bool { return two.String() == "off" })
	first.stopped(t)
	eventually(t, "the second one is not active", func() bool { return two.String() == "off on" })
	second.stopped(t)
	if one.String() != "on off stopped" || two.String() != "off on off stopped" {
		t.Errorf("the first one went %s, the second one %s", one, two)
	}
}

// A version of a view that is paused or dropped has ended, and is none that nobody handles.
func TestAProjectionTellsThatItHasStopped(t *testing.T) {
	d := esjstest.Server(t)
	s, told := d.Store(t), &activity{}
	for _, bucket := range []string{"VIEWS", subscriptions} {
		if err := esjs.ProvisionBucket(within(t), d.Dial(), bucket, 1); err != nil {
			t.Fatal(err)
		}
	}
	p := esjs.NewProjector(s, kvsink.New(s, "VIEWS"), esjs.Projection[*kvsink.Tx, esjs.Event]{
		Name: "totals", Version: 1, Codec: accountAggregate(t).Codec,
		Apply: func(context.Context, *kvsink.Tx, esjs.Recorded[esjs.Event]) error { return nil },
	}, esjs.ProjectionConfig{Bucket: subscriptions, Observer: told})
	ctx, stop := context.WithCancel(within(t))
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	eventually(t, "it is not active", func() bool { return told.String() == "on" })
	stop()
	if err := <-ended; err != nil || told.String() != "on off stopped" {
		t.Errorf("it ended with %v, and went %s", err, told)
	}
}

func TestLeaseIsTakenOverAfterACrash(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	r.cfg.Lease = 2 * time.Second
	network := newLink()
	crashing := r.instance(t, network)
	stuck := make(chan struct{})
	one := newHandled(t, 11) // all but the one that is stuck
	first := crashing.start(t, r.cfg, func(ctx context.Context, e esjs.Recorded[esjs.Event]) error {
		if e.Stream.Key == "stuck" {
			close(stuck)
			<-ctx.Done()
			return ctx.Err()
		}
		one.add(e)
		return nil
	})
	r.tick(t, "a")
	r.tick(t, "stuck")
	for range 5 {
		r.tick(t, "a")
		r.tick(t, "b")
	}
	one.wait()
	<-stuck
	eventually(t, "the position is not stored", func() bool { // the ranges above the floor with it
		status, err := esjs.Subscriptions(within(t), r.store, subscriptions)
		return err == nil && len(status) == 1 && status[0].Position.Sequence() == 1
	})
	network.set(true, false) // what it handles now it cannot store
	for range 3 {
		r.tick(t, "a")
	}
	network.set(false, true)
	began := time.Now()
	two := newHandled(t, 1)
	second := r.start(t, r.cfg, two.handle)
	two.wait()
	took := time.Since(began)
	eventually(t, "what waits is not handled", func() bool {
		return two.versions("stuck") == "1" && strings.HasSuffix(two.versions("a"), "7 8 9")
	})
	t.Logf("taken over %s after the crash, with a lease of %s", took, r.cfg.Lease)
	first.stop()
	second.stopped(t)
	for key, versions := range two.all {
		for i := 1; i < len(versions); i++ {
			if versions[i] != versions[i-1]+1 {
				t.Errorf("%s: %v", key, versions)
			}
		}
	}
	if took < r.cfg.Lease/2 {
		t.Errorf("a takeover after %s", took)
	}
}

// shift tells whose handlers run.
type shift struct {
	mu      sync.Mutex
	running map[string]int
	overlap []string
	began   chan string
}

func (s *shift) handler(who string) func(context.Context, esjs.Recorded[esjs.Event]) error {
	return func(ctx context.Context, _ esjs.Recorded[esjs.Event]) error {
		s.mu.Lock()
		s.running[who]++
		for other, n := range s.running {
			if other != who && n > 0 {
				s.overlap = append(s.overlap, fmt.Sprintf("%s began while %d of %s were running", who, n, other))
			}
		}
		s.mu.Unlock()
		select {
		case s.began <- who:
		default:
		}
		<-ctx.Done() // as long as it may
		s.mu.Lock()
		defer s.mu.Unlock()
		s.running[who]--
		return ctx.Err()
	}
}

func TestLeaseFencesAnOwnerThatCannotRenewIt(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	cfg := r.cfg
	cfg.Lease = 6 * time.Second // a quarter of it is what a loaded machine may keep the first one from stopping
	cfg.HandlerTimeout = time.Hour
	for k := range 5 {
		r.tick(t, fmt.Sprint("k", k))
	}
	s := &shift{running: map[string]int{}, began: make(chan string, 1)}
	network := newLink()
	cut := r.instance(t, network)
	cfg.Owner = "one"
	one := cut.start(t, cfg, s.handler("one"))
	if who := <-s.began; who != "one" {
		t.Fatal(who)
	}
	cfg.Owner = "two"
	two := r.start(t, cfg, s.handler("two"))
	eventually(t, "nobody watches the lease", func() bool {
		return len(consumers(t, jetStream(t, r.Connect(t)), "KV_"+subscriptions)) == 2
	})
	network.set(true, false)
	eventually(t, "nobody took over", func() bool {
		select {
		case who := <-s.began:
			return who == "two"
		default:
			return false
		}
	})
	network.set(false, false)
	eventually(t, "two does not stay", func() bool { return r.owner(t) == "two" })
	two.stopped(t)
	eventually(t, "one does not come back", func() bool { return r.owner(t) == "one" })
	one.stopped(t)
	for _, o := range s.overlap {
		t.Error(o)
	}
}

func TestLeaseSurvivesALostAnswer(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	lossy := r.Faults()
	inst := r.instanceOn(t, lossy.Dial())
	cfg := r.cfg
	cfg.Lease = 20 * time.Second // not lost because the machine is loaded
	activity := &activity{}
	cfg.Observer = activity
	got := newHandled(t, 2)
	run := inst.start(t, cfg, got.handle)
	r.tick(t, "a")
	eventually(t, "nobody has the lease", func() bool { return r.owner(t) != "" })
	lossy.LoseAcks(1)
	lossy.LoseAppends(1)
	lossy.RefuseAppends(1)
	eventually(t, "not every renewal was damaged", func() bool { return lossy.Armed() == 0 })
	r.tick(t, "a")
	got.wait()
	run.stopped(t)
	if activity.String() != "on off stopped" {
		t.Errorf("the lease went %s", activity)
	}
	if got.versions("a") != "1 2" {
		t.Errorf("handled %s", got.versions("a"))
	}
}

// activity observes when an instance is the active one.
type activity struct {
	esjs.NopObserver
	mu  sync.Mutex
	log string
}

func (a *activity) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.log
}

func (a *activity) note(s string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.log != "" {
		a.log += " "
	}
	a.log += s
}

func (a *activity) Stopped(string) { a.note("stopped") }

func (a *activity) Active(_ string, active bool) {
	if active {
		a.note("on")
	} else {
		a.note("off")
	}
}
