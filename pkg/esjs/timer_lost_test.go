package esjs_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go/jetstream"
)

// lostTimers is a subscription to timers, one of which was parked until the
// stream had forgotten it.
type lostTimers struct {
	*rig
	timers *esjs.Timers
	cfg    esjs.TimerSubscriptionConfig
	seen   *signals
}

var expiring = esjs.StreamID{Category: "quote", Key: "q 1"}

func newLostTimers(t *testing.T) *lostTimers {
	t.Helper()
	r := &lostTimers{rig: newRig(t, esjstest.Server(t)), seen: newSignals()}
	var stream jetstream.Stream
	r.timers, stream = openTimers(t, r.Deployment, "sales")
	r.cfg = esjs.TimerSubscriptionConfig{Name: "expiry", Category: "quote", Bucket: subscriptions, Observer: r.seen}
	if err := r.timers.Set(within(t), expiring, esjs.Timer{Name: "end", At: time.Now(), Version: 3}); err != nil {
		t.Fatal(err)
	}
	run := r.subscribe(t, func(context.Context, esjs.Fired) error { return esjs.Park(errors.New("not now")) })
	r.seen.await(t, "the timer is parked", func() bool { return r.seen.parked["expiry"] == 1 })
	run.stopped(t)
	// What the stream does itself after 7 days.
	if err := stream.Purge(within(t), jetstream.WithPurgeSubject("timer.sales.fired.>")); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *lostTimers) subscribe(t *testing.T, handle func(context.Context, esjs.Fired) error) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	run := &running{cancel, make(chan error, 1)}
	go func() { run.ended <- r.timers.Subscribe(ctx, r.cfg, handle) }()
	t.Cleanup(cancel)
	return run
}

func (r *lostTimers) releaseTimer(t *testing.T) {
	t.Helper()
	if err := (esjs.Subscription{Store: r.store, Bucket: subscriptions, Name: "expiry"}).Release(within(t), expiring.Key); err != nil {
		t.Fatal(err)
	}
}

func TestParkedTimerThatIsGoneIsTold(t *testing.T) {
	t.Parallel()
	r := newLostTimers(t)
	handled := make(chan esjs.Fired, 10)
	handle := func(_ context.Context, f esjs.Fired) error { handled <- f; return nil }

	run := r.subscribe(t, handle)
	since := r.parked(t)[0].Since
	r.releaseTimer(t)
	eventually(t, "it is not parked again", func() bool { return r.parked(t)[0].Since.After(since) })
	if reason := r.parked(t)[0].Reason; !strings.Contains(reason, "fired timers are lost: of quote/q 1") {
		t.Errorf("it is parked because of %q", reason)
	}
	run.stopped(t)

	var fails atomic.Bool
	fails.Store(true)
	told := make(chan esjs.StreamID, 10)
	r.cfg.Lost = func(_ context.Context, id esjs.StreamID) error {
		if fails.Swap(false) {
			return errors.New("not ready") // is told again
		}
		told <- id
		return nil
	}
	run = r.subscribe(t, handle)
	r.releaseTimer(t)
	if id := <-told; id != expiring {
		t.Errorf("told of %s", id)
	}
	eventually(t, "it is still listed", func() bool { return len(r.parked(t)) == 0 })
	if err := r.timers.Set(within(t), expiring, esjs.Timer{Name: "end", At: time.Now(), Version: 4}); err != nil {
		t.Fatal(err)
	}
	if f := <-handled; f.Version != 4 {
		t.Errorf("the next one has version %d", f.Version)
	}
	run.stopped(t)
	if len(told) > 0 {
		t.Errorf("told of %s, too", <-told)
	}
}

// Who was away for 7 days, or had something unfinished for that long, is told at the start.
func TestTimersThatWereNotHandledForTooLongAreTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		entry map[string]any
		lost  bool
	}{
		"away for 8 days":              {map[string]any{"renewed": time.Now().Add(-8 * 24 * time.Hour)}, true},
		"one was tried for 8 days":     {map[string]any{"renewed": time.Now(), "oldest": time.Now().Add(-8 * 24 * time.Hour)}, true},
		"away for 6 days":              {map[string]any{"renewed": time.Now().Add(-6 * 24 * time.Hour)}, false},
		"one was tried for some hours": {map[string]any{"renewed": time.Now(), "oldest": time.Now().Add(-8 * time.Hour)}, false},
		"never there":                  {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &lostTimers{rig: newRig(t, esjstest.Server(t)), seen: newSignals()}
			r.timers, _ = openTimers(t, r.Deployment, "sales")
			r.cfg = esjs.TimerSubscriptionConfig{Name: "expiry", Category: "quote", Bucket: subscriptions, Observer: r.seen}
			put := func() {
				if c.entry == nil {
					return
				}
				c.entry["subscription"], c.entry["stream"], c.entry["floor"] = "expiry", "TIMERS", "0-0"
				value, err := json.Marshal(c.entry)
				if err != nil {
					t.Fatal(err)
				}
				kv, err := jetStream(t, r.Connect(t)).KeyValue(within(t), subscriptions)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := kv.Put(within(t), "sub.expiry", value); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.timers.Set(within(t), expiring, esjs.Timer{Name: "end", At: time.Now(), Version: 3}); err != nil {
				t.Fatal(err)
			}
			handled := make(chan esjs.Fired, 10)
			handle := func(_ context.Context, f esjs.Fired) error { handled <- f; return nil }
			put()
			run := r.subscribe(t, handle)
			<-handled
			run.stopped(t)
			failed := r.seen.count(r.seen.failed, "expiry") > 0 &&
				strings.Contains(r.seen.lastError["expiry"], "fired timers are lost: of any stream of quote")
			if failed != c.lost {
				t.Errorf("without Lost the observer was told: %t, want %t", failed, c.lost)
			}

			told := make(chan esjs.StreamID, 10)
			r.cfg.Lost = func(_ context.Context, id esjs.StreamID) error { told <- id; return nil }
			put()
			run = r.subscribe(t, handle)
			if c.entry != nil {
				<-handled // the position was put back
			} else if err := r.timers.Set(within(t), expiring, esjs.Timer{Name: "end", At: time.Now(), Version: 4}); err == nil {
				<-handled
			}
			run.stopped(t)
			if got := len(told) == 1 && <-told == (esjs.StreamID{}); got != c.lost {
				t.Errorf("with Lost it was told: %t, want %t", got, c.lost)
			}
		})
	}
}
