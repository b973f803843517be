package sqlsink_test

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
)

// wrapped makes a database whose driver counts or traces statements: it does not tell which database it is.
type wrapped struct{ driver.Connector }

func (w wrapped) Driver() driver.Driver { return tracing{w.Connector.Driver()} }

type tracing struct{ driver.Driver }

func openWrapped(t *testing.T, at string) *sql.DB {
	t.Helper()
	c, err := connector(at)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(wrapped{c})
	t.Cleanup(func() { db.Close() })
	return db
}

func TestAWrappedDatabaseIsASink(t *testing.T) {
	esjstest.TestSink(t, func(t *testing.T) esjstest.SinkRig[*sql.Tx] {
		path := newDatabase(t)
		return esjstest.SinkRig[*sql.Tx]{
			Open: func(t *testing.T) esjs.Sink[*sql.Tx] { return newSink(openWrapped(t, path)) },
			Init: createRows,
			Put:  putRow,
			Rows: func(t *testing.T) map[string]string { return rows(t, open(t, path)) },
		}
	})
}

// A PostgreSQL database that was taken for one of SQLite failed at its first statement, and did not say why.
func TestADriverThatIsNotKnownIsRefused(t *testing.T) {
	sink := sqlsink.New(openWrapped(t, newDatabase(t)))
	_, opened := sink.Open(t.Context(), "view_v1", nil)
	_, loaded := sink.Load(t.Context(), "view_v1")
	_, live := sink.Live(t.Context(), "view")
	run := esjs.NewProjector(esjstest.Server(t).Store(t), sink, sums(t), esjs.ProjectionConfig{}).Run(t.Context())
	for call, err := range map[string]error{
		"Open": opened, "Load": loaded, "Live": live, "Run": run,
		"Commit": sink.Commit(t.Context(), "view_v1", nil), "Promote": sink.Promote(t.Context(), "view_v1", "view_v2"), "Drop": sink.Drop(t.Context(), "view_v1", nil),
	} {
		if !errors.Is(err, esjs.ErrConfig) || !strings.Contains(err.Error(), "sqlsink_test.tracing") || !strings.Contains(err.Error(), "NewPostgres") {
			t.Errorf("%s: %v, want ErrConfig that names the driver and NewPostgres", call, err)
		}
	}
	if sink.Unavailable(errors.New("gone")) {
		t.Error("it is waited for")
	}
}
