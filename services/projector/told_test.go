package projector_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
	"github.com/b144f99b/orderflow/services/projector"
	"github.com/rs/zerolog"
)

// lines are those of a log, as they are written.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// tells waits for a line with a text.
func (l lines) tells(t *testing.T, text string) {
	t.Helper()
	for deadline := time.After(3 * time.Minute); ; {
		select {
		case line := <-l:
			if strings.Contains(line, text) {
				return
			}
		case <-deadline:
			t.Fatalf("the log does not tell: %s", text)
		}
	}
}

// A record of versions that cannot be read is told of once, and once more when it could be
// read in between.
func TestARecordThatCannotBeReadAgainIsToldOfAgain(t *testing.T) {
	r := newRig(t)
	told := make(lines, 10_000)
	env := r.Env("projector")
	env.Log = zerolog.New(told)
	r.Run(projector.NewOnly(env, r.config, "orders").Run)
	r.Ready(env)
	db := beside(t, r.config)
	for range 2 {
		execute(t, db, "ALTER TABLE projector_versions RENAME TO mislaid")
		told.tells(t, "the record of versions cannot be read")
		execute(t, db, "ALTER TABLE mislaid RENAME TO projector_versions")
		told.tells(t, "the record of versions can be read again")
	}
}

// beside opens the database of a projector that runs.
func beside(t *testing.T, cfg projector.Config) *sql.DB {
	t.Helper()
	var db *sql.DB
	var err error
	if cfg.DatabaseURL != "" {
		db, err = sqlsink.OpenPostgres(t.Context(), cfg.DatabaseURL)
	} else {
		db, err = sqlsink.OpenSQLite(cfg.Database)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func execute(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
