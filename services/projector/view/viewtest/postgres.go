//go:build postgres

package viewtest

import (
	"database/sql"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink/pgtest"
)

func open(t testing.TB) (*sql.DB, error) {
	return sqlsink.OpenPostgres(t.Context(), pgtest.Database(t))
}
