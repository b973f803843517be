package view

import (
	"context"
	"database/sql"
)

// Reader reads the rows of one version of a view.
type Reader struct {
	db   *sql.DB
	name Name
}

// NewReader reads the version name.
func NewReader(db *sql.DB, name Name) Reader { return Reader{db, name} }

// QueryRow runs a query for at most one row.
func (r Reader) QueryRow(ctx context.Context, text string, args ...any) *sql.Row {
	return r.db.QueryRowContext(ctx, r.name.SQL(text), args...)
}

// Each runs a query and calls row for every row, until it returns an error or
// [Enough].
func (r Reader) Each(ctx context.Context, text string, args []any, row func(scan func(...any) error) error) error {
	rows, err := r.db.QueryContext(ctx, r.name.SQL(text), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			if err == Enough { //nolint:errorlint // it is returned as it is
				return nil
			}
			return err
		}
	}
	return rows.Err()
}

// Enough ends [Reader.Each].
const Enough enough = "enough"

type enough string

func (e enough) Error() string { return string(e) }

// Scanner is one row, as [sql.Row] is.
type Scanner func(...any) error

// Scan reads the row's columns.
func (s Scanner) Scan(to ...any) error { return s(to...) }
