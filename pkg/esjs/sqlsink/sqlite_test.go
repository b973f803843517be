//go:build !postgres

package sqlsink_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net/url"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
	"modernc.org/sqlite"
)

// The tests of this package run on SQLite, and with the build tag postgres on
// PostgreSQL.

// newDatabase returns where a database may be created, for openDatabase.
func newDatabase(t testing.TB) string { return filepath.Join(t.TempDir(), "odd name? 100%#.db") }

func openDatabase(at string) (*sql.DB, error) { return sqlsink.OpenSQLite(at) }

// connector makes connections to a database as a program of its own has them.
func connector(at string) (driver.Connector, error) {
	path := url.URL{Path: at}
	return sqlite.NewConnector("file:" + path.EscapedPath() + "?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)")
}

// newSink says which database it is.
var newSink = sqlsink.NewSQLite

// countTables counts the tables of a name.
const countTables = "SELECT count(*) FROM sqlite_schema WHERE name = $1"

func TestADatabaseThatCannotBeOpenedIsRefused(t *testing.T) {
	for _, path := range []string{"", filepath.Join(t.TempDir(), "no such directory", "x.db"), t.TempDir()} {
		if db, err := sqlsink.OpenSQLite(path); !errors.Is(err, esjs.ErrConfig) {
			t.Errorf("OpenSQLite(%q) = %v, %v; want ErrConfig", path, db, err)
		}
	}
}

func TestTroubleOfTheDatabaseIsUnavailable(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "full.db"))
	db.SetMaxOpenConns(1) // max_page_count belongs to a connection
	sink := sqlsink.New(db)
	if _, err := sink.Open(t.Context(), "view_v1", createRows); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA max_page_count = 8"); err != nil {
		t.Fatal(err)
	}
	err := sink.Commit(t.Context(), "view_v1", moving(at(t, 1), func(ctx context.Context, tx *sql.Tx) error {
		return putRow(ctx, tx, "large", string(make([]byte, 1<<20)))
	}))
	if !errors.Is(err, esjs.ErrUnavailable) {
		t.Fatalf("a full database: %v, want ErrUnavailable", err)
	}
	err = sink.Commit(t.Context(), "view_v1", moving(at(t, 1), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO nowhere VALUES (1)")
		return err
	}))
	if err == nil || errors.Is(err, esjs.ErrUnavailable) {
		t.Fatalf("a wrong statement: %v, want an error that is not ErrUnavailable", err)
	}
}

func TestAKeptStatementSeesTheSchemaChange(t *testing.T) {
	db := openTemp(t)
	exec := func(statement string, args ...any) {
		t.Helper()
		if _, err := db.Exec(statement, args...); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	const add = "INSERT INTO rows VALUES (?, 'v')"
	exec("CREATE TABLE rows (key TEXT PRIMARY KEY, value TEXT)")
	for i := range 3 {
		exec(add, strconv.Itoa(i))
	}
	exec("DROP TABLE rows")
	if _, err := db.Exec(add, "x"); err == nil {
		t.Error("a statement on a table that is gone succeeded")
	}
	exec("CREATE TABLE rows (value TEXT, key TEXT)") // the other way round
	for i := range 3 {
		exec(add, strconv.Itoa(i))
	}
	if got := rows(t, db); len(got) != 1 || got["v"] != "2" {
		t.Errorf("the rows are %v, want the key v alone: it is the second column now", got)
	}
	for range 3 {
		exec("CREATE TABLE a (x); DROP TABLE a") // more than one statement
	}
}

// A database of a program that knew of no live versions is taken over: of the
// versions in it, the highest one is live.
func TestATableOfCheckpointsWithoutLiveVersionsIsUpgraded(t *testing.T) {
	db := openTemp(t)
	for _, statement := range []string{
		"CREATE TABLE esjs_checkpoints (name TEXT PRIMARY KEY, position TEXT NOT NULL, time TEXT NOT NULL, parked TEXT NOT NULL) STRICT",
		`INSERT INTO esjs_checkpoints VALUES ('view_v2', '0-5', '2026-03-01T12:00:00Z', '{}'), ('view_v10', '0-7', '2026-03-01T12:00:00Z', '{}'),
			('view_v1', '0-9', '2026-03-01T12:00:00Z', '{"a/1":{"key":"a/1","reason":"r","since":"2026-03-01T12:00:00Z","count":2}}'),
			('other_v3', '0-4', '2026-03-01T12:00:00Z', '{}')`,
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := sqlsink.New(db).Load(t.Context(), "view_v1"); !errors.Is(err, esjs.ErrNotFound) {
		t.Errorf("before a projection was opened: %v, want ErrNotFound", err)
	}
	for range 2 { // the second time there is nothing to do
		sink := sqlsink.New(db)
		for name, want := range map[string]esjs.Checkpoint{
			"view_v1": at(t, 9), "view_v2": at(t, 5), "view_v10": {Position: at(t, 7).Position, Live: true},
			"other_v3": {Position: at(t, 4).Position, Live: true}, "view_v11": {},
		} {
			c, err := sink.Open(t.Context(), name, nil)
			if err != nil || c.Position != want.Position || c.Live != want.Live {
				t.Errorf("%s is %+v, %v; want %+v", name, c, err, want)
			}
			if parked := len(c.Parked); parked > 0 != (name == "view_v1") {
				t.Errorf("%s has %d parked keys", name, parked)
			}
		}
	}
}
