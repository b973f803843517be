//go:build !postgres

package projector_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/services/projector"
)

// The tests of this package run on SQLite, and with the build tag postgres on
// PostgreSQL.

// newDatabase is the configuration with an empty database.
func newDatabase(t testing.TB) projector.Config {
	return projector.Config{Database: filepath.Join(t.TempDir(), "a new directory", "projector.db")}
}

func TestADatabaseIsOneProjectors(t *testing.T) {
	r := newRig(t)
	stop := r.run(t)
	second := projector.New(r.Env("projector"), r.config)
	ctx, cancel := context.WithTimeout(t.Context(), servicetest.Patience)
	defer cancel()
	if err := second.Run(ctx); !errors.Is(err, projector.ErrInUse) || !strings.Contains(err.Error(), r.config.Database) {
		t.Errorf("a second projector on the database ended with: %v", err)
	}
	last := r.complete(t, "o-1")
	r.ask(t, "query.orders.get", fmt.Sprintf(`{"order_id":"o-1","min_revision":%q}`, last), nil) // the first one goes on
	stop()
	r.run(t) // what a stop leaves behind is no lock
}

// A view that cannot begin ends the projector, which says why.
func TestATableOfSomebodyElseIsInTheWay(t *testing.T) {
	r := newRig(t)
	if err := os.MkdirAll(filepath.Dir(r.config.Database), 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", r.config.Database)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), "CREATE TABLE orders_v1 (a int)")
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), servicetest.Patience)
	defer cancel()
	if err := projector.New(r.Env("projector"), r.config).Run(ctx); err == nil || !strings.Contains(err.Error(), "view orders: ") || !strings.Contains(err.Error(), "already exists") {
		t.Errorf("the projector ended with: %v", err)
	}
}
