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

// Whichever one of its requests is lost, a call that looks up, creates or changes
// streams and buckets makes it again, and does what it is to do.
func TestALostRequestIsMadeAgain(t *testing.T) {
	t.Parallel()
	d := esjstest.Server(t)
	beside, keys := d.Store(t), esjs.KeyConfig{Bucket: keyBucket, Master: master(1)}
	for _, bucket := range []string{"KEPT", "LISTED"} {
		if err := esjs.ProvisionBucket(testContext(t), d.Dial(), bucket, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := esjs.ProvisionTimers(testContext(t), d.Dial(), 1); err != nil {
		t.Fatal(err)
	}
	if err := esjs.ProvisionKeys(testContext(t), d.Dial(), keys.Bucket, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := beside.Append(testContext(t), account("a-1"), esjs.NoStream(), deposited{Amount: 1}); err != nil {
		t.Fatal(err)
	}
	agg := accountAggregate(t)

	// Of calls of a store its opening is not the matter.
	onStore := func(call func(context.Context, *esjs.Store) error) func(*testing.T, *esjstest.Faults) func(context.Context, int) error {
		return func(t *testing.T, f *esjstest.Faults) func(context.Context, int) error {
			store, err := esjs.Open(testContext(t), f.Dial(), d.Config())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(store.Close)
			return func(ctx context.Context, _ int) error { return call(ctx, store) }
		}
	}
	dialing := func(call func(context.Context, esjs.Dial, int) error) func(*testing.T, *esjstest.Faults) func(context.Context, int) error {
		return func(_ *testing.T, f *esjstest.Faults) func(context.Context, int) error {
			return func(ctx context.Context, n int) error { return call(ctx, f.Dial(), n) }
		}
	}
	var calls sync.WaitGroup // each waits mostly
	for name, prepare := range map[string]func(*testing.T, *esjstest.Faults) func(context.Context, int) error{
		"Provision": dialing(func(ctx context.Context, dial esjs.Dial, n int) error {
			return esjs.Provision(ctx, dial, esjs.Config{Stream: fmt.Sprint("S", n), Prefix: fmt.Sprint("s", n), MaxBytes: 1 << 20})
		}),
		"Provision, larger": dialing(func(ctx context.Context, dial esjs.Dial, n int) error {
			cfg := d.Config()
			cfg.MaxBytes += int64(n) << 20
			return esjs.Provision(ctx, dial, cfg)
		}),
		"ProvisionBucket": dialing(func(ctx context.Context, dial esjs.Dial, n int) error {
			return esjs.ProvisionBucket(ctx, dial, fmt.Sprint("B", n), 1)
		}),
		"ProvisionBucket, again": dialing(func(ctx context.Context, dial esjs.Dial, _ int) error {
			return esjs.ProvisionBucket(ctx, dial, "KEPT", 1)
		}),
		"ProvisionKeys": dialing(func(ctx context.Context, dial esjs.Dial, n int) error {
			return esjs.ProvisionKeys(ctx, dial, fmt.Sprint("K", n), 1)
		}),
		"ProvisionTimers": dialing(func(ctx context.Context, dial esjs.Dial, _ int) error {
			return esjs.ProvisionTimers(ctx, dial, 1)
		}),
		"Open": dialing(func(ctx context.Context, dial esjs.Dial, _ int) error {
			store, err := esjs.Open(ctx, dial, d.Config())
			if err == nil {
				store.Close()
			}
			return err
		}),
		"Open, with keys": dialing(func(ctx context.Context, dial esjs.Dial, _ int) error {
			cfg := d.Config()
			cfg.Keys = &keys
			store, err := esjs.Open(ctx, dial, cfg)
			if err == nil {
				store.Close()
			}
			return err
		}),
		"NewCommandHandler": onStore(func(ctx context.Context, store *esjs.Store) error {
			h, err := esjs.NewCommandHandler(ctx, store, agg, esjs.HandlerConfig[balance]{Snapshots: &esjs.SnapshotPolicy[balance]{Bucket: "KEPT"}})
			if err != nil {
				return err
			}
			return h.Close(ctx)
		}),
		"NewProcess": onStore(func(ctx context.Context, store *esjs.Store) error {
			p, err := esjs.NewProcess(ctx, store, assemblyProcess(t), esjs.ProcessConfig{Service: "test", Bucket: "KEPT", Instances: "LISTED"})
			if err != nil {
				return err
			}
			return p.Close(ctx)
		}),
		"Last": onStore(func(ctx context.Context, store *esjs.Store) error { _, err := store.Last(ctx); return err }),
		"Streams": onStore(func(ctx context.Context, store *esjs.Store) error {
			for _, err := range store.Streams(ctx, "account") {
				if err != nil {
					return err
				}
			}
			return nil
		}),
		"Verify": onStore(func(ctx context.Context, store *esjs.Store) error {
			_, err := esjs.Verify(ctx, store, agg.Codec, esjs.VerifyConfig{})
			return err
		}),
		"Subscribe": onStore(func(ctx context.Context, store *esjs.Store) error {
			ctx, cancel := context.WithCancelCause(ctx)
			defer cancel(nil)
			seen := 0
			err := esjs.Subscribe(ctx, store, esjs.SubscriptionConfig[esjs.Event]{Name: "account", EveryInstance: true, Codec: agg.Codec},
				func(context.Context, esjs.Recorded[esjs.Event]) error {
					if seen++; seen == 1 {
						cancel(context.Canceled)
					}
					return nil
				})
			if err == nil && seen == 0 {
				err = context.Cause(ctx)
			}
			return err
		}),
	} {
		f := d.Faults()
		call := prepare(t, f)
		calls.Go(func() {
			for n := 1; ; n++ {
				f.BeforeRequest(n, func() { f.LoseRequests(1) })
				began := time.Now()
				if err := call(testContext(t), n); err != nil {
					t.Errorf("%s: request %d is lost: %v", name, n, err)
					return
				}
				if f.Armed() > 0 {
					if n == 1 {
						t.Errorf("%s makes no request", name)
					}
					return
				}
				t.Logf("%s: request %d is lost: %s", name, n, time.Since(began).Round(time.Second))
			}
		})
	}
	calls.Wait()
}
