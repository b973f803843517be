package sqlsink_test

import (
	"context"
	"database/sql"
	"strconv"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
)

func TestAnSQLDatabaseIsASink(t *testing.T) {
	esjstest.TestSink(t, func(t *testing.T) esjstest.SinkRig[*sql.Tx] {
		path := newDatabase(t)
		return esjstest.SinkRig[*sql.Tx]{
			Open: func(t *testing.T) esjs.Sink[*sql.Tx] { return sqlsink.New(open(t, path)) },
			Init: createRows,
			Put:  putRow,
			Rows: func(t *testing.T) map[string]string { return rows(t, open(t, path)) },
		}
	})
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
	_, err := tx.ExecContext(ctx, "CREATE TABLE rows (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
	return err
}

func putRow(ctx context.Context, tx *sql.Tx, key, value string) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO rows VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value)
	return err
}

func rows(t *testing.T, db *sql.DB) map[string]string {
	t.Helper()
	found := make(map[string]string)
	var tables int
	if err := db.QueryRow(countTables, "rows").Scan(&tables); err != nil {
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
