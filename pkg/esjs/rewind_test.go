package esjs_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// end is where the store ends.
func (r *rig) end(t testing.TB) esjs.Position {
	t.Helper()
	at, err := r.store.Last(within(t))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func (r *rig) rewind(t testing.TB, to esjs.Position) {
	t.Helper()
	if err := r.subscription().Rewind(within(t), to); err != nil {
		t.Fatal(err)
	}
}

// caughtUp waits until a subscription stands at the end of the store.
func caughtUp(t testing.TB, s esjs.Subscription) {
	t.Helper()
	eventually(t, "it does not catch up", func() bool {
		status, err := s.Status(within(t))
		return err == nil && status.Lag == 0
	})
}

func TestRewindOfASubscriptionThatIsStopped(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	run := func() *handled {
		t.Helper()
		caughtUp := make(chan struct{})
		cfg := r.cfg
		cfg.OnCaughtUp = func() { close(caughtUp) }
		got := newHandled(t, 0)
		running := r.start(t, cfg, got.handle)
		select {
		case <-caughtUp:
		case <-time.After(patience):
			t.Fatal("it does not catch up")
		}
		running.stopped(t)
		return got
	}
	r.tick(t, "a")
	r.tick(t, "b")
	middle := r.end(t)
	r.tick(t, "a")
	r.tick(t, "b")
	end := r.end(t)
	run()
	for _, c := range []struct {
		to   esjs.Position
		want string
	}{{esjs.Position{}, "1 2"}, {middle, "2"}, {end, ""}, {middle, "2"}, {esjs.Position{}, "1 2"}} {
		r.rewind(t, c.to)
		status, err := r.subscription().Status(within(t))
		if err != nil || status.Position != c.to || status.Lag != end.Sequence()-c.to.Sequence() {
			t.Errorf("rewound to %s it is at %+v, %v", c.to, status, err)
		}
		if got := run(); got.versions("a") != c.want || got.versions("b") != c.want {
			t.Errorf("after %s it handles a %s and b %s, want %s", c.to, got.versions("a"), got.versions("b"), c.want)
		}
	}
}

// fenced counts how often a lease was lost.
type fenced struct {
	esjs.NopObserver
	n atomic.Int32
}

func (f *fenced) Fenced(string) { f.n.Add(1) }

// The owner keeps its lease, and begins again when the calls of its handlers have ended.
func TestRewindUnderAnOwnerThatHandles(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	cfg, lost := r.cfg, &fenced{}
	cfg.Owner, cfg.Observer = "house-1", lost
	got := newHandled(t, 0)
	var began, ended atomic.Bool
	slow := make(chan struct{})
	run := r.start(t, cfg, func(ctx context.Context, e esjs.Recorded[esjs.Event]) error {
		if e.Stream.Key != "slow" {
			return got.handle(ctx, e)
		}
		if !began.Swap(true) {
			close(slow)
			<-ctx.Done()
			<-time.After(10 * time.Millisecond) // what follows must wait for it
			ended.Store(true)
			return ctx.Err()
		}
		if !ended.Load() {
			t.Error("it is handled again while it is handled")
		}
		return got.handle(ctx, e)
	})
	r.tick(t, "a")
	r.tick(t, "b")
	r.tick(t, "slow")
	<-slow
	eventually(t, "they are not handled", func() bool { return got.versions("a") == "1" && got.versions("b") == "1" })
	r.rewind(t, esjs.Position{})
	r.tick(t, "a") // a progress that cannot be stored
	eventually(t, "it does not go on from the beginning", func() bool { return got.versions("slow") == "1" })
	want := []string{"1 2 1 2", "1 1 2"} // the second one may come when it has begun again
	eventually(t, "not all is handled again", func() bool { return slices.Contains(want, got.versions("a")) && got.versions("b") == "1 1" })
	if owner := r.owner(t); owner != "house-1" {
		t.Errorf("the owner is %q", owner)
	}
	run.stopped(t)
	if n := lost.n.Load(); n != 0 {
		t.Errorf("a lost lease is told %d times", n)
	}
}

// An owner that is gone does not hear of it: the next one begins there, when the lease has ended.
func TestRewindUnderAnOwnerThatIsGone(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	cfg := r.cfg
	cfg.Lease = 2 * time.Second
	network := newLink()
	one := newHandled(t, 3)
	first := r.instance(t, network).start(t, cfg, one.handle)
	for range 3 {
		r.tick(t, "a")
	}
	one.wait()
	network.set(false, true)
	r.rewind(t, esjs.Position{})
	two := newHandled(t, 3)
	second := r.start(t, cfg, two.handle)
	two.wait()
	if got := two.versions("a"); got != "1 2 3" {
		t.Errorf("the next owner handles %s", got)
	}
	first.stop()
	second.stopped(t)
}

func TestRewindLeavesParkedKeysParked(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	var cured atomic.Bool
	got := newHandled(t, 0)
	run := r.start(t, r.cfg, got.poison(3, &cured, esjs.Park(errors.New("no good"))))
	r.tick(t, "bad")
	first := r.end(t)
	for range 3 {
		r.tick(t, "bad")
	}
	r.tick(t, "good")
	r.waitForParked(t, "clock/bad", 2)
	before := r.parked(t)[0]
	// All that comes after the first one waits now, and is not handled.
	r.rewind(t, first)
	r.tick(t, "good")
	r.waitForParked(t, "clock/bad", 3)
	if p := r.parked(t)[0]; p.Reason != before.Reason || !p.Since.Equal(before.Since) || p.Released || !p.From.Before(before.From) {
		t.Errorf("it is parked as %+v, was as %+v", p, before)
	}
	if bad := got.versions("bad"); bad != "1 2" {
		t.Errorf("the parked key went on: %s", bad)
	}
	run.stopped(t)
	// What waits from further back waits on, wherever the subscription stands.
	for _, to := range []esjs.Position{r.end(t), before.From} {
		r.rewind(t, to)
		run = r.start(t, r.cfg, got.poison(3, &cured, esjs.Park(errors.New("no good"))))
		r.tick(t, "good")
		caughtUp(t, r.subscription())
		r.waitForParked(t, "clock/bad", 3)
		run.stopped(t)
	}
	// Of a key that is being released all is handled again, too, and once, although it is read before it is delivered.
	for range 200 {
		r.tick(t, "good")
	}
	r.tick(t, "bad")
	cured.Store(true)
	r.release(t, "clock/bad")
	r.rewind(t, esjs.Position{})
	slow := r.cfg
	slow.Window = 1 // one commit is delivered after the other has been handled
	run = r.start(t, slow, got.handle)
	eventually(t, "it is still listed", func() bool { return len(r.parked(t)) == 0 })
	caughtUp(t, r.subscription())
	run.stopped(t)
	if bad := got.versions("bad"); bad != "1 2 1 2 3 4 5" {
		t.Errorf("handled is %s", bad)
	}
}

func TestRewindIsRefused(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	r.tick(t, "a")
	here := r.end(t)
	if err := r.subscription().Rewind(within(t), here); !errors.Is(err, esjs.ErrNotFound) {
		t.Errorf("of a subscription that never ran: %v", err)
	}
	if _, err := r.subscription().Status(within(t)); !errors.Is(err, esjs.ErrNotFound) {
		t.Errorf("its status: %v", err)
	}
	got := newHandled(t, 1)
	run := r.start(t, r.cfg, got.handle)
	got.wait()
	run.stopped(t)
	for _, beyond := range []string{"0-2", "1-1"} {
		to, err := esjs.ParsePosition(beyond)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.subscription().Rewind(within(t), to); !errors.Is(err, esjs.ErrInvalid) {
			t.Errorf("to %s: %v", beyond, err)
		}
	}
	projection := r.subscription()
	projection.Name = "projection sums_v1"
	if err := projection.Rewind(within(t), here); !errors.Is(err, esjs.ErrInvalid) {
		t.Errorf("of a projection: %v", err)
	}
	timers, _ := openTimers(t, r.Deployment, "billing")
	ctx, stop := context.WithCancel(within(t))
	ended := make(chan error, 1)
	go func() {
		ended <- timers.Subscribe(ctx, esjs.TimerSubscriptionConfig{Name: "due", Category: "invoice", Bucket: subscriptions}, nil)
	}()
	due := r.subscription()
	due.Name = "due"
	eventually(t, "the timers' subscription is not there", func() bool { _, err := due.Status(within(t)); return err == nil })
	if err := due.Rewind(within(t), here); !errors.Is(err, esjs.ErrInvalid) {
		t.Errorf("of fired timers: %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A process whose inputs come again has them already.
func TestAProcessThatIsRewoundStoresNothingTwice(t *testing.T) {
	t.Parallel()
	r := newAssemblyRig(t, esjstest.Server(t))
	p := r.start(t, options{})
	for _, order := range []string{"o-1", "o-2"} {
		r.place(t, order, time.Hour)
		r.arrive(t, order, "left")
		r.arrive(t, order, "right")
		r.seen.await(t, order, "AssemblyStarted", "PartNoted", "PartNoted", "Assembled")
	}
	if err := r.subscription().Rewind(contextWithPatience(t), esjs.Position{}); err != nil {
		t.Fatal(err)
	}
	r.place(t, "o-3", time.Hour)
	r.seen.await(t, "o-3", "AssemblyStarted")
	caughtUp(t, r.subscription())
	p.shutdown(t)
	r.check(t, "o-1", "AssemblyStarted", "PartNoted", "PartNoted", "Assembled")
	r.check(t, "o-2", "AssemblyStarted", "PartNoted", "PartNoted", "Assembled")
}
