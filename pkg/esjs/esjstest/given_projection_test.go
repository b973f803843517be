package esjstest

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/kvsink"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
)

var (
	hall   = esjs.StreamID{Category: "door", Key: "hall"}
	cellar = esjs.StreamID{Category: "door", Key: "cellar"}
)

// lastOpened shows when each door was opened or closed last, and does something
// beside it.
func lastOpened(t testing.TB, beside func()) esjs.Projection[*sql.Tx, esjs.Event] {
	return esjs.Projection[*sql.Tx, esjs.Event]{
		Name: "doors", Version: 1, Codec: doors(t).Codec,
		Query: esjs.Query{Categories: []string{"door"}},
		Init: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `CREATE TABLE doors_v1 (key TEXT PRIMARY KEY, opened TEXT)`)
			return err
		},
		Apply: func(ctx context.Context, tx *sql.Tx, e esjs.Recorded[esjs.Event]) error {
			beside()
			_, err := tx.ExecContext(ctx, `INSERT INTO doors_v1 VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET opened = excluded.opened`,
				e.Stream.Key, e.Time.Format(time.TimeOnly))
			return err
		},
	}
}

func doorRows(db *sql.DB) func(context.Context) (map[string]string, error) {
	return func(ctx context.Context) (map[string]string, error) {
		found, err := db.QueryContext(ctx, `SELECT key, opened FROM doors_v1`)
		if err != nil {
			return nil, err
		}
		defer found.Close()
		rows := map[string]string{}
		for found.Next() {
			var key, at string
			if err := found.Scan(&key, &at); err != nil {
				return nil, err
			}
			rows[key] = at
		}
		return rows, found.Err()
	}
}

func database(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sqlsink.OpenSQLite(filepath.Join(t.TempDir(), "views.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestProjectionScenario(t *testing.T) {
	t.Parallel()
	db, calls := database(t), 0
	nine := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	s := GivenProjection(t, Server(t).Store(t), sqlsink.New(db), lastOpened(t, func() { calls++ }), doorRows(db)).
		At(nine).
		Given(hall, opened{"hall"}).
		Given(esjs.StreamID{Category: "window", Key: "w-1"}, closed{}).
		Then(map[string]string{"hall": "09:00:00"}).
		At(nine.Add(time.Hour)).
		Given(hall, closed{}, opened{"hall"}).
		Given(cellar, opened{"cellar"}).
		Then(map[string]string{"hall": "10:00:00", "cellar": "10:00:00"}).
		ThenParked()
	if calls < 8 { // of four events, each rolled back once at least
		t.Errorf("Apply was called %d times", calls)
	}
	w := &witness{TB: t}
	s.t = w
	s.Then(map[string]string{"hall": "10:00:00", "cellar": "11:00:00"}).ThenParked(hall)
	wantSaid(t, w.said, "-   \"cellar\": \"11:00:00\",")
	wantSaid(t, w.said, "+   \"cellar\": \"10:00:00\",")
	wantSaid(t, w.said, "parked are [], want [door/hall]")
}

// views returns a store, and a sink on a bucket of its server.
func views(t *testing.T) (*esjs.Store, *kvsink.Sink) {
	t.Helper()
	d := Server(t)
	if err := esjs.ProvisionBucket(t.Context(), d.Dial(), "VIEWS", 1); err != nil {
		t.Fatal(err)
	}
	store := d.Store(t)
	return store, kvsink.New(store, "VIEWS")
}

// What Apply does beside rows is done too often, and so it is found out.
func TestProjectionScenarioFindsWhatIsNotARow(t *testing.T) {
	t.Parallel()
	store, sink := views(t)
	impure, total := counting(t), 0
	impure.Apply = func(ctx context.Context, tx *kvsink.Tx, e esjs.Recorded[esjs.Event]) error {
		total++
		return kvsink.Update(ctx, tx, e.Stream.Key, e.Record, func(int) (int, error) { return total, nil })
	}
	w := &witness{TB: t}
	GivenProjection(w, store, sink, impure, countsOf(sink, "hall")).Given(hall, opened{"a"}).Then(map[string]int{"hall": 1})
	wantSaid(t, w.said, "-   \"hall\": 1")
}

func TestProjectionScenarioOfAnEventThatCannotBeApplied(t *testing.T) {
	t.Parallel()
	store, sink := views(t)
	GivenProjection(t, store, sink, counting(t), countsOf(sink, "hall")).
		Given(cellar, opened{"broken"}).Given(hall, opened{"a"}).
		Then(map[string]int{"hall": 1}).
		ThenParked(cellar)
}
