package sqlsink_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
)

func TestSQLiteIsASink(t *testing.T) {
	esjstest.TestSink(t, func(t *testing.T) esjstest.SinkRig[*sql.Tx] {
		path := filepath.Join(t.TempDir(), "odd name? 100%#.db")
		return esjstest.SinkRig[*sql.Tx]{
			Open: func(t *testing.T) esjs.Sink[*sql.Tx] { return sqlsink.New(open(t, path)) },
			Init: createRows,
			Put:  putRow,
			Rows: func(t *testing.T) map[string]string { return rows(t, open(t, path)) },
		}
	})
}

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
	err := sink.Commit(t.Context(), "view_v1", esjs.Checkpoint{}, at(t, 1), func(ctx context.Context, tx *sql.Tx) error {
		return putRow(ctx, tx, "large", string(make([]byte, 1<<20)))
	})
	if !errors.Is(err, esjs.ErrUnavailable) {
		t.Fatalf("a full database: %v, want ErrUnavailable", err)
	}
	err = sink.Commit(t.Context(), "view_v1", esjs.Checkpoint{}, at(t, 1), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO nowhere VALUES (1)")
		return err
	})
	if err == nil || errors.Is(err, esjs.ErrUnavailable) {
		t.Fatalf("a wrong statement: %v, want an error that is not ErrUnavailable", err)
	}
}

func open(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sqlsink.OpenSQLite(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func at(t *testing.T, sequence int) esjs.Checkpoint {
	t.Helper()
	position, err := esjs.ParsePosition("0-" + strconv.Itoa(sequence))
	if err != nil {
		t.Fatal(err)
	}
	return esjs.Checkpoint{Position: position}
}

func createRows(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "CREATE TABLE rows (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT")
	return err
}

func putRow(ctx context.Context, tx *sql.Tx, key, value string) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO rows VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value)
	return err
}

func rows(t *testing.T, db *sql.DB) map[string]string {
	t.Helper()
	found := make(map[string]string)
	var tables int
	if err := db.QueryRow("SELECT count(*) FROM sqlite_schema WHERE name = 'rows'").Scan(&tables); err != nil {
		t.Fatal(err)
	}
	if tables == 0 {
		return found
	}
	result, err := db.Query("SELECT key, value FROM rows")
	if err != nil {
		t.Fatal(err)
	}
	defer result.Close()
	for result.Next() {
		var key, value string
		if err := result.Scan(&key, &value); err != nil {
			t.Fatal(err)
		}
		found[key] = value
	}
	if err := result.Err(); err != nil {
		t.Fatal(err)
	}
	return found
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
