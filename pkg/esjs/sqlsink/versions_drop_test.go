package sqlsink_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
)

func TestAVersionThatIsNotLiveIsDropped(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	db := openTemp(t)
	last := appended(t, store, "a/1", Added{N: 1})
	first := run(t, store, db, version(t, 1), esjs.ProjectionConfig{})
	first.waitFor(t, last)
	if err := first.Drop(t.Context()); !errors.Is(err, esjs.ErrInvalid) {
		t.Fatalf("dropping the live version: %v, want ErrInvalid", err)
	}
	second := run(t, store, db, version(t, 2), esjs.ProjectionConfig{})
	second.promote(t)
	if err := first.Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The one that still ran ends, and builds nothing again.
	if err := <-first.ended; !errors.Is(err, esjs.ErrNotFound) {
		t.Errorf("the dropped projector ended with %v, want ErrNotFound", err)
	}
	first.ended <- nil
	var tables int
	if err := db.QueryRow(countTables, "sums_v1").Scan(&tables); err != nil || tables != 0 {
		t.Errorf("%d tables of the dropped version, %v", tables, err)
	}
	if err := first.Drop(t.Context()); !errors.Is(err, esjs.ErrNotFound) {
		t.Errorf("dropping it again: %v, want ErrNotFound", err)
	}
	again := run(t, store, db, version(t, 1), esjs.ProjectionConfig{})
	again.waitFor(t, last)
	again.wantSums(t, map[string]sum{"a/1": {1, 1, 1}})
	wantLive(t, db, "sums_v2")
	wantEffects(t, db, map[int]int{1: 1})
}

func TestPromotingWaitsUntilItsContextEnds(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	db := openTemp(t)
	_, last := fill(t, store, 20, 3)
	run(t, store, db, version(t, 1), esjs.ProjectionConfig{}).waitFor(t, last)
	second := esjs.NewProjector(store, sqlsink.New(db), version(t, 2), esjs.ProjectionConfig{Batch: 3})
	if _, err := sqlsink.New(db).Open(t.Context(), "sums_v2", version(t, 2).Init); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := second.Promote(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("promoting what nobody builds: %v, want the context's error", err)
	}
	wantLive(t, db, "sums_v1")
}
