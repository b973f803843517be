package kvsink_test

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
	"github.com/b144f99b/orderflow/pkg/esjs/kvsink"
	"github.com/nats-io/nats.go"
)

type added struct{ N int }

func (added) EventType() string { return "Added" }

// sum shows every event that is applied twice, out of order, or not at all.
type sum struct {
	Events, Sum int
	Version     uint64
	Gaps        int
}

const everything = "everything" // the row of all aggregates

func sums(t *testing.T) esjs.Projection[*kvsink.Tx, added] {
	t.Helper()
	codec, err := esjs.NewCodec(esjs.TypeOf[added, added]())
	if err != nil {
		t.Fatal(err)
	}
	return esjs.Projection[*kvsink.Tx, added]{
		Name: "sums", Version: 1, Codec: codec,
		Apply: func(ctx context.Context, tx *kvsink.Tx, e esjs.Recorded[added]) error {
			add := func(s sum) (sum, error) { return sum{Events: s.Events + 1, Sum: s.Sum + e.Event.N}, nil }
			if err := kvsink.Update(ctx, tx, everything, e.Record, add); err != nil {
				return err
			}
			return kvsink.Update(ctx, tx, e.Stream.Key, e.Record, func(s sum) (sum, error) {
				next, err := add(s)
				next.Version, next.Gaps = e.Version, s.Gaps
				if e.Version != s.Version+1 {
					next.Gaps++
				}
				return next, err
			})
		},
	}
}

// fill appends commits of one to three events to several aggregates, and
// returns what the rows must be and where the store ends.
func fill(t *testing.T, store *esjs.Store, commits int) (want map[string]sum, last esjs.Position) {
	t.Helper()
	want = map[string]sum{}
	for range commits {
		key := fmt.Sprintf("jar %d", rand.IntN(12))
		events := make([]esjs.Event, 1+rand.IntN(3))
		for i := range events {
			n := rand.IntN(100)
			events[i] = added{n}
			row, all := want[key], want[everything]
			want[key] = sum{row.Events + 1, row.Sum + n, row.Version + 1, 0}
			want[everything] = sum{Events: all.Events + 1, Sum: all.Sum + n}
		}
		out, err := store.Append(t.Context(), esjs.StreamID{Category: "jar", Key: key}, esjs.Any(), events...)
		if err != nil {
			t.Fatal(err)
		}
		last = last.Later(out.Revision.Position())
	}
	return want, last
}

func wantSums(t *testing.T, sink *kvsink.Sink, want map[string]sum) {
	t.Helper()
	for key, row := range want {
		var got sum
		if _, err := sink.Get(t.Context(), "sums_v1", key, &got); err != nil || got != row {
			t.Errorf("row %q is %+v, %v; want %+v", key, got, err, row)
		}
	}
}

// A projector that is cut off after any number of writes, and goes on in
// another instance with other batches, has every event in every row once.
func TestACutAnywhereChangesNoRow(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		provision(t, d, "VIEWS")
		store := d.Store(t)
		want, last := fill(t, store, 150)

		// Every write to the bucket is seen here on its way to the stream.
		writes := make(chan *nats.Msg, 10_000)
		watcher := d.Connect(t)
		if _, err := watcher.ChanSubscribe("$KV.VIEWS.sums_v1.>", writes); err != nil {
			t.Fatal(err)
		}
		if err := watcher.Flush(); err != nil {
			t.Fatal(err)
		}
		cuts := 0
		for after := 1; ; after++ {
			own := d.Store(t) // closed in the middle of whatever it does
			projector := esjs.NewProjector(own, kvsink.New(own, "VIEWS"), sums(t), esjs.ProjectionConfig{Batch: 1 + rand.IntN(30)})
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- projector.Run(ctx) }()
			done := make(chan error, 1)
			go func() { done <- projector.WaitFor(ctx, last) }()
			complete := false
			for n := 0; n < after && !complete; n++ {
				select {
				case <-writes:
				case err := <-done:
					complete = err == nil
				case err := <-ended:
					t.Fatalf("the projector ended with %v", err)
				}
			}
			if complete {
				cancel()
				<-ended
				break
			}
			cuts++
			own.Close()
			cancel()
			<-ended
			for len(writes) > 0 {
				<-writes
			}
		}
		t.Logf("%d cuts", cuts)
		wantSums(t, kvsink.New(store, "VIEWS"), want)
	})
}

// Projectors that do not know of each other, as without a lease, refuse one
// another and spoil no row; so does a change of the bucket's leader.
func TestProjectorsAtTheSameTimeSpoilNoRow(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		provision(t, d, "VIEWS")
		store := d.Store(t)
		want, last := fill(t, store, 300)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		conflicts := make([]int, 3)
		for i := range conflicts {
			own := d.Store(t)
			wg.Go(func() {
				for ctx.Err() == nil {
					err := projectUntil(ctx, own, sums(t), last)
					if err == nil {
						return
					}
					if !errors.Is(err, esjs.ErrConflict) {
						t.Errorf("projector %d ended with %v", i, err)
						return
					}
					conflicts[i]++
				}
			})
		}
		if d.Replicas() > 1 {
			d.StepDown(t, "KV_VIEWS")
		}
		wg.Wait()
		if ctx.Err() != nil {
			t.Fatalf("no projector came to the end; conflicts: %v", conflicts)
		}
		t.Logf("conflicts: %v", conflicts)
		wantSums(t, kvsink.New(store, "VIEWS"), want)
	})
}

// projectUntil returns nil when everything up to last is in the rows.
func projectUntil(ctx context.Context, store *esjs.Store, projection esjs.Projection[*kvsink.Tx, added], last esjs.Position) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	projector := esjs.NewProjector(store, kvsink.New(store, "VIEWS"), projection, esjs.ProjectionConfig{Batch: 7})
	ended := make(chan error, 1)
	go func() { ended <- projector.Run(ctx) }()
	reached := make(chan error, 1)
	go func() { reached <- projector.WaitFor(ctx, last) }()
	select {
	case err := <-ended:
		return err
	case err := <-reached:
		cancel()
		<-ended
		return err
	}
}
