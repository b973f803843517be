package esjs_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go/jetstream"
)

// Entries that are written while they are read move behind what was last, and
// are found there.
func TestSubscriptionsThatAreBusyAreShown(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	js, err := jetstream.New(r.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
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
