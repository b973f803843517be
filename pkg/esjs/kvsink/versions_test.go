package kvsink_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/kvsink"
)

// totals is a version of a projection with one row per aggregate, which cannot
// apply 13 until it is mended.
func totals(t *testing.T, version int, mended *atomic.Bool) esjs.Projection[*kvsink.Tx, added] {
	t.Helper()
	p := sums(t)
	p.Name, p.Version = "totals", version
	p.Apply = func(ctx context.Context, tx *kvsink.Tx, e esjs.Recorded[added]) error {
		if e.Event.N == 13 && !mended.Load() {
			return esjs.Park(errors.New("thirteen cannot be"))
		}
		return kvsink.Update(ctx, tx, e.Stream.Key, e.Record, func(total int) (int, error) { return total + e.Event.N, nil })
	}
	return p
}

func TestVersionsInABucket(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		provision(t, d, "VIEWS")
		store := d.Store(t)
		sink, mended := kvsink.New(store, "VIEWS"), new(atomic.Bool)
		add := func(n int) esjs.Position {
			t.Helper()
			stored, err := store.Append(t.Context(), esjs.StreamID{Category: "jar", Key: "j 1"}, esjs.Any(), added{n})
			if err != nil {
				t.Fatal(err)
			}
			return stored.Revision.Position()
		}
		project := func(version int) *esjs.Projector[*kvsink.Tx, added] {
			p := esjs.NewProjector(store, kvsink.New(d.Store(t), "VIEWS"), totals(t, version, mended), esjs.ProjectionConfig{})
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- p.Run(ctx) }()
			t.Cleanup(func() {
				cancel()
				if err := <-ended; err != nil && !errors.Is(err, esjs.ErrNotFound) {
					t.Errorf("version %d ended with %v", version, err)
				}
			})
			return p
		}
		wantTotal := func(want int) {
			t.Helper()
			live, err := sink.Live(t.Context(), "totals")
			if err != nil {
				t.Fatal(err)
			}
			var got int
			if _, err := sink.Get(t.Context(), live, "j 1", &got); err != nil || got != want {
				t.Fatalf("%s says %d, %v; want %d", live, got, err, want)
			}
		}

		first := project(1)
		add(1)
		add(13)
		if err := first.WaitFor(t.Context(), add(2)); err != nil {
			t.Fatal(err)
		}
		wantTotal(1)
		mended.Store(true)
		if err := first.Release(t.Context(), "jar/j 1"); err != nil {
			t.Fatal(err)
		}
		wantTotal(16)

		second := project(2)
		if err := second.WaitFor(t.Context(), add(4)); err != nil {
			t.Fatal(err)
		}
		if err := second.Promote(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantTotal(20)
		if err := first.Drop(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, name := range rowNames(t, d, "VIEWS") {
			if strings.HasPrefix(name, "totals_v1.") {
				t.Errorf("the row %s is left of the dropped version", name)
			}
		}
	})
}
