package sqlsink_test

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
)

// version is a version of the projection sums. Effects stand in one table of all
// versions, in which an event cannot be twice.
func version(t *testing.T, n int) esjs.Projection[*sql.Tx, Added] {
	t.Helper()
	p := sums(t)
	p.Version = n
	exec := func(ctx context.Context, tx *sql.Tx, statement string, args ...any) error {
		_, err := tx.ExecContext(ctx, strings.ReplaceAll(statement, "sums_v1", p.FullName()), args...)
		return err
	}
	p.Init = func(ctx context.Context, tx *sql.Tx) error {
		return errors.Join(
			exec(ctx, tx, "CREATE TABLE sums_v1 (key TEXT PRIMARY KEY, events INTEGER, sum INTEGER, version INTEGER)"),
			exec(ctx, tx, "CREATE TABLE IF NOT EXISTS effects (event TEXT PRIMARY KEY, version INTEGER)"))
	}
	p.Apply = func(ctx context.Context, tx *sql.Tx, e esjs.Recorded[Added]) error {
		return exec(ctx, tx, addToSum, e.Stream.String(), e.Event.N, e.Version)
	}
	p.Effect = func(ctx context.Context, tx *sql.Tx, e esjs.Recorded[Added]) error {
		return exec(ctx, tx, "INSERT INTO effects VALUES ($1, $2)", e.ID, n)
	}
	p.Drop = func(ctx context.Context, tx *sql.Tx) error { return exec(ctx, tx, "DROP TABLE sums_v1") }
	return p
}

// effects counts the events that had their effect, by version.
func effects(t *testing.T, db *sql.DB) map[int]int {
	t.Helper()
	result, err := db.Query("SELECT version, count(*) FROM effects GROUP BY version")
	if err != nil {
		t.Fatal(err)
	}
	defer result.Close()
	found := make(map[int]int)
	for result.Next() {
		var version, n int
		if err := result.Scan(&version, &n); err != nil {
			t.Fatal(err)
		}
		found[version] = n
	}
	if err := result.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

func wantEffects(t *testing.T, db *sql.DB, want map[int]int) {
	t.Helper()
	if got := effects(t, db); !maps.Equal(got, want) {
		t.Fatalf("events with effects, by version: %v, want %v", got, want)
	}
}

// wantLive compares which version is live.
func wantLive(t *testing.T, db *sql.DB, want string) {
	t.Helper()
	if live, err := sqlsink.New(db).Live(t.Context(), "sums"); live != want || err != nil {
		t.Fatalf("live is %q, %v; want %q", live, err, want)
	}
}

func (r *running) promote(t *testing.T) {
	t.Helper()
	if err := r.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestANewVersionTakesOverByItselfWhenItHasCaughtUp(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	db := openTemp(t)
	cfg := esjs.ProjectionConfig{Batch: 10}
	_, last := fill(t, store, 200, 10)
	first := run(t, store, db, version(t, 1), cfg)
	first.waitFor(t, last)
	first.stop(t)
	total := effects(t, db)[1]

	second := run(t, store, db, version(t, 2), cfg)
	last = appended(t, store, "a/new", Added{N: 1}, Added{N: 2})
	second.waitFor(t, last)
	wantLive(t, db, "sums_v2")
	wantEffects(t, db, map[int]int{1: total, 2: 2})
	if !second.Progress().Live {
		t.Error("the new version does not know that it is live")
	}

	// The old one is not live any more, and a lower version does not take over.
	first = run(t, store, db, version(t, 1), cfg)
	first.waitFor(t, last)
	second.waitFor(t, appended(t, store, "a/new", Added{N: 3}))
	wantLive(t, db, "sums_v2")
	wantEffects(t, db, map[int]int{1: total, 2: 3})
}

func TestByHandVersionsGoForthAndBack(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	db := openTemp(t)
	cfg := esjs.ProjectionConfig{ByHand: true}
	first := run(t, store, db, version(t, 1), cfg)
	first.waitFor(t, appended(t, store, "a/1", Added{N: 1}))
	second := run(t, store, db, version(t, 2), cfg)
	last := appended(t, store, "a/1", Added{N: 2})
	first.waitFor(t, last)
	second.waitFor(t, last)
	wantLive(t, db, "sums_v1")
	wantEffects(t, db, map[int]int{1: 2})

	second.promote(t)
	wantLive(t, db, "sums_v2")
	last = appended(t, store, "a/1", Added{N: 3})
	second.waitFor(t, last)
	first.waitFor(t, last)
	wantEffects(t, db, map[int]int{1: 2, 2: 1})

	first.promote(t)
	last = appended(t, store, "a/1", Added{N: 4})
	first.waitFor(t, last)
	second.waitFor(t, last)
	wantLive(t, db, "sums_v1")
	wantEffects(t, db, map[int]int{1: 3, 2: 1})
	first.wantSums(t, map[string]sum{"a/1": {4, 10, 4}})
}

// A version that is not live stays behind the live one, so that what happens
// after the live one ended has its effects too.
func TestWhatTheOldVersionDidNotReachHasItsEffectsFromTheNewOne(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	db := openTemp(t)
	first := run(t, store, db, version(t, 1), esjs.ProjectionConfig{})
	at := appended(t, store, "a/1", Added{N: 1})
	first.waitFor(t, at)
	second := run(t, store, db, version(t, 2), esjs.ProjectionConfig{ByHand: true})
	second.waitFor(t, at)
	first.stop(t)
	last := appended(t, store, "a/1", Added{N: 2})
	second.promote(t)
	second.waitFor(t, last)
	wantEffects(t, db, map[int]int{1: 1, 2: 1})
}

// A new version is live before it has applied everything that the old one has;
// what it applies of that has no effect again.
func TestAVersionHasNoEffectsOfWhatTheOneBeforeItApplied(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	db := openTemp(t)
	_, last := fill(t, store, 20, 3)
	first := run(t, store, db, version(t, 1), esjs.ProjectionConfig{})
	first.waitFor(t, last)
	before := effects(t, db)[1]
	projector := esjs.NewProjector(store, sqlsink.New(db), version(t, 2), esjs.ProjectionConfig{})
	if _, err := sqlsink.New(db).Open(t.Context(), "sums_v2", version(t, 2).Init); err != nil {
		t.Fatal(err)
	}
	if err := projector.Promote(t.Context()); err != nil { // 20 commits behind: one transaction
		t.Fatal(err)
	}
	second := start(t, db, projector)
	second.waitFor(t, appended(t, store, "a/new", Added{N: 1}))
	wantEffects(t, db, map[int]int{1: before, 2: 1})
	if parked := second.Progress().Parked; len(parked) != 0 {
		t.Errorf("parked is %+v: an effect was there already", parked)
	}
}

// A version that was live and had no effects itself passes on where those of the
// one before it end.
func TestEffectsHappenOnceWhereAVersionWasLiveForAMomentOnly(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	db := openTemp(t)
	_, last := fill(t, store, 20, 3)
	first := run(t, store, db, version(t, 1), esjs.ProjectionConfig{})
	first.waitFor(t, last)
	before := effects(t, db)[1]
	for _, n := range []int{2, 3} { // both are at most a transaction behind
		p := version(t, n)
		if _, err := sqlsink.New(db).Open(t.Context(), p.FullName(), p.Init); err != nil {
			t.Fatal(err)
		}
		if err := esjs.NewProjector(store, sqlsink.New(db), p, esjs.ProjectionConfig{}).Promote(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	third := run(t, store, db, version(t, 3), esjs.ProjectionConfig{})
	third.waitFor(t, appended(t, store, "a/new", Added{N: 1}))
	wantEffects(t, db, map[int]int{1: before, 3: 1})
	if parked := third.Progress().Parked; len(parked) != 0 {
		t.Errorf("parked is %+v: an effect was there already", parked)
	}
}

func TestEffectsHappenOnceHoweverOftenVersionsChange(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	db := openTemp(t)
	cfg := esjs.ProjectionConfig{ByHand: true, Batch: 50}
	first := run(t, store, db, version(t, 1), cfg)
	first.waitFor(t, appended(t, store, "a/1", Added{N: 1}))
	second := run(t, store, db, version(t, 2), cfg)

	type filled struct {
		want map[string]sum
		last esjs.Position
	}
	wrote, changed := make(chan filled, 1), make(chan struct{})
	go func() {
		want, last := map[string]sum{"a/1": {1, 1, 1}}, esjs.Position{}
		for more := true; more; {
			select {
			case <-changed:
				more = false
			default:
			}
			var added map[string]sum
			added, last = fill(t, store, 20, 10)
			for key, s := range added {
				want[key] = want[key].plus(s)
			}
		}
		wrote <- filled{want, last}
	}()
	for range 4 {
		second.promote(t)
		first.promote(t)
	}
	close(changed)
	all := <-wrote
	for _, r := range []*running{first, second} {
		r.waitFor(t, all.last)
		if parked := r.Progress().Parked; len(parked) != 0 {
			t.Fatalf("parked is %+v: an effect was there already", parked)
		}
	}
	first.wantSums(t, all.want)
	events, had := 0, 0
	for _, s := range all.want {
		events += s.events
	}
	by := effects(t, db)
	for _, n := range by {
		had += n
	}
	if had != events {
		t.Errorf("%d events had their effect, by version: %v; want %d", had, by, events)
	}
}
