package kvsink_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/kvsink"
	"github.com/nats-io/nats.go/jetstream"
)

func onBoth(t *testing.T, test func(*testing.T, *esjstest.Deployment)) {
	t.Run("R1", func(t *testing.T) { t.Parallel(); test(t, esjstest.Server(t)) })
	t.Run("R3", func(t *testing.T) { t.Parallel(); test(t, esjstest.Cluster(t)) })
}

func provision(t *testing.T, d *esjstest.Deployment, bucket string) {
	t.Helper()
	if err := esjs.ProvisionBucket(t.Context(), d.Dial(), bucket, d.Replicas()); err != nil {
		t.Fatal(err)
	}
}

func TestABucketIsASink(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		var buckets int
		esjstest.TestSink(t, func(t *testing.T) esjstest.SinkRig[*kvsink.Tx] {
			buckets++
			bucket := fmt.Sprintf("VIEWS_%d", buckets)
			provision(t, d, bucket)
			// The suite's rows come from no events: each is given the next place.
			var places atomic.Int64
			next := func() esjs.Record { return esjs.Record{Position: at(t, int(places.Add(1))), Version: 1} }
			const place = "the place for rows"
			return esjstest.SinkRig[*kvsink.Tx]{
				Open: func(t *testing.T) esjs.Sink[*kvsink.Tx] { return kvsink.New(d.Store(t), bucket) },
				Init: func(ctx context.Context, tx *kvsink.Tx) error {
					return kvsink.Update(ctx, tx, place, next(), func(exists bool) (bool, error) {
						if exists {
							return true, errors.New("the place exists")
						}
						return true, nil
					})
				},
				Put: func(ctx context.Context, tx *kvsink.Tx, key, value string) error {
					return kvsink.Update(ctx, tx, key, next(), func(string) (string, error) { return value, nil })
				},
				Rows: func(t *testing.T) map[string]string {
					rows := map[string]string{}
					sink := kvsink.New(d.Store(t), bucket)
					for _, name := range rowNames(t, d, bucket) {
						projection, token, _ := strings.Cut(name, ".row.")
						key, err := esjs.UnescapeKey(token)
						if err != nil {
							t.Fatal(err)
						}
						var value string
						if key == place {
							continue
						}
						if _, err := sink.Get(t.Context(), projection, key, &value); err != nil {
							t.Fatal(err)
						}
						rows[key] = value
					}
					return rows
				},
			}
		})
	})
}

// rowNames lists the entries of rows as any NATS client sees them.
func rowNames(t *testing.T, d *esjstest.Deployment, bucket string) []string {
	t.Helper()
	js, err := jetstream.New(d.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := esjs.Answered(t.Context(), func(ctx context.Context) (jetstream.KeyValue, error) { return js.KeyValue(ctx, bucket) })
	if err != nil {
		t.Fatal(err)
	}
	all, err := esjs.Answered(t.Context(), func(ctx context.Context) ([]string, error) { return kv.Keys(ctx) })
	if err != nil && !errors.Is(err, jetstream.ErrNoKeysFound) {
		t.Fatal(err)
	}
	var rows []string
	for _, name := range all {
		if strings.Contains(name, ".row.") {
			rows = append(rows, name)
		}
	}
	return rows
}

func at(t *testing.T, sequence int) esjs.Position {
	t.Helper()
	position, err := esjs.ParsePosition(fmt.Sprintf("0-%d", sequence))
	if err != nil {
		t.Fatal(err)
	}
	return position
}

// moving is a step to a position that changes rows.
func moving(to esjs.Position, change func(context.Context, *kvsink.Tx) error) func(context.Context, *kvsink.Tx, esjs.Checkpoint) (esjs.Checkpoint, error) {
	return func(ctx context.Context, tx *kvsink.Tx, _ esjs.Checkpoint) (esjs.Checkpoint, error) {
		return esjs.Checkpoint{Position: to}, change(ctx, tx)
	}
}

// seen is the state of the tests' rows: how often an event came, and which.
type seen struct {
	Times int
	Last  uint64
}

func see(ctx context.Context, tx *kvsink.Tx, key string, r esjs.Record) error {
	return kvsink.Update(ctx, tx, key, r, func(s seen) (seen, error) { return seen{s.Times + 1, r.Version}, nil })
}

func TestARowHasEachEventOnce(t *testing.T) {
	d := esjstest.Server(t)
	provision(t, d, "VIEWS")
	ctx, sink := t.Context(), kvsink.New(d.Store(t), "VIEWS")
	if _, err := sink.Open(ctx, "view_v1", nil); err != nil {
		t.Fatal(err)
	}
	event := func(position int, version uint64) esjs.Record {
		return esjs.Record{Position: at(t, position), Version: version}
	}
	commit := func(from, to int, apply func(ctx context.Context, tx *kvsink.Tx) error) {
		t.Helper()
		err := sink.Commit(ctx, "view_v1", func(ctx context.Context, tx *kvsink.Tx, now esjs.Checkpoint) (esjs.Checkpoint, error) {
			if now.Position.Sequence() != uint64(from) {
				t.Errorf("the commit to %d begins at %s, want %d", to, now.Position, from)
			}
			return esjs.Checkpoint{Position: at(t, to)}, apply(ctx, tx)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(key string, s seen, position int) {
		t.Helper()
		var got seen
		place, err := sink.Get(ctx, "view_v1", key, &got)
		if err != nil || got != s || place != at(t, position) {
			t.Fatalf("row %q is %+v at %s, %v; want %+v at %d", key, got, place, err, s, position)
		}
	}
	const key = "a b/ü.*" // any key of an aggregate
	commit(0, 3, func(ctx context.Context, tx *kvsink.Tx) error {
		return errors.Join(see(ctx, tx, key, event(3, 1)), see(ctx, tx, key, event(3, 2)), see(ctx, tx, key, event(3, 2)))
	})
	want(key, seen{2, 2}, 3)
	commit(3, 5, func(ctx context.Context, tx *kvsink.Tx) error {
		return errors.Join(see(ctx, tx, key, event(2, 9)), see(ctx, tx, key, event(3, 2)), see(ctx, tx, key, event(5, 3)))
	})
	want(key, seen{3, 3}, 5)

	// A removed row keeps its place.
	commit(5, 6, func(ctx context.Context, tx *kvsink.Tx) error { return kvsink.Remove(ctx, tx, key, event(6, 4)) })
	if _, err := sink.Get(ctx, "view_v1", key, new(seen)); !errors.Is(err, esjs.ErrNotFound) {
		t.Fatalf("a removed row: %v, want ErrNotFound", err)
	}
	commit(6, 7, func(ctx context.Context, tx *kvsink.Tx) error { return see(ctx, tx, key, event(5, 3)) })
	if _, err := sink.Get(ctx, "view_v1", key, new(seen)); !errors.Is(err, esjs.ErrNotFound) {
		t.Fatalf("an old event brought a removed row back: %v", err)
	}
	commit(7, 8, func(ctx context.Context, tx *kvsink.Tx) error { return see(ctx, tx, key, event(8, 5)) })
	want(key, seen{1, 5}, 8)
}

// A claim that a crash left behind refuses others until one of them opens the
// projection; then the one that claimed it sees what became of it.
func TestOpeningTakesOverAClaim(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		provision(t, d, "VIEWS")
		ctx := t.Context()
		crashed, next := kvsink.New(d.Store(t), "VIEWS"), kvsink.New(d.Store(t), "VIEWS")
		if _, err := crashed.Open(ctx, "view_v1", nil); err != nil {
			t.Fatal(err)
		}
		event := esjs.Record{Position: at(t, 1), Version: 1}
		to := at(t, 1)
		// A row that another one writes meanwhile ends the commit in its middle.
		err := crashed.Commit(ctx, "view_v1", moving(to, func(ctx context.Context, tx *kvsink.Tx) error {
			err := errors.Join(see(ctx, tx, "a", event), see(ctx, tx, "b", event))
			js, jsErr := jetstream.New(d.Connect(t))
			if jsErr != nil {
				return jsErr
			}
			_, putErr := esjs.Answered(ctx, func(ctx context.Context) (*jetstream.PubAck, error) {
				return js.Publish(ctx, "$KV.VIEWS.view_v1.row.b", []byte(`{"version":1,"position":"0-1","state":{"Times":1,"Last":1}}`))
			})
			return errors.Join(err, putErr)
		}))
		if !errors.Is(err, esjs.ErrConflict) {
			t.Fatalf("a row written by another instance: %v, want ErrConflict", err)
		}
		apply := func(ctx context.Context, tx *kvsink.Tx) error {
			return errors.Join(see(ctx, tx, "a", event), see(ctx, tx, "b", event), see(ctx, tx, "c", event))
		}
		if err := next.Commit(ctx, "view_v1", moving(to, apply)); !errors.Is(err, esjs.ErrConflict) {
			t.Fatalf("a commit over another one's claim: %v, want ErrConflict", err)
		}
		if from, err := next.Open(ctx, "view_v1", nil); err != nil || !from.Position.IsZero() {
			t.Fatalf("taken over at %s, %v", from.Position, err)
		}
		if err := next.Commit(ctx, "view_v1", moving(to, apply)); err != nil {
			t.Fatal(err)
		}
		err = crashed.Commit(ctx, "view_v1", func(_ context.Context, _ *kvsink.Tx, now esjs.Checkpoint) (esjs.Checkpoint, error) {
			if now.Position != to {
				t.Errorf("the one that was taken over is given %s, want %s", now.Position, to)
			}
			return now, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"a", "b", "c"} {
			var got seen
			if _, err := next.Get(ctx, "view_v1", key, &got); err != nil || got != (seen{1, 1}) {
				t.Fatalf("row %q is %+v, %v: want one event", key, got, err)
			}
		}
	})
}

// Whichever one of its requests is lost, a call of the sink makes it again.
func TestALostRequestIsMadeAgain(t *testing.T) {
	t.Parallel()
	d := esjstest.Server(t)
	provision(t, d, "VIEWS")
	d.Store(t) // provisions
	f := d.Faults()
	store, err := esjs.Open(t.Context(), f.Dial(), d.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	sink := kvsink.New(store, "VIEWS")
	event := esjs.Record{Position: at(t, 1), Version: 1}
	for n := 1; ; n++ {
		name := fmt.Sprintf("view%d_v1", n)
		f.BeforeRequest(n, func() { f.LoseRequests(1) })
		_, opened := sink.Open(t.Context(), name, nil)
		committed := sink.Commit(t.Context(), name, moving(at(t, 1), func(ctx context.Context, tx *kvsink.Tx) error { return see(ctx, tx, "a", event) }))
		var got seen
		_, read := sink.Get(t.Context(), name, "a", &got)
		if err := errors.Join(opened, committed, read); err != nil || got != (seen{1, 1}) {
			t.Fatalf("request %d is lost: the row is %+v, %v", n, got, err)
		}
		if f.Armed() > 0 {
			if n < 5 {
				t.Errorf("only %d requests were made", n-1)
			}
			return
		}
	}
}

func TestTroubleOfTheBucketIsUnavailable(t *testing.T) {
	d := esjstest.Server(t)
	store := d.Store(t)
	if _, err := kvsink.New(store, "NOWHERE").Open(t.Context(), "view_v1", nil); !errors.Is(err, esjs.ErrConfig) {
		t.Errorf("a bucket that does not exist: %v, want ErrConfig", err)
	}
	js, err := jetstream.New(d.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "FORGETS", TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if _, err := kvsink.New(store, "FORGETS").Open(t.Context(), "view_v1", nil); !errors.Is(err, esjs.ErrConfig) || !strings.Contains(err.Error(), "max_age") {
		t.Errorf("a bucket whose rows expire: %v, want ErrConfig that names max_age", err)
	}
	provision(t, d, "VIEWS")
	sink := kvsink.New(store, "VIEWS")
	for _, name := range []string{"", "a.b", "a b", "*"} {
		if _, err := sink.Open(t.Context(), name, nil); !errors.Is(err, esjs.ErrConfig) {
			t.Errorf("the name %q: %v, want ErrConfig", name, err)
		}
	}
	if _, err := sink.Open(t.Context(), "view_v1", nil); err != nil {
		t.Fatal(err)
	}
	to := at(t, 1)
	err = sink.Commit(t.Context(), "view_v1", moving(to, func(ctx context.Context, tx *kvsink.Tx) error {
		return kvsink.Update(ctx, tx, "large", esjs.Record{Position: at(t, 1), Version: 1}, func(string) (string, error) {
			return strings.Repeat("x", 2<<20), nil
		})
	}))
	if !errors.Is(err, esjs.ErrTooLarge) || errors.Is(err, esjs.ErrUnavailable) {
		t.Errorf("a row above the server's limit: %v, want ErrTooLarge", err)
	}
}
