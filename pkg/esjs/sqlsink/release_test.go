package sqlsink_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
)

// poisoned is a version of sums that cannot apply the number 13 until it is mended.
func poisoned(t *testing.T) (p esjs.Projection[*sql.Tx, Added], mended *atomic.Bool) {
	t.Helper()
	p, mended = version(t, 1), new(atomic.Bool)
	apply := p.Apply
	p.Apply = func(ctx context.Context, tx *sql.Tx, e esjs.Recorded[Added]) error {
		if err := apply(ctx, tx, e); err != nil {
			return err
		}
		if e.Event.N == 13 && !mended.Load() {
			return esjs.Park(errors.New("thirteen cannot be"))
		}
		return nil
	}
	return p, mended
}

func TestAReleasedKeyGoesOnWhereItWasParked(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	db := openTemp(t)
	projection, mended := poisoned(t)
	projection.Query.Categories = []string{"a"}
	p := run(t, store, db, projection, esjs.ProjectionConfig{})
	appended(t, store, "a/bad", Added{N: 1})
	from := appended(t, store, "a/bad", Added{N: 7}, Forgotten{}, Added{N: 13})
	end := appended(t, store, "a/good", Added{N: 1})
	appended(t, store, "b/bad", Added{N: 1000})
	p.waitFor(t, end.Later(appended(t, store, "a/bad", Added{N: 3})))
	good := sum{1, 1, 1}
	stuck := map[string]sum{"a/bad": {1, 1, 1}, "a/good": good}
	p.wantSums(t, stuck)
	if parked := p.Progress().Parked; len(parked) != 1 || parked[0].From != from || parked[0].Count != 2 {
		t.Fatalf("parked is %+v, want a/bad with 2 commits from %s on", parked, from)
	}

	if err := p.Release(t.Context(), "a/good"); !errors.Is(err, esjs.ErrNotFound) {
		t.Errorf("releasing a key that is not parked: %v, want ErrNotFound", err)
	}
	if err := p.Release(t.Context(), "a/bad"); err == nil || !strings.Contains(err.Error(), "thirteen cannot be") {
		t.Errorf("releasing what still fails: %v, want its error", err)
	}
	p.wantSums(t, stuck)

	mended.Store(true)
	if err := p.Release(t.Context(), "a/bad"); err != nil {
		t.Fatal(err)
	}
	p.wantSums(t, map[string]sum{"a/bad": {4, 24, 5}, "a/good": good})
	p.waitFor(t, appended(t, store, "a/bad", Added{N: 4}))
	p.wantSums(t, map[string]sum{"a/bad": {5, 28, 6}, "a/good": good})
	wantEffects(t, db, map[int]int{1: 6})
	if parked := p.Progress().Parked; len(parked) != 0 {
		t.Errorf("after its release parked is %+v", parked)
	}
}

// Releases by an instance that waits for the lease, by one that does not run, and
// while the key's events keep coming, neither lose an event nor apply one twice.
func TestReleasesWhileOthersProject(t *testing.T) {
	const bucket = "SUBSCRIPTIONS_test"
	deployment := esjstest.Server(t)
	store := deployment.Store(t)
	if err := esjs.ProvisionBucket(t.Context(), deployment.Dial(), bucket, 1); err != nil {
		t.Fatal(err)
	}
	db := openTemp(t)
	projection, mended := poisoned(t)
	cfg := esjs.ProjectionConfig{Bucket: bucket, Lease: time.Minute, Batch: 5}
	first := run(t, store, db, projection, cfg)
	first.waitFor(t, appended(t, store, "a/bad", Added{N: 13}))
	instances := map[string]*esjs.Projector[*sql.Tx, Added]{
		"active":      first.Projector,
		"waiting":     run(t, store, db, projection, cfg).Projector,
		"not running": esjs.NewProjector(store, sqlsink.New(db), projection, cfg),
	}
	total, wrong := sum{1, 13, 1}, 0
	for name, p := range instances {
		wrote, release := make(chan esjs.Position), make(chan struct{})
		go func() {
			var last esjs.Position
			for n := range 100 {
				if n == 20 {
					close(release)
				}
				last = appended(t, store, "a/bad", Added{N: n + 14})
			}
			wrote <- last
		}()
		<-release
		mended.Store(true)
		if err := p.Release(t.Context(), "a/bad"); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		total = sum{total.events + 100, total.sum + 99*100/2 + 100*14, total.version + 100}
		first.waitFor(t, <-wrote)
		first.wantSums(t, map[string]sum{"a/bad": total})

		mended.Store(false)
		wrong++
		first.waitFor(t, appended(t, store, "a/bad", Added{N: 13}))
		if parked := first.Progress().Parked; len(parked) != 1 {
			t.Fatalf("%s: parked is %+v, want one key again", name, parked)
		}
		total = sum{total.events + 1, total.sum + 13, total.version + 1}
	}
	wantEffects(t, db, map[int]int{1: 300 + wrong})
}

// A key that was parked by a program that did not note where is still shown.
func TestAKeyThatWasParkedWithoutAPlaceIsNotReleased(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	db := openTemp(t)
	p := run(t, store, db, sums(t), esjs.ProjectionConfig{})
	p.waitFor(t, appended(t, store, "a/1", Added{N: 1}))
	p.stop(t)
	const old = `{"a/1":{"key":"a/1","reason":"old","since":"2026-03-01T12:00:00Z","count":2}}`
	if _, err := db.Exec("UPDATE esjs_checkpoints SET parked = $1", old); err != nil {
		t.Fatal(err)
	}
	p = run(t, store, db, sums(t), esjs.ProjectionConfig{})
	p.waitFor(t, appended(t, store, "a/1", Added{N: 2}))
	if parked := p.Progress().Parked; len(parked) != 1 || parked[0].Count != 3 || parked[0].Reason != "old" {
		t.Errorf("parked is %+v, want the old key with one commit more", parked)
	}
	if err := p.Release(t.Context(), "a/1"); !errors.Is(err, esjs.ErrInvalid) {
		t.Errorf("released: %v, want ErrInvalid", err)
	}
}

func TestACrashInTheMiddleOfAReleaseChangesNothing(t *testing.T) {
	deployment := esjstest.Server(t)
	store := deployment.Store(t)
	for _, point := range []string{beforeTransaction, beforeRow, afterRow, beforeCommit, afterCommit} {
		t.Run(point, func(t *testing.T) {
			category := strings.ReplaceAll(point, " ", "-")
			bad := category + "/bad"
			appended(t, store, bad, Added{N: 1})
			from := appended(t, store, bad, Added{N: poison})
			last := appended(t, store, bad, Added{N: 2}, Added{N: 3})
			path := newDatabase(t)
			projection := sums(t, category)
			projection.Apply = func(ctx context.Context, tx *sql.Tx, e esjs.Recorded[Added]) error {
				if e.Event.N == poison {
					return esjs.Park(errors.New("poison"))
				}
				return applySum(ctx, tx, e)
			}
			p := run(t, store, open(t, path), projection, esjs.ProjectionConfig{})
			p.waitFor(t, last)
			p.stop(t)

			killed(t, deployment.URL(), path, point, 1, envRelease+"="+bad)
			c, err := sqlsink.New(open(t, path)).Load(t.Context(), "sums_v1")
			if err != nil {
				t.Fatal(err)
			}
			released := map[string]sum{bad: {4, 1 + poison + 2 + 3, 4}}
			if point == afterCommit {
				p.wantSums(t, released)
				if len(c.Parked) != 0 {
					t.Fatalf("parked is %+v", c.Parked)
				}
				return
			}
			p.wantSums(t, map[string]sum{bad: {1, 1, 1}})
			if len(c.Parked) != 1 || c.Parked[bad].From != from {
				t.Fatalf("parked is %+v, want %s from %s on", c.Parked, bad, from)
			}
			mended := esjs.NewProjector(store, sqlsink.New(p.db), sums(t, category), esjs.ProjectionConfig{})
			if err := mended.Release(t.Context(), bad); err != nil {
				t.Fatal(err)
			}
			p.wantSums(t, released)
		})
	}
}

// An unavailable database, and a lost answer, are tried again.
func TestAReleaseOutlivesTroubleOfTheDatabase(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	db := openTemp(t)
	projection, mended := poisoned(t)
	p := run(t, store, db, projection, esjs.ProjectionConfig{})
	total := sum{}
	for n := range 20 {
		key := fmt.Sprintf("a/%d", n)
		p.waitFor(t, appended(t, store, key, Added{N: 13}))
		total = total.plus(sum{events: 1, sum: 13})
	}
	mended.Store(true)
	p.stop(t)
	cfg := esjs.ProjectionConfig{Retry: esjs.Backoff{First: time.Millisecond, Max: time.Millisecond}}
	unreliable := esjs.NewProjector(store, flaky{sqlsink.New(db)}, projection, cfg)
	for n := range 20 {
		if err := unreliable.Release(t.Context(), fmt.Sprintf("a/%d", n)); err != nil {
			t.Fatal(err)
		}
	}
	var found sum
	for _, s := range p.sums(t) {
		found = found.plus(sum{events: s.events, sum: s.sum})
	}
	if found != total {
		t.Errorf("the rows hold %+v, want %+v", found, total)
	}
	wantEffects(t, db, map[int]int{1: 20})
}
