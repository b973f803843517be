// Package viewtest is what the tests of views have in common: a view at work on a
// real database, SQLite or, with the build tag postgres, PostgreSQL.
package viewtest

import (
	"context"
	"database/sql"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// Given starts a view on an empty store and an empty database. read asks it what
// [esjstest.ProjectionScenario.Then] demands.
func Given[R any](t *testing.T, v view.View, read func(context.Context, view.Reader) (R, error)) *esjstest.ProjectionScenario[*sql.Tx, events.Event, R] {
	t.Helper()
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		t.Fatal(err)
	}
	db := Open(t)
	projection := v.Projection(1, codec)
	rows := view.NewReader(db, view.Name(projection.FullName()))
	return esjstest.GivenProjection(t, esjstest.Server(t).Store(t), sqlsink.New(db), projection,
		func(ctx context.Context) (R, error) { return read(ctx, rows) })
}

// Open opens an empty database, which is closed when the test ends.
func Open(t testing.TB) *sql.DB {
	t.Helper()
	db, err := open(t)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
