package sqlsink_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
)

func TestReplayFromZeroEqualsLive(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	live := run(t, store, openTemp(t), sums(t), esjs.ProjectionConfig{})
	want, last := fill(t, store, 300, 20)
	live.waitFor(t, last)
	live.wantSums(t, want)

	for _, batch := range []int{1, 7, 500} {
		replayed := run(t, store, openTemp(t), sums(t), esjs.ProjectionConfig{Batch: batch})
		replayed.waitFor(t, last)
		replayed.wantSums(t, want)
		if got := replayed.checkpoint(t).Position; got != last {
			t.Errorf("batches of %d end at %s, want %s", batch, got, last)
		}
	}
}

func TestAProjectorGoesOnWhereItStopped(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	db := openTemp(t)
	want, last := fill(t, store, 50, 5)
	for range 3 {
		p := run(t, store, db, sums(t), esjs.ProjectionConfig{})
		p.waitFor(t, last)
		p.stop(t)
		more, end := fill(t, store, 20, 5)
		for key, s := range more {
			want[key] = want[key].plus(s)
		}
		last = last.Later(end)
	}
	p := run(t, store, db, sums(t), esjs.ProjectionConfig{})
	p.waitFor(t, last)
	p.wantSums(t, want)
}

func TestAProjectorOutlivesTheServer(t *testing.T) {
	deployment := esjstest.Server(t)
	store := deployment.Store(t)
	p := run(t, store, openTemp(t), sums(t), esjs.ProjectionConfig{})
	want, last := fill(t, store, 50, 5)
	p.waitFor(t, last)
	deployment.Restart(t, 0)
	more, last := fill(t, store, 50, 5)
	for key, s := range more {
		want[key] = want[key].plus(s)
	}
	p.waitFor(t, last)
	p.wantSums(t, want)
}

func TestThePositionAdvancesOverWhatIsIgnored(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	p := run(t, store, openTemp(t), sums(t, "wanted"), esjs.ProjectionConfig{})
	appended(t, store, "wanted/a", Added{N: 1})
	p.waitFor(t, appended(t, store, "other/a", Added{N: 2}))
	p.waitFor(t, appended(t, store, "wanted/a", Forgotten{}, Added{N: 3}, Forgotten{}))
	p.waitFor(t, appended(t, store, "wanted/b", Forgotten{}))
	p.wantSums(t, map[string]sum{"wanted/a": {2, 4, 3}})
	if progress := p.Progress(); progress.Lag != 0 || progress.Behind != 0 || progress.Position != progress.Last {
		t.Errorf("progress is %+v, want no lag", progress)
	}
}

func TestSelectedTypesAloneAreApplied(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	projection := sums(t)
	projection.Query.Types = []string{"Forgotten"}
	p := run(t, store, openTemp(t), projection, esjs.ProjectionConfig{})
	p.waitFor(t, appended(t, store, "a/1", Added{N: 1}))
	p.wantSums(t, map[string]sum{})
}

// flaky is a sink whose storage goes away at times, before a commit or after it.
type flaky struct{ *sqlsink.Sink }

func (f flaky) Commit(ctx context.Context, name string, step step) error {
	gone := fmt.Errorf("connection lost: %w", esjs.ErrUnavailable)
	switch rand.N(3) {
	case 0:
		return gone
	case 1:
		if err := f.Sink.Commit(ctx, name, step); err != nil {
			return err
		}
		return gone
	default:
		return f.Sink.Commit(ctx, name, step)
	}
}

func TestAnUnavailableSinkIsWaitedForAndAppliesOnce(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	want, last := fill(t, store, 100, 5)
	db := openTemp(t)
	projector := esjs.NewProjector(store, flaky{sqlsink.New(db)}, sums(t),
		esjs.ProjectionConfig{Batch: 3, Retry: esjs.Backoff{First: time.Millisecond, Max: time.Millisecond, Attempts: 1}})
	p := start(t, db, projector)
	p.waitFor(t, last)
	p.wantSums(t, want)
	if parked := p.Progress().Parked; len(parked) != 0 {
		t.Errorf("parked is %+v: trouble of the sink is not the events' fault", parked)
	}
}

func TestASecondProjectorIsRefused(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	db := openTemp(t)
	first := run(t, store, db, sums(t), esjs.ProjectionConfig{})
	first.waitFor(t, appended(t, store, "a/1", Added{N: 1}))

	ready := make(chan struct{})
	second := run(t, store, db, sums(t), esjs.ProjectionConfig{OnCaughtUp: func() { close(ready) }})
	<-ready
	last := appended(t, store, "a/1", Added{N: 2})
	select {
	case err := <-first.ended:
		first.ended <- nil
		second.waitFor(t, last)
		wantConflict(t, err)
	case err := <-second.ended:
		second.ended <- nil
		first.waitFor(t, last)
		wantConflict(t, err)
	}
	first.wantSums(t, map[string]sum{"a/1": {2, 3, 2}})
}

func wantConflict(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, esjs.ErrConflict) {
		t.Errorf("one of two projectors ended with %v, want ErrConflict", err)
	}
}

func TestWithALeaseTheSecondProjectorTakesOver(t *testing.T) {
	const bucket = "SUBSCRIPTIONS_test"
	deployment := esjstest.Server(t)
	store := deployment.Store(t)
	if err := esjs.ProvisionBucket(t.Context(), deployment.Dial(), bucket, 1); err != nil {
		t.Fatal(err)
	}
	db := openTemp(t)
	leased := func(owner string) *running {
		return run(t, store, db, sums(t), esjs.ProjectionConfig{Bucket: bucket, Owner: owner, Lease: time.Minute})
	}
	want, last := fill(t, store, 20, 4)
	first := leased("first")
	first.waitFor(t, last)
	second := leased("second")
	for range 2 {
		more, end := fill(t, store, 20, 4)
		for key, s := range more {
			want[key] = want[key].plus(s)
		}
		last = last.Later(end)
		second.waitFor(t, last) // it asks the database how far the first one is
	}
	second.waitFor(t, appended(t, store, "a/ignored", Forgotten{}))
	if at := second.Progress().Position; !at.IsZero() {
		t.Errorf("the second projector is at %s although the first one has the lease", at)
	}
	if first, second := first.Progress().Active, second.Progress().Active; !first || second {
		t.Errorf("active are the first one: %t, the second one: %t; want the first one alone", first, second)
	}
	first.stop(t) // gives the lease back
	second.waitFor(t, last)
	second.waitFor(t, appended(t, store, "a/new", Added{N: 1}))
	want["a/new"] = sum{1, 1, 1}
	second.wantSums(t, want)
	second.stop(t)

	all, err := esjs.Subscriptions(t.Context(), store, bucket)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || all[0].Name != "projection sums_v1" || all[0].Lag != 0 || all[0].Owner != "" {
		t.Errorf("the bucket shows %+v, want the projection without an owner and without lag", all)
	}
}

func TestCaughtUpIsToldOnceAlsoWithNothingToDo(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	db := openTemp(t)
	for range 2 {
		caughtUp := make(chan struct{}, 10)
		p := run(t, store, db, sums(t, "a"), esjs.ProjectionConfig{OnCaughtUp: func() { caughtUp <- struct{}{} }})
		<-caughtUp
		if !p.Progress().CaughtUp {
			t.Error("Progress does not say that it has caught up")
		}
		p.waitFor(t, appended(t, store, "a/1", Added{N: 1}))
		p.waitFor(t, appended(t, store, "b/1", Added{N: 1}))
		p.stop(t)
		if len(caughtUp) != 0 {
			t.Error("caught up was told more than once")
		}
	}
}

func TestWaitForEndsWithItsContext(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	p := run(t, store, openTemp(t), sums(t), esjs.ProjectionConfig{})
	position := appended(t, store, "a/1", Added{N: 1})
	beyond, err := esjs.ParsePosition(fmt.Sprintf("0-%d", position.Sequence()+1))
	if err != nil {
		t.Fatal(err)
	}
	p.waitFor(t, position)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.WaitFor(ctx, beyond); !errors.Is(err, context.Canceled) {
		t.Errorf("WaitFor beyond the end returned %v, want the context's error", err)
	}
}

func TestWaitForReturnsWhatRunEndedWith(t *testing.T) {
	t.Parallel()
	store := esjstest.Server(t).Store(t)
	projection := sums(t)
	projection.Init = func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "CREATE TABEL sums_v1 (key TEXT)")
		return err
	}
	p := esjs.NewProjector(store, sqlsink.New(openTemp(t)), projection, esjs.ProjectionConfig{})
	position := appended(t, store, "a/1", Added{N: 1})
	waited := make(chan error, 1)
	go func() { waited <- p.WaitFor(t.Context(), position) }() // before Run or while it runs, and below after it
	ended := p.Run(t.Context())
	if ended == nil || !strings.Contains(ended.Error(), "TABEL") {
		t.Fatalf("Run ended with %v", ended)
	}
	for _, err := range []error{<-waited, p.WaitFor(t.Context(), position)} {
		if !errors.Is(err, ended) {
			t.Errorf("WaitFor returned %v, want %v", err, ended)
		}
	}
}

func TestAnIncompleteProjectionIsRefused(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	for name, spoil := range map[string]func(*esjs.Projection[*sql.Tx, Added]){
		"name":    func(p *esjs.Projection[*sql.Tx, Added]) { p.Name = "" },
		"version": func(p *esjs.Projection[*sql.Tx, Added]) { p.Version = 0 },
		"codec":   func(p *esjs.Projection[*sql.Tx, Added]) { p.Codec = nil },
		"apply":   func(p *esjs.Projection[*sql.Tx, Added]) { p.Apply = nil },
		"query":   func(p *esjs.Projection[*sql.Tx, Added]) { p.Query.Categories = []string{"No Such"} },
		"start":   func(p *esjs.Projection[*sql.Tx, Added]) { p.Query.Since = time.Now() },
	} {
		projection := sums(t)
		spoil(&projection)
		err := esjs.NewProjector(store, sqlsink.New(openTemp(t)), projection, esjs.ProjectionConfig{}).Run(t.Context())
		if !errors.Is(err, esjs.ErrConfig) {
			t.Errorf("without a usable %s: %v, want ErrConfig", name, err)
		}
	}
}

func TestRowsOfAnotherStoreAreRefused(t *testing.T) {
	t.Parallel() // a position beyond the end is given time: the leader may have changed
	first := esjstest.Server(t).Store(t)
	db := openTemp(t)
	p := run(t, first, db, sums(t), esjs.ProjectionConfig{})
	_, last := fill(t, first, 10, 2)
	p.waitFor(t, last)
	p.stop(t)
	second := esjstest.Server(t).Store(t)
	_, end := fill(t, second, 3, 1)
	if !end.Before(last) {
		t.Fatal("the second store is not shorter")
	}
	project := func() error {
		return esjs.NewProjector(second, sqlsink.New(db), sums(t), esjs.ProjectionConfig{}).Run(t.Context())
	}
	var corrupt *esjs.CorruptError
	if err := project(); !errors.As(err, &corrupt) {
		t.Errorf("a checkpoint beyond the store's end: %v, want a *CorruptError", err)
	}
	// With as many commits and more, only what they are tells the stores apart.
	fill(t, second, 20, 2)
	if err := project(); !errors.As(err, &corrupt) || corrupt.Position != last {
		t.Errorf("a checkpoint of another store: %v, want a *CorruptError at %s", err, last)
	}
}

// A checkpoint that was stored before commits were noted with it goes on.
func TestACheckpointWithoutACommitGoesOn(t *testing.T) {
	store, db := esjstest.Server(t).Store(t), openTemp(t)
	p := run(t, store, db, sums(t), esjs.ProjectionConfig{})
	want, last := fill(t, store, 10, 2)
	p.waitFor(t, last)
	if newest := p.checkpoint(t).Newest; newest.Sequence != last.Sequence() || newest.ID == "" {
		t.Errorf("the newest commit is %+v, want the one at %s", newest, last)
	}
	p.stop(t)
	if _, err := db.Exec("UPDATE esjs_checkpoints SET newest = '{}'"); err != nil {
		t.Fatal(err)
	}
	p = run(t, store, db, sums(t), esjs.ProjectionConfig{})
	more, last := fill(t, store, 10, 2)
	p.waitFor(t, last)
	for key, sum := range more {
		want[key] = want[key].plus(sum)
	}
	p.wantSums(t, want)
	p.stop(t)
}
