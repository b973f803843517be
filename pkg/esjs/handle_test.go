package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
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
	js, err := jetstream.New(d.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(testContext(t), snapshotBucket)
	if err != nil {
		t.Fatal(err)
	}
	w, err := kv.Watch(testContext(t), "account."+key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Stop() }()
	for entry := range w.Updates() {
		if entry != nil {
			return entry
		}
	}
	t.Fatalf("no snapshot of %s", key)
	return nil
}

func TestHandleDecidesAndAppends(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		ctx, s := testContext(t), d.Store(t)
		h := newHandler(t, d, s, esjs.HandlerConfig[balance]{})
		first, err := h.Handle(ctx, "a", 10)
		if err != nil {
			t.Fatal(err)
		}
		if first.State.Total != 10 || first.Version != 1 || len(first.EventIDs) != 1 {
			t.Fatalf("first result %+v", first)
		}
		nothing, err := h.Handle(ctx, "a", 0)
		if err != nil || nothing.Version != 1 || len(nothing.EventIDs) != 0 {
			t.Fatalf("nothing to do: %+v, %v", nothing, err)
		}
		var refused *esjs.Rejection
		if _, err := h.Handle(ctx, "a", -11); !errors.As(err, &refused) || refused.Code != "insufficient" {
			t.Fatalf("a refused command: %v", err)
		}
		if _, err := h.Handle(ctx, "a", 1, esjs.IfVersion(7)); !isConflict(err, 7, 1) {
			t.Fatalf("another version expected: %v", err)
		}
		if _, err := h.Handle(ctx, "a", 1, esjs.IfVersion(1)); err != nil {
			t.Fatal(err)
		}
	})
}

// Two handlers with a cache each: whoever is slower loads what is new and
// decides again, and a refusal is never taken from an old state.
func TestHandlersOfOneAggregateNeverDecideOnAnOldState(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		ctx := testContext(t)
		one := newHandler(t, d, d.Store(t), esjs.HandlerConfig[balance]{Attempts: 100})
		two := newHandler(t, d, d.Store(t), esjs.HandlerConfig[balance]{Attempts: 100})
		const each = 40
		var wg sync.WaitGroup
		for _, h := range []*esjs.CommandHandler[balance, deposit, esjs.Event]{one, two} {
			wg.Go(func() {
				for range each {
					if _, err := h.Handle(ctx, "shared", 1); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		// one's cache may be old: the refusal is confirmed with the leader.
		if _, err := two.Handle(ctx, "shared", 100); err != nil {
			t.Fatal(err)
		}
		result, err := one.Handle(ctx, "shared", -(2*each + 100))
		if err != nil {
			t.Fatalf("refused on an old state: %v", err)
		}
		if result.State.Total != 0 || result.Version != 2*each+2 {
			t.Fatalf("total %d at version %d, want 0 at %d", result.State.Total, result.Version, 2*each+2)
		}
	})
}

func TestACommandIDIsHandledOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		ctx := testContext(t)
		policy := &esjs.SnapshotPolicy[balance]{Bucket: snapshotBucket, Every: 2}
		meta := func(id, verb string) esjs.HandleOption {
			return esjs.WithMetadata(esjs.Metadata{CommandID: id, CommandHash: esjs.CommandHash(verb, nil)})
		}
		h := newHandler(t, d, d.Store(t), esjs.HandlerConfig[balance]{Snapshots: policy})
		first, err := h.Handle(ctx, "a", 10, meta("c-1", "deposit"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Handle(ctx, "a", 5, meta("c-2", "deposit")); err != nil {
			t.Fatal(err)
		}
		snapshot(t, d, "a")
		// The same handler, one that loads from the log, one that loads the snapshot.
		fromLog := newHandler(t, d, d.Store(t), esjs.HandlerConfig[balance]{})
		fromSnapshot := newHandler(t, d, d.Store(t), esjs.HandlerConfig[balance]{Snapshots: policy})
		for name, h := range map[string]*esjs.CommandHandler[balance, deposit, esjs.Event]{"same": h, "log": fromLog, "snapshot": fromSnapshot} {
			again, err := h.Handle(ctx, "a", 10, meta("c-1", "deposit"))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !again.Repeated || again.Version != 1 || again.State.Total != 15 ||
				again.Revision.String() != first.Revision.String() || fmt.Sprint(again.EventIDs) != fmt.Sprint(first.EventIDs) {
				t.Fatalf("%s: repeated as %+v, first was %+v", name, again, first)
			}
			if _, err := h.Handle(ctx, "a", 10, meta("c-1", "withdraw")); !errors.Is(err, esjs.ErrCommandReused) {
				t.Fatalf("%s: another command under the same id: %v", name, err)
			}
		}
	})
}

// A caller that lost the reply repeats the command; whatever became of the
// first attempt, the events are stored once.
func TestARepeatedCommandAfterALostAckIsStoredOnce(t *testing.T) {
	d := esjstest.Server(t)
	f := d.Faults()
	ctx, s := testContext(t), open(t, f.Dial(), d)
	h := newHandler(t, d, s, esjs.HandlerConfig[balance]{})
	for i, arm := range []func(int){f.LoseAcks, f.LoseAppends, f.RefuseAppends} {
		arm(1)
		id := esjs.WithMetadata(esjs.Metadata{CommandID: fmt.Sprint("c-", i)})
		first, err := h.Handle(ctx, "a", 1, id)
		if err != nil {
			t.Fatal(err)
		}
		again, err := h.Handle(ctx, "a", 1, id)
		if err != nil || again.Version != first.Version || again.State.Total != i+1 {
			t.Fatalf("repeated: %+v, %v; first %+v", again, err, first)
		}
	}
}

// However far the snapshot is behind, a load gives what a fold from zero gives.
func TestLoadAtEveryDistanceFromTheSnapshot(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		ctx, s := testContext(t), d.Store(t)
		for _, distance := range []int{0, 1, 63, 64, 65, 200} {
			key := fmt.Sprint("at-", distance)
			policy := &esjs.SnapshotPolicy[balance]{Bucket: snapshotBucket, Every: 70}
			writer := newHandler(t, d, s, esjs.HandlerConfig[balance]{Snapshots: policy})
			for range 70 {
				if _, err := writer.Handle(ctx, key, 1); err != nil {
					t.Fatal(err)
				}
			}
			snapshot(t, d, key)
			for range distance {
				if _, err := s.Append(ctx, account(key), esjs.Any(), deposited{Amount: 1}, deposited{Amount: 1}); err != nil {
					t.Fatal(err)
				}
			}
			reader := &esjs.SnapshotPolicy[balance]{Bucket: snapshotBucket, Every: -1}
			for name, cfg := range map[string]esjs.HandlerConfig[balance]{
				"with the snapshot":              {Snapshots: reader},
				"from the log":                   {},
				"a snapshot of another version":  {Snapshots: &esjs.SnapshotPolicy[balance]{Bucket: snapshotBucket, Every: -1, StateVersion: 2}},
				"a cache that holds one at once": {CacheSize: 1, Snapshots: reader},
			} {
				loaded, err := newHandler(t, d, s, cfg).Load(ctx, key)
				if err != nil {
					t.Fatalf("%d behind, %s: %v", distance, name, err)
				}
				if want := 70 + 2*distance; loaded.State.Total != want || loaded.Revision.Version() != uint64(want) {
					t.Fatalf("%d behind, %s: total %d at version %d, want %d", distance, name, loaded.State.Total, loaded.Revision.Version(), want)
				}
			}
		}
	})
}

// A snapshot that is damaged, or that is of another log, only costs time.
func TestASnapshotThatCannotBeUsedIsPassedOver(t *testing.T) {
	d := esjstest.Server(t)
	ctx, s := testContext(t), d.Store(t)
	policy := &esjs.SnapshotPolicy[balance]{Bucket: snapshotBucket, Every: 2}
	h := newHandler(t, d, s, esjs.HandlerConfig[balance]{Snapshots: policy})
	for range 4 {
		if _, err := h.Handle(ctx, "a", 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Close(ctx); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(d.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(ctx, snapshotBucket)
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"not JSON":              "{",
		"another form":          `{"form":99}`,
		"not one of its events": `{"form":1,"version":3,"sequence":999,"time":"2026-01-01T00:00:00Z","state":{"total":77}}`,
		"off the chain":         `{"form":1,"version":2,"sequence":1000000,"time":"2026-01-01T00:00:00Z","state":{"total":77}}`,
		"a wrong version":       `{"form":1,"version":9,"sequence":4,"time":"2026-01-01T00:00:00Z","state":{"total":77}}`,
		"a state of other kind": `{"form":1,"version":4,"sequence":4,"time":"2026-01-01T00:00:00Z","state":"x"}`,
	} {
		if _, err := kv.PutString(ctx, "account.a", body); err != nil {
			t.Fatal(err)
		}
		loaded, err := newHandler(t, d, s, esjs.HandlerConfig[balance]{Snapshots: policy}).Load(ctx, "a")
		if err != nil && name != "off the chain" && name != "not one of its events" {
			t.Fatalf("%s: %v", name, err)
		}
		if err == nil && loaded.State.Total != 4 {
			t.Fatalf("%s: total %d, want 4", name, loaded.State.Total)
		}
		// A snapshot that claims more than the log has says that the log lost something.
		var corrupt *esjs.CorruptError
		if err != nil && !errors.As(err, &corrupt) {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

func TestTimeTravel(t *testing.T) {
	d := esjstest.Server(t)
	ctx, s := testContext(t), d.Store(t)
	h := newHandler(t, d, s, esjs.HandlerConfig[balance]{})
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 100 {
		if _, err := h.Handle(ctx, "a", 1, esjs.At(start.Add(time.Duration(i)*time.Minute))); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []uint64{1, 36, 37, 64, 99, 100} {
		loaded, err := h.Load(ctx, "a", esjs.AtVersion(n))
		if err != nil || loaded.State.Total != int(n) || loaded.Revision.Version() != n {
			t.Fatalf("at version %d: %+v, %v", n, loaded, err)
		}
		asOf := start.Add(time.Duration(n-1)*time.Minute + time.Second)
		if loaded, err = h.Load(ctx, "a", esjs.AsOf(asOf)); err != nil || loaded.State.Total != int(n) {
			t.Fatalf("as of %s: %+v, %v", asOf, loaded, err)
		}
	}
	if _, err := h.Load(ctx, "a", esjs.AtVersion(101)); !errors.Is(err, esjs.ErrNotFound) {
		t.Fatalf("a version that is not there: %v", err)
	}
	before, err := h.Load(ctx, "a", esjs.AsOf(start.Add(-time.Second)))
	if err != nil || before.Revision.Version() != 0 {
		t.Fatalf("before the first event: %+v, %v", before, err)
	}
	// A clock that went back does not put an event before the one it follows.
	result, err := h.Handle(ctx, "a", 1, esjs.At(start))
	if err != nil {
		t.Fatal(err)
	}
	if loaded, err := h.Load(ctx, "a"); err != nil || loaded.Time.Before(start.Add(99*time.Minute)) || result.Version != 101 {
		t.Fatalf("an event at %s after one at %s, %v", loaded.Time, start.Add(99*time.Minute), err)
	}
}

// Loads leave nothing behind on the server.
func TestLoadsLeaveNoConsumerBehind(t *testing.T) {
	d := esjstest.Server(t)
	ctx, s := testContext(t), d.Store(t)
	if _, err := s.Append(ctx, account("a"), esjs.NoStream(), deposited{Amount: 1}); err != nil {
		t.Fatal(err)
	}
	h := newHandler(t, d, s, esjs.HandlerConfig[balance]{})
	for range 2000 {
		h.Forget("a")
		if _, err := h.Load(ctx, "a"); err != nil {
			t.Fatal(err)
		}
	}
	js, err := jetstream.New(d.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(ctx, "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Consumers; n != 0 {
		t.Fatalf("%d consumers are left", n)
	}
}

// A handler that has not seen the first use of a command id learns of it from
// the conflict, and does not take the other's commit for its own.
func TestACommandIDThatAnotherHandlerHasSeen(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		ctx := testContext(t)
		one := newHandler(t, d, d.Store(t), esjs.HandlerConfig[balance]{})
		two := newHandler(t, d, d.Store(t), esjs.HandlerConfig[balance]{})
		meta := func(verb string) esjs.HandleOption {
			return esjs.WithMetadata(esjs.Metadata{CommandID: "c-1", CommandHash: esjs.CommandHash(verb, nil)})
		}
		if _, err := one.Handle(ctx, "a", 10); err != nil {
			t.Fatal(err)
		}
		if _, err := two.Load(ctx, "a"); err != nil { // cached from here on
			t.Fatal(err)
		}
		first, err := one.Handle(ctx, "a", 5, meta("deposit 5"))
		if err != nil {
			t.Fatal(err)
		}
		if result, err := two.Handle(ctx, "a", 7, meta("deposit 7")); !errors.Is(err, esjs.ErrCommandReused) {
			t.Fatalf("another command under the same id: %+v, %v", result, err)
		}
		again, err := two.Handle(ctx, "a", 5, meta("deposit 5"))
		if err != nil || again.Version != first.Version || again.State.Total != 15 {
			t.Fatalf("repeated: %+v, %v; first %+v", again, err, first)
		}
	})
}

// Many callers of one handler: what one of them has just stored does not make
// what another has just read look like a loss.
func TestManyCallersOfOneAggregate(t *testing.T) {
	d := esjstest.Server(t)
	ctx, s := testContext(t), d.Store(t)
	h := newHandler(t, d, s, esjs.HandlerConfig[balance]{Attempts: 1000})
	const callers, each = 8, 100
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for range each {
				if _, err := h.Handle(ctx, "a", deposit(caller%2)); err != nil { // 0: nothing to do
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if loaded, err := h.Load(ctx, "a", esjs.Fresh()); err != nil || loaded.State.Total != callers/2*each {
		t.Fatalf("%+v, %v", loaded, err)
	}
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
