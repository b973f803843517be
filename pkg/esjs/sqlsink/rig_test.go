package sqlsink_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
)

// Added and Forgotten are the events of these tests; the projections know Added alone.
type Added struct {
	N int `json:"n"`
}

type Forgotten struct{}

func (Added) EventType() string     { return "Added" }
func (Forgotten) EventType() string { return "Forgotten" }

// sums is a projection that shows every event that is applied twice, or not at all.
func sums(t testing.TB, categories ...string) esjs.Projection[*sql.Tx, Added] {
	t.Helper()
	projection, err := newSums(categories...)
	if err != nil {
		t.Fatal(err)
	}
	return projection
}

func newSums(categories ...string) (esjs.Projection[*sql.Tx, Added], error) {
	codec, err := esjs.NewCodec(esjs.TypeOf[Added, Added]())
	return esjs.Projection[*sql.Tx, Added]{
		Name: "sums", Version: 1, Codec: codec,
		Query: esjs.Query{Categories: categories},
		Init: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "CREATE TABLE sums_v1 (key TEXT PRIMARY KEY, events INTEGER, sum INTEGER, version INTEGER)")
			return err
		},
		Apply: applySum,
	}, err
}

const addToSum = `INSERT INTO sums_v1 VALUES ($1, 1, $2, $3)
	ON CONFLICT (key) DO UPDATE SET events = sums_v1.events + 1, sum = sums_v1.sum + excluded.sum, version = excluded.version`

func applySum(ctx context.Context, tx *sql.Tx, e esjs.Recorded[Added]) error {
	_, err := tx.ExecContext(ctx, addToSum, e.Stream.String(), e.Event.N, e.Version)
	return err
}

// step is what a sink's Commit calls.
type step = func(ctx context.Context, tx *sql.Tx, now esjs.Checkpoint) (esjs.Checkpoint, error)

// moving is a step to a checkpoint that changes rows.
func moving(to esjs.Checkpoint, change func(context.Context, *sql.Tx) error) step {
	return func(ctx context.Context, tx *sql.Tx, _ esjs.Checkpoint) (esjs.Checkpoint, error) {
		return to, change(ctx, tx)
	}
}

// running is a projector at work, with its database.
type running struct {
	*esjs.Projector[*sql.Tx, Added]
	db     *sql.DB
	cancel context.CancelFunc
	ended  chan error
}

func run(t *testing.T, store *esjs.Store, db *sql.DB, projection esjs.Projection[*sql.Tx, Added], cfg esjs.ProjectionConfig) *running {
	t.Helper()
	return start(t, db, esjs.NewProjector(store, sqlsink.New(db), projection, cfg))
}

func start(t *testing.T, db *sql.DB, projector *esjs.Projector[*sql.Tx, Added]) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Projector: projector, db: db, cancel: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- projector.Run(ctx) }()
	t.Cleanup(func() { r.stop(t) })
	return r
}

// stop ends the projector; it may be called again.
func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	err := <-r.ended
	r.ended <- nil
	if err != nil {
		t.Errorf("the projector ended with %v", err)
	}
}

func (r *running) waitFor(t *testing.T, position esjs.Position) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := r.WaitFor(ctx, position); err != nil {
		t.Fatalf("wait for %s: %v; progress is %+v", position, err, r.Progress())
	}
}

func (r *running) checkpoint(t *testing.T) esjs.Checkpoint {
	t.Helper()
	stored, err := sqlsink.New(r.db).Open(t.Context(), "sums_v1", nil)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

// sum is a row of sums.
type sum struct{ events, sum, version int }

func (s sum) plus(o sum) sum { return sum{s.events + o.events, s.sum + o.sum, o.version} }

func (r *running) sums(t *testing.T) map[string]sum {
	t.Helper()
	result, err := r.db.Query("SELECT key, events, sum, version FROM sums_v1")
	if err != nil {
		t.Fatal(err)
	}
	defer result.Close()
	found := make(map[string]sum)
	for result.Next() {
		var (
			key string
			s   sum
		)
		if err := result.Scan(&key, &s.events, &s.sum, &s.version); err != nil {
			t.Fatal(err)
		}
		found[key] = s
	}
	if err := result.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

func (r *running) wantSums(t *testing.T, want map[string]sum) {
	t.Helper()
	if got := r.sums(t); !maps.Equal(got, want) {
		t.Fatalf("the rows are\n%v, want\n%v", got, want)
	}
}

func openTemp(t *testing.T) *sql.DB {
	t.Helper()
	return open(t, newDatabase(t))
}

func open(t *testing.T, at string) *sql.DB {
	t.Helper()
	db, err := openDatabase(at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// appended stores one commit for the aggregate "category/key".
func appended(t testing.TB, store *esjs.Store, id string, events ...esjs.Event) esjs.Position {
	t.Helper()
	category, key, _ := strings.Cut(id, "/")
	stored, err := store.Append(context.Background(), esjs.StreamID{Category: category, Key: key}, esjs.Any(), events...)
	if err != nil {
		t.Fatal(err)
	}
	return stored.Revision.Position()
}

// fill appends commits of one to three events to some of the keys, and returns
// the sums that must come of them.
func fill(t testing.TB, store *esjs.Store, commits, keys int) (map[string]sum, esjs.Position) {
	t.Helper()
	want := make(map[string]sum)
	var last esjs.Position
	for range commits {
		id := fmt.Sprintf("a/k%d", rand.N(keys))
		id = []string{"a", "b"}[rand.N(2)] + id[1:]
		category, key, _ := strings.Cut(id, "/")
		var events []esjs.Event
		s := sum{}
		for range 1 + rand.N(3) {
			n := rand.N(100)
			events = append(events, Added{N: n})
			s = s.plus(sum{events: 1, sum: n})
		}
		stored, err := store.Append(context.Background(), esjs.StreamID{Category: category, Key: key}, esjs.Any(), events...)
		if err != nil {
			t.Fatal(err)
		}
		s.version = int(stored.Revision.Version())
		want[id], last = want[id].plus(s), last.Later(stored.Revision.Position())
	}
	return want, last
}
