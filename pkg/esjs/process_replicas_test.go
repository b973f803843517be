package esjs_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

func TestTwoActiveProcessesMakeOneCommitPerInput(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		r := newAssemblyRig(t, d)
		const other = "SUBSCRIPTIONS_other"
		if err := esjs.ProvisionBucket(contextWithPatience(t), d.Dial(), other, d.Replicas()); err != nil {
			t.Fatal(err)
		}
		// Leases in two buckets do not know of each other: both are active.
		s1, s2 := newSignals(), newSignals()
		p1 := r.start(t, observed(s1))
		p2 := r.start(t, options{config: func(c *esjs.ProcessConfig) { c.Bucket, c.Observer = other, s2 }})
		const n = 20
		for i := range n {
			order := fmt.Sprint("o-", i)
			if i%2 == 0 {
				r.arrive(t, order, "left")
			}
			r.place(t, order, 200*time.Millisecond)
		}
		want := func(i int) []string {
			if i%2 == 0 {
				return []string{"PartNoted", "AssemblyStarted", "Reminded", "GivenUp"}
			}
			return []string{"AssemblyStarted", "Reminded", "GivenUp"}
		}
		for i := range n {
			r.seen.await(t, fmt.Sprint("o-", i), want(i)...)
		}
		// Never less: a timer that is set late may fire twice, and a lease may be lost.
		for _, s := range []*signals{s1, s2} {
			s.await(t, "every input is handled by both", func() bool {
				return s.handled["assembly"] >= n+n/2 && s.handled["assembly-timers"] >= 2*n
			})
		}
		p1.shutdown(t)
		p2.shutdown(t)
		for i := range n {
			r.check(t, fmt.Sprint("o-", i), want(i)...)
		}
	})
}

func TestStandbyTakesOver(t *testing.T) {
	t.Parallel()
	r := newAssemblyRig(t, esjstest.Server(t))
	s1, s2 := newSignals(), newSignals()
	p1 := r.start(t, observed(s1))
	s1.await(t, "the first is active", func() bool { return s1.active["assembly"] && s1.active["assembly-timers"] })
	p2 := r.start(t, observed(s2))
	r.place(t, "o-1", time.Hour)
	r.seen.await(t, "o-1", "AssemblyStarted")
	if _, err := p2.Handle(contextWithPatience(t), "o-1", giveUp{Reason: "asked the standby"}); err != nil {
		t.Errorf("a command on the standby: %v", err)
	}
	r.seen.await(t, "o-1", "AssemblyStarted", "GivenUp")
	p1.shutdown(t)
	s2.await(t, "the second is active", func() bool { return s2.active["assembly"] && s2.active["assembly-timers"] })
	r.place(t, "o-2", 100*time.Millisecond)
	r.seen.await(t, "o-2", "AssemblyStarted", "Reminded", "GivenUp")
	p2.shutdown(t)
}

func TestManyInstancesAtTheSameTime(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		r := newAssemblyRig(t, d)
		p := r.start(t, options{})
		const n = 200
		start := time.Now()
		var writers sync.WaitGroup
		for w := range 4 {
			writers.Go(func() {
				for i := w; i < n; i += 4 {
					order := fmt.Sprint("o-", i)
					r.arrive(t, order, "left")
					if i%2 == 0 {
						r.place(t, order, time.Hour)
						r.arrive(t, order, "right")
					} else {
						r.place(t, order, 500*time.Millisecond)
					}
				}
			})
		}
		writers.Wait()
		for i := range n {
			if i%2 == 0 {
				r.seen.await(t, fmt.Sprint("o-", i), "PartNoted", "AssemblyStarted", "PartNoted", "Assembled")
			} else {
				r.seen.await(t, fmt.Sprint("o-", i), "PartNoted", "AssemblyStarted", "Reminded", "GivenUp")
			}
		}
		t.Logf("%d instances took %s", n, time.Since(start))
		p.shutdown(t)
	})
}

func TestProcessGoesOnWhileLeadersChange(t *testing.T) {
	t.Parallel()
	r := newAssemblyRig(t, esjstest.Cluster(t))
	p := r.start(t, options{config: func(c *esjs.ProcessConfig) { c.Lease = 10 * time.Second }})
	const n = 60
	for i := range n {
		order := fmt.Sprint("o-", i)
		r.arrive(t, order, "left")
		r.place(t, order, 500*time.Millisecond)
		if i%20 == 10 {
			for _, stream := range []string{"EVENTS", "TIMERS", "KV_" + positions, "KV_" + openOnes} {
				r.StepDown(t, stream)
			}
		}
	}
	for i := range n {
		order := fmt.Sprint("o-", i)
		r.seen.await(t, order, "PartNoted", "AssemblyStarted", "Reminded", "GivenUp")
	}
	p.shutdown(t)
	for i := range n {
		r.check(t, fmt.Sprint("o-", i), "PartNoted", "AssemblyStarted", "Reminded", "GivenUp")
	}
}
