package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// Leaders of both streams change and a server is lost, while commits are
// written and handled: each one is handled once, in order, by one owner.
func TestSubscribeOnAClusterLosesNothing(t *testing.T) {
	r := newRig(t, esjstest.Cluster(t))
	cfg := r.cfg
	cfg.Lease = 40 * time.Second // longer than any silence here
	changes := &activity{}
	cfg.Observer = changes
	const keys, commits = 8, 40
	got := newHandled(t, keys*commits)
	run := r.start(t, cfg, func(_ context.Context, e esjs.Recorded[esjs.Event]) error {
		if rand.N(10) == 0 {
			return errors.New("try again")
		}
		got.add(e)
		return nil
	})
	var writers sync.WaitGroup
	for k := range keys {
		writers.Go(func() {
			for n := range commits {
				id := clock(fmt.Sprint("k", k))
				expect := esjs.ExpectVersion(uint64(n))
				for { // until it is stored
					_, err := r.store.Append(context.Background(), id, expect, ticked{N: n})
					var conflict *esjs.ConflictError
					if err == nil || errors.As(err, &conflict) && conflict.Actual == uint64(n+1) {
						break
					}
				}
			}
		})
	}
	r.StepDown(t, "EVENTS")
	r.StepDown(t, "KV_"+subscriptions)
	lost := r.Leader(t, "EVENTS")
	r.Stop(lost)
	r.Start(t, lost)
	r.StepDown(t, "EVENTS")
	writers.Wait()
	got.wait()
	run.stopped(t)
	for k := range keys {
		if key := fmt.Sprint("k", k); !gapless(got.all[key], commits) {
			t.Errorf("%s: %v", key, got.all[key])
		}
	}
	if changes.String() != "on off stopped" {
		t.Errorf("the lease went %s", changes)
	}
	status, err := esjs.Subscriptions(within(t), r.store, subscriptions)
	if err != nil || len(status) != 1 || status[0].Lag != 0 {
		t.Errorf("%+v %v", status, err)
	}
	for _, stream := range []string{"EVENTS", "KV_" + subscriptions} {
		// A consumer whose server was lost is deleted by its successor's server.
		eventually(t, "consumers are left", func() bool {
			return len(consumers(t, jetStream(t, r.Connect(t)), stream)) == 0
		})
	}
}
