package sqlsink

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// isReady tells that the table of checkpoints is there and complete. Whoever
// only reads needs no right to create it.
func (s *Sink) isReady(ctx context.Context, q querier) (bool, error) {
	if s.ready.Load() {
		return true, nil
	}
	n, err := count(ctx, q, s.dialect.ready)
	if n > 0 {
		s.ready.Store(true)
	}
	return n > 0, err
}

// prepare creates what is missing of the table of checkpoints.
func (s *Sink) prepare(ctx context.Context, tx *sql.Tx) error {
	if s.dialect.lock != "" {
		if _, err := tx.ExecContext(ctx, s.dialect.lock); err != nil {
			return err
		}
	}
	if ready, err := s.isReady(ctx, tx); err != nil || ready {
		return err
	}
	if err := s.upgrade(ctx, tx); err != nil {
		return err
	}
	for _, statement := range s.dialect.create {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// upgrade adds to a table of checkpoints what it lacks. Of the versions that it
// has, the highest one becomes live.
func (s *Sink) upgrade(ctx context.Context, tx *sql.Tx) error {
	if s.dialect.outdated == "" {
		return nil
	}
	if n, err := count(ctx, tx, s.dialect.outdated); err != nil || n == 0 {
		return err
	}
	for _, statement := range s.dialect.upgrade {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	all, err := names(ctx, tx)
	if err != nil {
		return err
	}
	highest := make(map[string]int)
	for _, name := range all {
		projection, version, err := esjs.SplitFullName(name)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE esjs_checkpoints SET projection = $1 WHERE name = $2`, projection, name); err != nil {
			return err
		}
		highest[projection] = max(highest[projection], version)
	}
	for projection, version := range highest {
		name := fmt.Sprintf("%s_v%d", projection, version)
		if _, err := tx.ExecContext(ctx, `UPDATE esjs_checkpoints SET live = TRUE WHERE name = $1`, name); err != nil {
			return err
		}
	}
	return nil
}

// names returns the full names of all projections.
func names(ctx context.Context, tx *sql.Tx) (all []string, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT name FROM esjs_checkpoints`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		all = append(all, name)
	}
	return all, rows.Err()
}

func count(ctx context.Context, q querier, query string) (n int, err error) {
	err = q.QueryRowContext(ctx, query).Scan(&n)
	return n, err
}
