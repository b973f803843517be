package sqlsink

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/go-json-experiment/json"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"
)

// Sink is an [esjs.Sink] on an SQL database. Several projections share one
// Sink. On SQLite it lets one of them write at a time: waiting in line here is
// fairer and faster than waiting for the database's lock. It is safe for
// concurrent use.
type Sink struct {
	db      *sql.DB
	dialect dialect
	refused error         // why the database cannot be used; nil
	writers chan struct{} // has room for as many as may write at the same time
	ready   atomic.Bool   // the table of checkpoints is there
}

// New makes the sink of a database that [OpenSQLite] or [OpenPostgres] opened, which its driver
// tells. With another driver, or one that is wrapped, every call of the sink is refused with
// [esjs.ErrConfig]: [NewSQLite] and [NewPostgres] say which database it is. Projections
// of one database share one Sink.
func New(db *sql.DB) *Sink {
	switch db.Driver().(type) {
	case *sqlite.Driver:
		return NewSQLite(db)
	case *stdlib.Driver:
		return NewPostgres(db)
	}
	return &Sink{refused: fmt.Errorf("%w: sqlsink.New does not know which database the driver %T is for: make the sink with NewSQLite or NewPostgres",
		esjs.ErrConfig, db.Driver())}
}

// NewSQLite makes the sink of an SQLite database, whose driver is that of modernc.org/sqlite,
// wrapped or not. Its transactions lock for writing when they begin, and wait for the lock,
// as those of [OpenSQLite] do (_txlock=immediate and a busy_timeout).
func NewSQLite(db *sql.DB) *Sink { return newSink(db, sqliteDialect, 1) }

// NewPostgres makes the sink of a PostgreSQL database, whose driver is pgx, wrapped or not, or
// another one whose errors have a method SQLState() string. Its projectors write on up to half of
// the connections that the pool may have (8 where it has no bound), so that others stay free for queries. Let the
// server end transactions that sit idle, as [OpenPostgres] does.
func NewPostgres(db *sql.DB) *Sink {
	connections := cmp.Or(db.Stats().MaxOpenConnections, postgresConnections)
	return newSink(db, postgresDialect, max(1, connections/2))
}

func newSink(db *sql.DB, d dialect, writers int) *Sink {
	return &Sink{db: db, dialect: d, writers: make(chan struct{}, writers)}
}

// Open returns the checkpoint of the projection name. When there is none it
// calls init and stores the zero checkpoint, in one transaction: a failed init
// leaves nothing behind and is called again next time.
func (s *Sink) Open(ctx context.Context, name string, init func(context.Context, *sql.Tx) error) (found esjs.Checkpoint, err error) {
	projection, _, err := esjs.SplitFullName(name)
	if err != nil {
		return esjs.Checkpoint{}, err
	}
	err = s.transact(ctx, func(tx *sql.Tx) error {
		if err := s.prepare(ctx, tx); err != nil {
			return err
		}
		found, err = s.load(ctx, tx, name, "")
		if !errors.Is(err, esjs.ErrNotFound) {
			return err
		}
		if init != nil {
			if err := init(ctx, tx); err != nil {
				return fmt.Errorf("init: %w", err)
			}
		}
		at, parked, newest, err := encode(esjs.Checkpoint{})
		if err != nil {
			return err
		}
		start := esjs.Position{}.String()
		if _, err := tx.ExecContext(ctx, insertCheckpoint, name, projection, start, at, parked, newest, start); err != nil {
			return err
		}
		found, err = s.load(ctx, tx, name, "")
		return err
	})
	if err != nil {
		return esjs.Checkpoint{}, fmt.Errorf("open projection %s: %w", name, err)
	}
	return found, nil
}

// Commit calls step in a transaction and stores the checkpoint that it returns.
// Until that ends, the checkpoint's row is this transaction's: another Commit of
// the projection, and a Promote, wait for it.
//
// An error of step is returned as it is, except that trouble of the database
// itself (locked, full, gone) is marked with [esjs.ErrUnavailable].
func (s *Sink) Commit(ctx context.Context, name string, step func(context.Context, *sql.Tx, esjs.Checkpoint) (esjs.Checkpoint, error)) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		now, err := s.load(ctx, tx, name, s.dialect.forUpdate)
		if err != nil {
			return err
		}
		local := ctx
		if s.dialect.local {
			local = context.WithoutCancel(ctx)
		}
		to, err := step(local, tx, now)
		if err != nil {
			return &stepError{err}
		}
		at, parked, newest, err := encode(to)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, storeCheckpoint, to.Position.String(), at, parked, newest, name)
		return err
	})
}

// Load returns a checkpoint as it was committed last.
func (s *Sink) Load(ctx context.Context, name string) (c esjs.Checkpoint, err error) {
	err = s.query(ctx, func() error {
		c, err = s.load(ctx, s.db, name, "")
		return err
	})
	return c, err
}

// Live returns the full name of the live version of a projection, for queries of
// its tables.
func (s *Sink) Live(ctx context.Context, projection string) (name string, err error) {
	err = s.query(ctx, func() error { return s.db.QueryRowContext(ctx, findLive, projection).Scan(&name) })
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("%w: no version of the projection %s is live", esjs.ErrNotFound, projection)
	}
	return name, err
}

// Promote makes the version to live instead of from. It waits for a Commit of from
// that is under way, whose position it sees, and later ones see that from is no
// longer live: so each event has its effects from one of the two.
func (s *Sink) Promote(ctx context.Context, from, to string) error {
	err := s.change(ctx, func(tx *sql.Tx) error {
		var position, since string
		err := tx.QueryRowContext(ctx, retire, from).Scan(&position, &since)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("%w: it is not the live version", esjs.ErrConflict)
		}
		if err != nil {
			return err
		}
		ended, err := later(position, since)
		if err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, promote, ended, to)
		return one(result, err)
	})
	if err != nil {
		return fmt.Errorf("promote projection %s instead of %s: %w", to, from, err)
	}
	return nil
}

// later returns the later one of two stored positions, in each partition.
func later(a, b string) (string, error) {
	first, errA := esjs.ParsePosition(a)
	second, errB := esjs.ParsePosition(b)
	if err := errors.Join(errA, errB); err != nil {
		return "", fmt.Errorf("checkpoint: %w", err)
	}
	return first.Later(second).String(), nil
}

// Drop calls drop, which removes the projection's tables, and removes its
// checkpoint, in one transaction.
func (s *Sink) Drop(ctx context.Context, name string, drop func(context.Context, *sql.Tx) error) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		now, err := s.load(ctx, tx, name, s.dialect.forUpdate)
		if err != nil {
			return err
		}
		if now.Live {
			return fmt.Errorf("%w: the projection %s is live", esjs.ErrInvalid, name)
		}
		if drop != nil {
			if err := drop(ctx, tx); err != nil {
				return err
			}
		}
		result, err := tx.ExecContext(ctx, deleteCheckpoint, name)
		return one(result, err)
	})
}

// one is an error unless a statement changed a row.
func one(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: the projection was not opened", esjs.ErrNotFound)
	}
	return err
}

// change runs do in a transaction on what was opened.
func (s *Sink) change(ctx context.Context, do func(*sql.Tx) error) error {
	return s.transact(ctx, func(tx *sql.Tx) error {
		if ready, err := s.isReady(ctx, tx); err != nil {
			return err
		} else if !ready {
			return errNothing
		}
		return do(tx)
	})
}

// transact runs do in a transaction, once it is this writer's turn.
func (s *Sink) transact(ctx context.Context, do func(*sql.Tx) error) error {
	if s.refused != nil {
		return s.refused
	}
	select {
	case s.writers <- struct{}{}:
		defer func() { <-s.writers }()
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

// Unavailable tells an error of the database itself (locked, full, gone), which passes when that is mended, from
// what comes back with every attempt. It is for statements that a program makes by itself: those of the sink are
// marked with [esjs.ErrUnavailable].
func (s *Sink) Unavailable(err error) bool {
	return err != nil && s.refused == nil && s.dialect.unavailable(err)
}

// stepError is what step has returned.
type stepError struct{ error }

// mark tells the database's own trouble from everything else.
func (s *Sink) mark(err error) error {
	if step, ok := err.(*stepError); ok { //nolint:errorlint // Commit made it, and nothing has wrapped it
		if err = step.error; s.dialect.limited != nil && s.dialect.limited(err) {
			return err
		}
	}
	if s.Unavailable(err) {
		return fmt.Errorf("%w: %w", esjs.ErrUnavailable, err)
	}
	return err
}

var errNothing = fmt.Errorf("%w: no projection was opened in this database", esjs.ErrNotFound)

// query runs do, which reads; a table that is not there has nothing.
func (s *Sink) query(ctx context.Context, do func() error) error {
	if s.refused != nil {
		return s.refused
	}
	ready, err := s.isReady(ctx, s.db)
	if err == nil && !ready {
		return errNothing
	}
	if err == nil {
		err = do()
	}
	return s.mark(err)
}

// querier is a database or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (s *Sink) load(ctx context.Context, q querier, name, forUpdate string) (esjs.Checkpoint, error) {
	var (
		position, at, parked, newest, since string
		live                                bool
	)
	err := q.QueryRowContext(ctx, loadCheckpoint+forUpdate, name).Scan(&position, &at, &parked, &newest, &live, &since)
	if errors.Is(err, sql.ErrNoRows) {
		return esjs.Checkpoint{}, fmt.Errorf("%w: the projection %s was not opened", esjs.ErrNotFound, name)
	}
	if err != nil {
		return esjs.Checkpoint{}, err
	}
	c, err := decode(position, at, parked, newest)
	if err == nil {
		c.Live = live
		c.Since, err = esjs.ParsePosition(since)
	}
	return c, err
}

func encode(c esjs.Checkpoint) (at, parked, newest string, err error) {
	keys, err := json.Marshal(c.Parked, json.Deterministic(true))
	commit, errCommit := json.Marshal(storedNewest{c.Newest, c.NewestIn}, json.Deterministic(true))
	if err := errors.Join(err, errCommit); err != nil {
		return "", "", "", fmt.Errorf("checkpoint: %w", err)
	}
	return c.Time.UTC().Format(time.RFC3339Nano), string(keys), string(commit), nil
}

func decode(position, at, parked, newest string) (c esjs.Checkpoint, err error) {
	if c.Position, err = esjs.ParsePosition(position); err != nil {
		return c, fmt.Errorf("checkpoint: %w", err)
	}
	if c.Time, err = time.Parse(time.RFC3339Nano, at); err != nil {
		return c, fmt.Errorf("checkpoint: %w", err)
	}
	if err = json.Unmarshal([]byte(parked), &c.Parked); err != nil {
		return c, fmt.Errorf("checkpoint: parked keys: %w", err)
	}
	var commits storedNewest
	if err = json.Unmarshal([]byte(newest), &commits); err != nil {
		return c, fmt.Errorf("checkpoint: newest commit: %w", err)
	}
	c.Newest, c.NewestIn = commits.CommitRef, commits.In
	return c, nil
}

// storedNewest is the newest commit as it is stored, or that of each partition.
type storedNewest struct {
	esjs.CommitRef
	In map[int]esjs.CommitRef `json:"in,omitempty"`
}
