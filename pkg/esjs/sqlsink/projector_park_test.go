package sqlsink_test

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

func TestACommitThatFailsForEverParksItsKeyAndTheOthersGoOn(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	db := openTemp(t)
	for name, fail := range map[string]func() error{
		"error": func() error { return errors.New("this row cannot be") },
		"panic": func() error { panic("this row cannot be") },
	} {
		t.Run(name, func(t *testing.T) {
			projection := sums(t, name)
			projection.Name += name
			var attempts atomic.Int64
			apply := projection.Apply
			projection.Apply = func(ctx context.Context, tx *sql.Tx, e esjs.Recorded[Added]) error {
				if err := apply(ctx, tx, e); err != nil {
					return err
				}
				if e.Event.N == 13 {
					attempts.Add(1)
					return fail()
				}
				return nil
			}
			projection.Init = func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS sums_v1 (key TEXT PRIMARY KEY, events INTEGER, sum INTEGER, version INTEGER)")
				return err
			}
			cfg := esjs.ProjectionConfig{Retry: esjs.Backoff{First: time.Millisecond, Attempts: 3}}
			appended(t, store, name+"/good", Added{N: 1})
			appended(t, store, name+"/bad", Added{N: 1})
			appended(t, store, name+"/bad", Added{N: 7}, Added{N: 13})
			appended(t, store, name+"/good", Added{N: 2})
			appended(t, store, name+"/bad", Added{N: 3})
			appended(t, store, name+"/good", Added{N: 3})
			last, err := store.Last(t.Context())
			if err != nil {
				t.Fatal(err)
			}

			p := run(t, store, db, projection, cfg)
			p.waitFor(t, last)
			good, before := name+"/good", name+"/bad"
			want := map[string]sum{good: {3, 6, 3}, before: {1, 1, 1}}
			got := p.sums(t)
			maps.DeleteFunc(got, func(key string, _ sum) bool { return !strings.HasPrefix(key, name) })
			if !maps.Equal(got, want) {
				t.Fatalf("the rows are %v, want %v", got, want)
			}
			// The first attempt is the batch, which finds that something fails.
			if n := attempts.Load(); n != 4 {
				t.Errorf("%d attempts, want 4", n)
			}
			parked := p.Progress().Parked
			if len(parked) != 1 || parked[0].Key != before || parked[0].Count != 2 || !strings.Contains(parked[0].Reason, "this row cannot be") {
				t.Fatalf("parked is %+v, want %s with 2 commits and the reason", parked, before)
			}
			p.stop(t)

			again := run(t, store, db, projection, cfg)
			again.waitFor(t, appended(t, store, name+"/bad", Added{N: 1}))
			if parked := again.Progress().Parked; len(parked) != 1 || parked[0].Count != 3 {
				t.Errorf("after a restart parked is %+v, want 3 commits that wait", parked)
			}
			if attempts.Load() != 4 {
				t.Error("a parked commit was tried again")
			}
			again.stop(t)
		})
	}
}

func TestACommitThatFailsForAWhileIsAppliedOnce(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	projection := sums(t)
	var failures atomic.Int64
	projection.Apply = func(ctx context.Context, tx *sql.Tx, e esjs.Recorded[Added]) error {
		if err := applySum(ctx, tx, e); err != nil {
			return err
		}
		if e.Event.N == 13 && failures.Add(1) <= 3 {
			return errors.New("not yet")
		}
		return nil
	}
	appended(t, store, "a/1", Added{N: 1})
	appended(t, store, "a/2", Added{N: 13})
	last := appended(t, store, "a/1", Added{N: 2})
	p := run(t, store, openTemp(t), projection, esjs.ProjectionConfig{Retry: esjs.Backoff{First: time.Millisecond}})
	p.waitFor(t, last)
	p.wantSums(t, map[string]sum{"a/1": {2, 3, 2}, "a/2": {1, 13, 1}})
	if parked := p.Progress().Parked; len(parked) != 0 {
		t.Errorf("parked is %+v, want none", parked)
	}
}

// Shapeless has Added's name and data that no Added can have.
type Shapeless struct {
	N string `json:"n"`
}

func (Shapeless) EventType() string { return "Added" }

// Newer is an Added that a newer program stores.
type Newer struct{ Added }

func (Newer) SchemaVersion() int { return 2 }

func TestWhatDoesNotDecodeParksItsKeyAtOnce(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	appended(t, store, "a/bad", Shapeless{N: "many"})
	appended(t, store, "a/newer", Newer{Added{N: 1}})
	last := appended(t, store, "a/good", Added{N: 1})
	p := run(t, store, openTemp(t), sums(t), esjs.ProjectionConfig{Retry: esjs.Backoff{First: time.Hour}})
	p.waitFor(t, last)
	p.wantSums(t, map[string]sum{"a/good": {1, 1, 1}})
	if parked := p.Progress().Parked; len(parked) != 2 || parked[0].Key != "a/bad" || parked[1].Key != "a/newer" {
		t.Errorf("parked is %+v, want a/bad and a/newer", parked)
	}
}

func TestAnApplyThatAsksForItParksItsKeyAtOnce(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	projection := sums(t)
	projection.Apply = func(ctx context.Context, tx *sql.Tx, e esjs.Recorded[Added]) error {
		if e.Event.N == 13 {
			return esjs.Park(errors.New("never"))
		}
		return applySum(ctx, tx, e)
	}
	appended(t, store, "a/bad", Added{N: 13})
	last := appended(t, store, "a/good", Added{N: 1})
	p := run(t, store, openTemp(t), projection, esjs.ProjectionConfig{Retry: esjs.Backoff{First: time.Hour, Max: time.Hour}})
	p.waitFor(t, last)
	p.wantSums(t, map[string]sum{"a/good": {1, 1, 1}})
}

// A number below 0 asks for the default, as in a subscription: a batch without
// commits could not be made, and attempts would never be used up.
func TestSettingsBelowZeroAreTheDefaults(t *testing.T) {
	t.Parallel()
	store := esjstest.Server(t).Store(t)
	projection := sums(t)
	projection.Apply = func(ctx context.Context, tx *sql.Tx, e esjs.Recorded[Added]) error {
		if e.Event.N == 13 {
			return errors.New("no good")
		}
		return applySum(ctx, tx, e)
	}
	appended(t, store, "a/bad", Added{N: 13})
	last := appended(t, store, "a/good", Added{N: 1})
	p := run(t, store, openTemp(t), projection, esjs.ProjectionConfig{Batch: -1, Lease: -1, Retry: esjs.Backoff{First: 1, Max: 1, Attempts: -1}})
	p.waitFor(t, last)
	p.wantSums(t, map[string]sum{"a/good": {1, 1, 1}})
}
