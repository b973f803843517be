package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go/jetstream"
)

const snapshotBucket = "SNAPSHOTS_test"

func newHandler(t testing.TB, d *esjstest.Deployment, s *esjs.Store, cfg esjs.HandlerConfig[balance]) *esjs.CommandHandler[balance, deposit, esjs.Event] {
	t.Helper()
	if cfg.Snapshots != nil {
		if err := esjs.ProvisionBucket(testContext(t), d.Dial(), cfg.Snapshots.Bucket, d.Replicas()); err != nil {
			t.Fatal(err)
		}
	}
	h, err := esjs.NewCommandHandler(testContext(t), s, accountAggregate(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close(context.Background()) })
	return h
}

// snapshot waits until the bucket has a snapshot of the key, and returns it.
func snapshot(t *testing.T, d *esjstest.Deployment, key string) jetstream.KeyValueEntry {
	t.Helper()
	js := jetStream(t, d.Connect(t))
	kv, err := js.KeyValue(testContext(t), snapshotBucket)
	if err != nil {
		t.Fatal(err)
	}
	var entry jetstream.KeyValueEntry
	eventually(t, "no snapshot of "+key, func() bool {
		entry, err = kv.Get(testContext(t), "account."+key)
		if err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
			t.Fatal(err)
		}
		return err == nil
	})
	return entry
}

// An aggregate that was read with more commits than the policy allows gets its
// snapshot then, whatever their number, and the next one as many commits later.
func TestASnapshotIsDueAfterALongLoad(t *testing.T) {
	d := esjstest.Server(t)
	ctx, s := testContext(t), d.Store(t)
	for range 25 {
		if _, err := s.Append(ctx, account("a"), esjs.Any(), deposited{Amount: 1}); err != nil {
			t.Fatal(err)
		}
	}
	h := newHandler(t, d, s, esjs.HandlerConfig[balance]{Snapshots: &esjs.SnapshotPolicy[balance]{Bucket: snapshotBucket, Every: 10}})
	if _, err := h.Load(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	first := snapshot(t, d, "a")
	if !strings.Contains(string(first.Value()), `"version":25`) {
		t.Fatalf("the snapshot after the load is %s", first.Value())
	}
	for range 19 {
		if _, err := h.Handle(ctx, "a", 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Close(ctx); err != nil {
		t.Fatal(err)
	}
	second := snapshot(t, d, "a")
	if !strings.Contains(string(second.Value()), `"version":35`) || second.Revision() != first.Revision()+1 {
		t.Fatalf("the snapshot after 19 commands is %s at revision %d, the first one was at %d", second.Value(), second.Revision(), first.Revision())
	}
}

// Another commit of the same decision would not change what Decide has returned, whatever that wraps.
func TestARefusalThatLooksLikeAConflictIsFinal(t *testing.T) {
	d := esjstest.Server(t)
	agg, decided := accountAggregate(t), 0
	no := fmt.Errorf("not this one: %w", esjs.ErrConflict)
	agg.Decide = func(balance, deposit) ([]esjs.Event, error) { decided++; return nil, no }
	h, err := esjs.NewCommandHandler(testContext(t), d.Store(t), agg, esjs.HandlerConfig[balance]{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Handle(testContext(t), "a", 1); err != no || decided != 1 { //nolint:errorlint // as it is
		t.Errorf("decided %d times: %v", decided, err)
	}
}

func TestThePastIsAsNewAsItIsAskedFor(t *testing.T) {
	d := esjstest.Server(t)
	f := d.Faults()
	h := newHandler(t, d, open(t, f.Dial(), d), esjs.HandlerConfig[balance]{})
	other := newHandler(t, d, d.Store(t), esjs.HandlerConfig[balance]{})
	total := func(opts ...esjs.LoadOption) int {
		t.Helper()
		loaded, err := h.Load(testContext(t), "a", opts...)
		if err != nil {
			t.Fatal(err)
		}
		return loaded.State.Total
	}
	if _, err := other.Handle(testContext(t), "a", 1); err != nil {
		t.Fatal(err)
	}
	f.StaleReads(1)
	if got := total(esjs.AsOf(time.Now()), esjs.Fresh()); got != 1 || f.Armed() != 1 {
		t.Errorf("the total was %d, and %d replicas that are behind were not asked; want 1 and 1", got, f.Armed())
	}
	for _, then := range [][]esjs.LoadOption{{esjs.AsOf(time.Time{})}, {esjs.AsOf(time.Time{}), esjs.AtVersion(1)}} {
		if got := total(then...); got != 0 {
			t.Errorf("before there was anything the total was %d", got)
		}
	}
	total(esjs.Fresh())
	asked := f.Requests()
	if got := total(esjs.Cached()); got != 1 || f.Requests() != asked {
		t.Errorf("what was loaded freshly is %d, and %d requests were made for it; want 1 and 0", got, f.Requests()-asked)
	}
}
