//go:build !postgres

package viewtest

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
)

func open(t testing.TB) (*sql.DB, error) {
	return sqlsink.OpenSQLite(filepath.Join(t.TempDir(), "views.db"))
}
