package esjs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// Who crashed and is back under an owner that nobody else has does not wait for
// its own lease, which here would end after the test.
func TestExclusiveOwnerTakesOverItsOwnLease(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	cfg := r.cfg
	cfg.Lease, cfg.Owner, cfg.ExclusiveOwner = time.Hour, "house-1", true
	network := newLink()
	one := newHandled(t, 1)
	crashed := r.instance(t, network).start(t, cfg, one.handle)
	r.tick(t, "a")
	one.wait()
	eventually(t, "the position is not stored", func() bool {
		status, err := esjs.Subscriptions(within(t), r.store, subscriptions)
		return err == nil && len(status) == 1 && status[0].Position.Sequence() == 1
	})
	network.set(false, true)
	r.tick(t, "a")
	two := newHandled(t, 1)
	back := r.start(t, cfg, two.handle)
	two.wait()
	if got := two.versions("a"); got != "2" {
		t.Errorf("it went on with %s", got)
	}
	crashed.stop()
	back.stopped(t)
}

// Two that share an exclusive owner against the promise do not take the lease
// from each other for ever: who lost it waits like everybody.
func TestExclusiveOwnerThatIsShared(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	cfg := r.cfg
	cfg.Lease, cfg.Owner, cfg.ExclusiveOwner = 2*time.Second, "house-1", true
	s1, s2 := newSignals(), newSignals()
	cfg.Observer = s1
	first := r.start(t, cfg, func(context.Context, esjs.Recorded[esjs.Event]) error { return nil })
	s1.await(t, "the first is active", func() bool { return s1.active["test"] })
	cfg.Observer = s2
	second := r.start(t, cfg, func(context.Context, esjs.Recorded[esjs.Event]) error { return nil })
	s2.await(t, "the second is active", func() bool { return s2.active["test"] })
	s1.await(t, "the first is stopped", func() bool { return !s1.active["test"] })
	// The first would have taken it back with the next renewal that it sees.
	before := r.renewed(t)
	eventually(t, "the second does not renew", func() bool { return r.renewed(t).After(before.Add(cfg.Lease)) })
	s2.await(t, "the second is still active", func() bool { return s2.active["test"] })
	if n := s1.count(s1.turns, "test"); n != 1 {
		t.Errorf("the first was active %d times", n)
	}
	second.stopped(t)
	s1.await(t, "the first takes over what was released", func() bool { return s1.active["test"] })
	first.stopped(t)
}

// renewed is when the subscription's entry was written last.
func (r *rig) renewed(t *testing.T) time.Time {
	t.Helper()
	status, err := esjs.Subscriptions(within(t), r.store, subscriptions)
	if err != nil || len(status) != 1 {
		t.Fatal(status, err)
	}
	return status[0].Renewed
}

func TestExclusiveOwnerHasAName(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	cfg := r.cfg
	cfg.ExclusiveOwner = true
	err := esjs.Subscribe(t.Context(), r.store, cfg, func(context.Context, esjs.Recorded[esjs.Event]) error { return nil })
	if !errors.Is(err, esjs.ErrConfig) {
		t.Errorf("without an owner: %v", err)
	}
	timers, _ := openTimers(t, r.Deployment, "billing")
	timerCfg := esjs.TimerSubscriptionConfig{Name: "due", Category: "invoice", Bucket: subscriptions, ExclusiveOwner: true}
	if err := timers.Subscribe(t.Context(), timerCfg, nil); !errors.Is(err, esjs.ErrConfig) {
		t.Errorf("timers without an owner: %v", err)
	}
}
