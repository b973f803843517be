package esjs_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// Entries that are written while they are read move behind what was last, and
// are found there.
func TestSubscriptionsThatAreBusyAreShown(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	js := jetStream(t, r.Connect(t))
	kv, err := js.KeyValue(within(t), subscriptions)
	if err != nil {
		t.Fatal(err)
	}
	const busy = 5
	save := func(i int) {
		entry := fmt.Sprintf(`{"subscription":"busy-%d","owner":"o","token":"t","stream":"EVENTS","floor":"0-0","renewed":%q,"lease_ms":20000}`,
			i, time.Now().Format(time.RFC3339Nano))
		if _, err := kv.PutString(within(t), fmt.Sprint("sub.busy-", i), entry); err != nil {
			t.Error(err)
		}
	}
	for i := range busy {
		save(i)
	}
	ctx, stop := context.WithCancel(within(t))
	var writer sync.WaitGroup
	writer.Go(func() {
		pace := time.NewTicker(2 * time.Millisecond)
		defer pace.Stop()
		for i := 0; ; i++ {
			select {
			case <-pace.C:
				save(i % busy)
			case <-ctx.Done():
				return
			}
		}
	})
	for range 50 {
		status, err := esjs.Subscriptions(within(t), r.store, subscriptions)
		if err != nil || len(status) != busy {
			t.Errorf("%d of %d subscriptions are shown, %v", len(status), busy, err)
			break
		}
	}
	stop()
	writer.Wait()
}

func TestSubscriptionsTellLagInSecondsAndRate(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	show := func() esjs.SubscriptionStatus {
		t.Helper()
		status, err := esjs.Subscriptions(within(t), r.store, subscriptions)
		if err != nil || len(status) != 1 {
			t.Fatal(status, err)
		}
		return status[0]
	}
	goOn := make(chan struct{})
	got := newHandled(t, 3)
	run := r.start(t, r.cfg, func(ctx context.Context, e esjs.Recorded[esjs.Event]) error {
		if e.Version == 2 {
			<-goOn
		}
		return got.handle(ctx, e)
	})
	for range 3 {
		r.tick(t, "a")
	}
	began := time.Now()
	eventually(t, "the first one's position is not stored", func() bool {
		status, err := esjs.Subscriptions(within(t), r.store, subscriptions)
		return err == nil && len(status) == 1 && status[0].Lag == 2
	})
	<-time.After(10 * time.Millisecond)
	if s := show(); s.Behind < 0.01 || s.Behind > time.Since(began).Seconds()+1 || s.Rate <= 0 {
		t.Errorf("behind: %+v", s)
	}
	close(goOn)
	got.wait()
	eventually(t, "it is not shown as caught up", func() bool { s := show(); return s.Lag == 0 && s.Behind == 0 && s.Rate > 0 })
	run.stopped(t)
	r.tick(t, "a")
	if s := show(); s.Lag != 1 || s.Behind <= 0 || s.Rate != 0 {
		t.Errorf("when nobody is active: %+v", s)
	}
}
