package projector

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// entry is one version of a view as the database has it on record. It says which
// form of the view's rows the version has, so that a program knows which versions
// its code is for.
type entry struct {
	Name      string // the full name: "orders_v2"
	View      string
	Version   int
	Form      int
	ByHand    bool // it does not take over by itself
	Paused    bool
	Tables    string // separated by spaces
	CreatedAt string
}

// registry is the record of all versions, a table of its own.
type registry struct{ db *sql.DB }

const createRegistry = `CREATE TABLE IF NOT EXISTS projector_versions (
	name       TEXT PRIMARY KEY,
	view       TEXT NOT NULL,
	version    BIGINT NOT NULL,
	form       BIGINT NOT NULL,
	by_hand    BIGINT NOT NULL,
	paused     BIGINT NOT NULL,
	tables     TEXT NOT NULL,
	created_at TEXT NOT NULL
)`

// createComparisons is of a table of its own, because programs that do not compare
// share the first one.
const createComparisons = `CREATE TABLE IF NOT EXISTS projector_comparisons (
	name     TEXT PRIMARY KEY,
	document TEXT NOT NULL
)`

// create makes the tables of the records unless they are there. Of two programs that
// make them at once PostgreSQL refuses one, which finds them at the next attempt.
func (r registry) create(ctx context.Context) (err error) {
	for range 3 {
		if _, err = r.db.ExecContext(ctx, createRegistry); err != nil {
			continue
		}
		if _, err = r.db.ExecContext(ctx, createComparisons); err != nil {
			continue
		}
		if _, err = r.db.ExecContext(ctx, createCommands); err == nil {
			return nil
		}
	}
	return fmt.Errorf("records of versions and commands: %w", err)
}

// all returns every version, by view and version.
func (r registry) all(ctx context.Context) (entries []entry, err error) {
	rows, err := r.db.QueryContext(ctx, `SELECT name, view, version, form, by_hand, paused, tables, created_at FROM projector_versions ORDER BY view, version`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			e              entry
			byHand, paused int
		)
		if err := rows.Scan(&e.Name, &e.View, &e.Version, &e.Form, &byHand, &paused, &e.Tables, &e.CreatedAt); err != nil {
			return nil, err
		}
		e.ByHand, e.Paused = byHand == 1, paused == 1
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

// add records a version of a view. Another program may have recorded it just now;
// then nothing changes.
func (r registry) add(ctx context.Context, v view.View, version, form int, byHand bool) error {
	name := fmt.Sprintf("%s_v%d", v.Name, version)
	_, err := r.db.ExecContext(ctx, `
		INSERT INTO projector_versions (name, view, version, form, by_hand, paused, tables, created_at) VALUES ($1, $2, $3, $4, $5, 0, $6, $7)
		ON CONFLICT (name) DO NOTHING`,
		name, v.Name, version, form, view.Flag(byHand), strings.Join(v.Tables(view.Name(name)), " "), view.Sortable(time.Now()))
	return err
}

// pause notes whether a version is to be built at the moment.
func (r registry) pause(ctx context.Context, name string, paused bool) error {
	_, err := r.db.ExecContext(ctx, `UPDATE projector_versions SET paused = $1 WHERE name = $2`, view.Flag(paused), name)
	return err
}

// hold makes the versions of a view above one wait for a promotion by hand.
func (r registry) hold(ctx context.Context, viewName string, above int) error {
	_, err := r.db.ExecContext(ctx, `UPDATE projector_versions SET by_hand = 1 WHERE view = $1 AND version > $2`, viewName, above)
	return err
}

// compared notes how a version compares with the live one.
func (r registry) compared(ctx context.Context, name string, c queries.Comparison) error {
	document, err := view.Marshal(c)
	if err != nil {
		return err
	}
	_, err = r.db.ExecContext(ctx, `
		INSERT INTO projector_comparisons (name, document) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET document = excluded.document`, name, document)
	return err
}

// comparison returns what was noted of a version; nil when nothing was.
func (r registry) comparison(ctx context.Context, name string) (*queries.Comparison, error) {
	c, err := view.Document[queries.Comparison](r.db.QueryRowContext(ctx, `SELECT document FROM projector_comparisons WHERE name = $1`, name))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &c, err
}

// has tells, in a transaction, that a version is on record.
func (r registry) has(ctx context.Context, tx *sql.Tx, name string) (bool, error) {
	var n int
	err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM projector_versions WHERE name = $1`, name).Scan(&n)
	return n > 0, err
}

// remove takes a version from the record, with its tables, in a transaction.
func (r registry) remove(ctx context.Context, tx *sql.Tx, e entry) error {
	if err := view.Drop(ctx, tx, strings.Fields(e.Tables)); err != nil {
		return err
	}
	for _, table := range []string{"projector_versions", "projector_comparisons"} {
		if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE name = $1`, e.Name); err != nil {
			return err
		}
	}
	return nil
}
