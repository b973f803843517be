package service_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
)

// lent and returned are what happens to a jar; a jar that was lent has a deadline.
type lent struct {
	Until time.Time `json:"until,omitzero"`
}

type returned struct{}

func (lent) EventType() string     { return "Lent" }
func (returned) EventType() string { return "Returned" }

// A deadline that could not be met, and whose timer is gone from the server after
// 7 days, is met from the stream's own events; one that is still to come is not.
func TestADeadlineOutlivesItsTimer(t *testing.T) {
	const bucket = "SUBSCRIPTIONS_test"
	h := servicetest.New(t, []esjs.EventType[esjs.Event]{
		esjs.TypeOf[esjs.Event, lent](), esjs.TypeOf[esjs.Event, returned](),
	}, bucket)
	h.Check(esjs.ProvisionTimers(t.Context(), h.Server.Dial(), 1))
	env := h.Env("test")
	met := make(chan esjs.Fired, 10)
	refuse := make(chan bool, 1)
	refuse <- true
	set, fired := service.DeadlineSubscriptions("jar")
	env.Health.AwaitSubscriptions(set, fired)
	h.Run(func(ctx context.Context) error {
		return service.Deadlines[esjs.Event]{
			Codec: h.Codec, Category: "jar", Types: []string{"Lent"}, Name: "end", Bucket: bucket,
			At: func(e esjs.Event) time.Time { return e.(lent).Until },
			Due: func(_ context.Context, f esjs.Fired) error {
				select {
				case <-refuse:
					return esjs.Park(errors.New("not now"))
				default:
					met <- f
					return nil
				}
			},
		}.Keep(ctx, env)
	})
	h.Ready(env)
	ended, later := time.Now(), time.Now().Add(time.Hour)
	h.Append("jar", "j 1", returned{}, lent{Until: ended}, lent{}, lent{Until: later})
	parked := func() (n int) {
		all, err := esjs.Subscriptions(t.Context(), h.Store, bucket)
		h.Check(err)
		for _, s := range all {
			n += len(s.Parked)
		}
		return n
	}
	h.Until("it is parked", func() bool { return parked() == 1 })
	_, err := h.NC.Request("$JS.API.STREAM.PURGE.TIMERS", []byte(`{"filter":"timer.test.fired.>"}`), servicetest.Patience)
	h.Check(err)
	h.Check(esjs.Subscription{Store: h.Store, Bucket: bucket, Name: fired}.Release(t.Context(), "j 1"))
	f := <-met
	if f.Stream.Key != "j 1" || f.Version != 2 || f.Name != "end" || !f.At.Equal(ended) || f.FiredAt.Before(ended) {
		t.Errorf("met %+v", f)
	}
	h.Until("it is not parked any more", func() bool { return parked() == 0 })
	if len(met) > 0 {
		t.Errorf("met as well: %+v", <-met)
	}
}

// Of the deadlines whose timers are gone, one that cannot be met yet holds up no other,
// and is tried on.
func TestALostDeadlineThatCannotBeMetHoldsUpNoOther(t *testing.T) {
	const bucket = "SUBSCRIPTIONS_test"
	h := servicetest.New(t, []esjs.EventType[esjs.Event]{esjs.TypeOf[esjs.Event, lent]()}, bucket)
	h.Check(esjs.ProvisionTimers(t.Context(), h.Server.Dial(), 1))
	_, fired := service.DeadlineSubscriptions("jar")
	for _, jar := range []string{"stuck", "well"} {
		h.Append("jar", jar, lent{Until: time.Now()})
	}
	// Nobody was here for 8 days.
	js, err := jetstream.New(h.NC)
	h.Check(err)
	kv, err := js.KeyValue(t.Context(), bucket)
	h.Check(err)
	left := fmt.Sprintf(`{"subscription":%q,"stream":"TIMERS","floor":"0-0","renewed":%q}`, fired, time.Now().Add(-8*24*time.Hour).Format(time.RFC3339))
	_, err = kv.Put(t.Context(), "sub."+fired, []byte(left))
	h.Check(err)
	tried, met := make(chan struct{}), make(chan struct{})
	var tries atomic.Int32
	once := sync.OnceFunc(func() { close(met) })
	h.Run(func(ctx context.Context) error {
		return service.Deadlines[esjs.Event]{
			Codec: h.Codec, Category: "jar", Types: []string{"Lent"}, Name: "end", Bucket: bucket,
			At: func(e esjs.Event) time.Time { return e.(lent).Until },
			Due: func(_ context.Context, f esjs.Fired) error {
				if f.Stream.Key == "well" {
					once()
					return nil
				}
				if tries.Add(1) == 3 {
					close(tried)
				}
				return esjs.RetryAfter(time.Millisecond, errors.New("not yet"))
			},
		}.Keep(ctx, h.Env("test"))
	})
	<-met
	<-tried
}
