package sqlsink_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
)

// A crash is a real one: this test binary runs again as a projector that kills
// itself, without a word, at a given point.
const (
	envURL      = "SQLSINK_CRASH_URL" // of the server; makes the binary a projector
	envDatabase = "SQLSINK_CRASH_DATABASE"
	envPoint    = "SQLSINK_CRASH_POINT"
	envAt       = "SQLSINK_CRASH_AT"      // at the how manieth time that the point is passed
	envRelease  = "SQLSINK_CRASH_RELEASE" // a key: it dies in its release
)

// poison is what the test that releases cannot apply, and the binary can.
const poison = 13

// Points of a transaction where a projector can die.
const (
	beforeTransaction = "before the transaction"
	beforeRow         = "before a row"
	afterRow          = "after a row"
	beforeCommit      = "after the last row"
	afterCommit       = "after the commit"
)

func TestMain(m *testing.M) {
	if os.Getenv(envURL) == "" {
		m.Run()
		return
	}
	panic(fmt.Errorf("the projector ended by itself: %w", crash(context.Background())))
}

func TestACrashAtAnyPointOfABatchLeavesRowsAndCheckpointAgreeing(t *testing.T) {
	deployment := esjstest.Server(t)
	store := deployment.Store(t)
	want, last := fill(t, store, 60, 6)
	for _, point := range []string{beforeTransaction, beforeRow, afterRow, beforeCommit, afterCommit} {
		t.Run(point, func(t *testing.T) {
			path := newDatabase(t)
			for _, at := range []int{1, 3, 2} { // one crash after the other, on one database
				killed(t, deployment.URL(), path, point, at)
				agree(t, store, path)
			}
			p := run(t, store, open(t, path), sums(t), esjs.ProjectionConfig{Batch: 5})
			p.waitFor(t, last)
			p.wantSums(t, want)
		})
	}
}

// killed runs a projector on path until it has killed itself.
func killed(t *testing.T, url, path, point string, at int, more ...string) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(append(os.Environ(), more...), envURL+"="+url, envDatabase+"="+path, envPoint+"="+point, envAt+"="+strconv.Itoa(at))
	output, err := child.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the projector did not die as it should: %v\n%s", err, output)
	}
}

// agree compares the rows with what the store holds up to the checkpoint.
func agree(t *testing.T, store *esjs.Store, path string) {
	t.Helper()
	r := &running{db: open(t, path)}
	defer r.db.Close()
	checkpoint, err := sqlsink.New(r.db).Open(t.Context(), "sums_v1", sums(t).Init)
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]sum)
	if !checkpoint.Position.IsZero() {
		for record, err := range store.ReadAll(t.Context(), esjs.Query{Until: checkpoint.Position}) {
			if err != nil {
				t.Fatal(err)
			}
			e, err := sums(t).Codec.Decode(record)
			if err != nil {
				t.Fatal(err)
			}
			id := record.Stream.String()
			want[id] = want[id].plus(sum{1, e.Event.N, int(record.Version)})
		}
	}
	r.wantSums(t, want)
}

// crash projects with batches of 5 commits until the point is passed so often.
func crash(ctx context.Context) error {
	left, err := strconv.Atoi(os.Getenv(envAt))
	if err != nil {
		return err
	}
	passes := func(point string) {
		if point != os.Getenv(envPoint) {
			return
		}
		if left--; left == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal ends this
		}
	}
	partitions, _ := strconv.Atoi(os.Getenv("ESJSTEST_PARTITIONS")) // as the test's store has
	store, err := esjs.Open(ctx, esjs.DialURL(os.Getenv(envURL)), esjs.Config{Partitions: partitions})
	if err != nil {
		return err
	}
	db, err := openDatabase(os.Getenv(envDatabase))
	if err != nil {
		return err
	}
	projection, err := newSums()
	if err != nil {
		return err
	}
	projection.Apply = func(ctx context.Context, tx *sql.Tx, e esjs.Recorded[Added]) error {
		passes(beforeRow)
		err := applySum(ctx, tx, e)
		passes(afterRow)
		return err
	}
	projector := esjs.NewProjector(store, mortal{sqlsink.New(db), passes}, projection, esjs.ProjectionConfig{Batch: 5})
	if key := os.Getenv(envRelease); key != "" {
		return projector.Release(ctx, key)
	}
	return projector.Run(ctx)
}

// mortal tells around transactions which point is passed.
type mortal struct {
	*sqlsink.Sink
	passes func(point string)
}

func (m mortal) Commit(ctx context.Context, name string, step step) error {
	m.passes(beforeTransaction)
	err := m.Sink.Commit(ctx, name, func(ctx context.Context, tx *sql.Tx, now esjs.Checkpoint) (esjs.Checkpoint, error) {
		to, err := step(ctx, tx, now)
		m.passes(beforeCommit)
		return to, err
	})
	m.passes(afterCommit)
	return err
}
