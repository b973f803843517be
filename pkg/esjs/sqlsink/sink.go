package sqlsink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/go-json-experiment/json"
)

// Sink is an [esjs.Sink] on an SQL database. Several projections share one
// Sink, which lets one of them write at a time: waiting in line here is fairer
// and faster than waiting for the database's lock. It is safe for concurrent use.
type Sink struct {
	db      *sql.DB
	dialect dialect
	writer  chan struct{} // holds one token: the right to write
}

// New makes the sink of a database that [OpenSQLite] opened. Projections of
// one database share one Sink.
func New(db *sql.DB) *Sink {
	return &Sink{db: db, dialect: sqliteDialect, writer: make(chan struct{}, 1)}
}

// Open returns the checkpoint of the projection name. When there is none it
// calls init and stores the zero checkpoint, in one transaction: a failed init
// leaves nothing behind and is called again next time.
func (s *Sink) Open(ctx context.Context, name string, init func(context.Context, *sql.Tx) error) (esjs.Checkpoint, error) {
	var found esjs.Checkpoint
	err := s.transact(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, s.dialect.create); err != nil {
			return err
		}
		var err error
		found, err = s.load(ctx, tx, name)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if init != nil {
			if err := init(ctx, tx); err != nil {
				return fmt.Errorf("init: %w", err)
			}
		}
		found = esjs.Checkpoint{}
		at, parked, err := encode(found)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, s.dialect.insert, name, found.Position.String(), at, parked)
		return err
	})
	if err != nil {
		return esjs.Checkpoint{}, fmt.Errorf("open projection %s: %w", name, err)
	}
	return found, nil
}

// Commit runs apply and moves the checkpoint from from to to in one
// transaction. The checkpoint is compared and moved first: a projector that is
// not alone is refused with [esjs.ErrConflict] before it changes a row.
// Positions only grow, so comparing the position is enough.
//
// An error of apply is returned as it is, except that trouble of the database
// itself (locked, full, damaged) is marked with [esjs.ErrUnavailable].
func (s *Sink) Commit(ctx context.Context, name string, from, to esjs.Checkpoint, apply func(context.Context, *sql.Tx) error) error {
	at, parked, err := encode(to)
	if err != nil {
		return err
	}
	return s.transact(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, s.dialect.move, to.Position.String(), at, parked, name, from.Position.String())
		if err != nil {
			return err
		}
		moved, err := result.RowsAffected()
		if err != nil {
			return err
		}
		if moved != 1 {
			return fmt.Errorf("%w: the checkpoint of %s is no longer %s: another instance is projecting", esjs.ErrConflict, name, from.Position)
		}
		if s.dialect.local {
			ctx = context.WithoutCancel(ctx)
		}
		return apply(ctx, tx)
	})
}

// transact runs do in a transaction, once it is this writer's turn.
func (s *Sink) transact(ctx context.Context, do func(*sql.Tx) error) error {
	select {
	case s.writer <- struct{}{}:
		defer func() { <-s.writer }()
	case <-ctx.Done():
		return ctx.Err()
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return s.mark(err)
	}
	defer tx.Rollback() // after a commit it does nothing; after a panic it gives the connection back
	if err := do(tx); err != nil {
		return s.mark(err)
	}
	return s.mark(tx.Commit())
}

// mark tells the database's own trouble from everything else.
func (s *Sink) mark(err error) error {
	if err != nil && s.dialect.unavailable(err) {
		return fmt.Errorf("%w: %w", esjs.ErrUnavailable, err)
	}
	return err
}

func (s *Sink) load(ctx context.Context, tx *sql.Tx, name string) (esjs.Checkpoint, error) {
	var position, at, parked string
	if err := tx.QueryRowContext(ctx, s.dialect.load, name).Scan(&position, &at, &parked); err != nil {
		return esjs.Checkpoint{}, err
	}
	return decode(position, at, parked)
}

func encode(c esjs.Checkpoint) (at, parked string, err error) {
	b, err := json.Marshal(c.Parked, json.Deterministic(true))
	if err != nil {
		return "", "", fmt.Errorf("checkpoint: %w", err)
	}
	return c.Time.UTC().Format(time.RFC3339Nano), string(b), nil
}

func decode(position, at, parked string) (c esjs.Checkpoint, err error) {
	if c.Position, err = esjs.ParsePosition(position); err != nil {
		return c, fmt.Errorf("checkpoint: %w", err)
	}
	if c.Time, err = time.Parse(time.RFC3339Nano, at); err != nil {
		return c, fmt.Errorf("checkpoint: %w", err)
	}
	if err = json.Unmarshal([]byte(parked), &c.Parked); err != nil {
		return c, fmt.Errorf("checkpoint: parked keys: %w", err)
	}
	return c, nil
}
