package esjs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

func TestFiredTimersAreDeliveredToTheirService(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		timers, _ := openTimers(t, d, "payment")
		foreign, _ := openTimers(t, d, "saga")
		if err := esjs.ProvisionBucket(contextWithPatience(t), d.Dial(), positions, d.Replicas()); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(300*time.Millisecond + 123456*time.Nanosecond)
		id := esjs.StreamID{Category: "payment", Key: "p ä.*>"}
		for who, set := range map[*esjs.Timers]esjs.StreamID{
			timers:  id,
			foreign: id, // of another service
		} {
			if err := who.Set(contextWithPatience(t), set, esjs.Timer{Name: "expiry", At: at, Version: 7}); err != nil {
				t.Fatal(err)
			}
		}
		other := esjs.StreamID{Category: "refund", Key: "r-1"} // of another category
		if err := timers.Set(contextWithPatience(t), other, esjs.Timer{Name: "expiry", At: at, Version: 1}); err != nil {
			t.Fatal(err)
		}
		// What is not a fired timer is set aside, and nobody waits for it.
		nc := d.Connect(t)
		if _, err := nc.Request("timer.payment.fired.payment.p-2.expiry.1", []byte("nonsense"), patience); err != nil {
			t.Fatal(err)
		}

		s := newSignals()
		delivered := make(chan esjs.Fired, 10)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- timers.Subscribe(ctx, esjs.TimerSubscriptionConfig{
				Name: "expiries", Category: "payment", Bucket: positions, Observer: s,
			}, func(_ context.Context, f esjs.Fired) error {
				delivered <- f
				return nil
			})
		}()
		f := <-delivered
		if f.Stream != id || f.Name != "expiry" || f.Version != 7 || !f.At.Equal(at) || f.FiredAt.Before(at) ||
			f.ID() != "timer.payment.fired.payment.p=20=C3=A4=2E=2A=3E.expiry.7" {
			t.Errorf("fired %+v with id %s, want payment's timer at %s", f, f.ID(), at)
		}
		s.await(t, "the nonsense is parked", func() bool { return s.parked["expiries"] == 1 })
		s.await(t, "the timer is handled", func() bool { return s.handled["expiries"] >= 1 && s.late > 0 })
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the subscription ended with %v", err)
		}
		if len(delivered) > 0 {
			t.Errorf("delivered %+v, too", <-delivered)
		}
	})
}

func TestTimerSubscriptionThatIsNotCompleteIsRefused(t *testing.T) {
	t.Parallel()
	timers, _ := openTimers(t, esjstest.Server(t), "payment")
	for name, cfg := range map[string]esjs.TimerSubscriptionConfig{
		"no name":     {Category: "payment", Bucket: positions},
		"no category": {Name: "expiries", Bucket: positions},
		"no bucket":   {Name: "expiries", Category: "payment"},
	} {
		if err := timers.Subscribe(t.Context(), cfg, nil); !errors.Is(err, esjs.ErrConfig) {
			t.Errorf("%s: %v, want ErrConfig", name, err)
		}
	}
}
