package esjsbench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"path/filepath"
	"slices"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink/pgtest"
	_ "modernc.org/sqlite" // the driver of the bare loop
)

// database is where rows go: an empty one at each call of open, and the same by the
// driver as it is.
type database struct {
	open, plain func() (*sql.DB, error)
}

// sqlite makes databases in files, with the same safety on both sides.
func (r *rig) sqlite() database {
	n := 0
	path := func() string {
		n++
		return filepath.Join(r.dir, fmt.Sprintf("rows-%d.db", n))
	}
	return database{
		open: func() (*sql.DB, error) { return sqlsink.OpenSQLite(path()) },
		plain: func() (*sql.DB, error) {
			file := url.URL{Path: path()}
			return sql.Open("sqlite", "file:"+file.EscapedPath()+"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)")
		},
	}
}

// projected counts and sums up the deposits of each account.
func projected() (esjs.Projection[*sql.Tx, deposited], error) {
	codec, err := esjs.NewCodec(esjs.TypeOf[deposited, deposited]())
	return esjs.Projection[*sql.Tx, deposited]{
		Name: "sums", Version: 1, Codec: codec,
		Init: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "CREATE TABLE sums_v1 (key TEXT PRIMARY KEY, events INTEGER, sum INTEGER, version INTEGER)")
			return err
		},
		Apply: func(ctx context.Context, tx *sql.Tx, e esjs.Recorded[deposited]) error {
			_, err := tx.ExecContext(ctx, addToSum, e.Stream.String(), e.Event.Amount, e.Version)
			return err
		},
	}, err
}

const addToSum = `INSERT INTO sums_v1 VALUES ($1, 1, $2, $3)
	ON CONFLICT (key) DO UPDATE SET events = sums_v1.events + 1, sum = sums_v1.sum + excluded.sum, version = excluded.version`

func measureCatchUp(ctx context.Context, r *rig) (measure, error) {
	return r.catchUps(ctx, r.sqlite())
}

func measureCatchUpPostgres(ctx context.Context, r *rig) (measure, error) {
	server, err := pgtest.Start(ctx)
	if err != nil {
		return nil, err
	}
	r.onClose(server.Stop)
	n := 0
	fresh := func() (string, error) {
		n++
		return server.Create(ctx, fmt.Sprintf("rows%d", n))
	}
	return r.catchUps(ctx, database{
		open: func() (*sql.DB, error) {
			url, err := fresh()
			if err != nil {
				return nil, err
			}
			return sqlsink.OpenPostgres(ctx, url)
		},
		plain: func() (*sql.DB, error) {
			url, err := fresh()
			if err != nil {
				return nil, err
			}
			return sql.Open("pgx", url)
		},
	})
}

// catchUps lets a projection catch up (read from the server, decode, apply,
// checkpoint), for commits of one event and of five, against a bare loop of transactions
// that applies the same events, decoded and in memory. Beside it is the loop with
// its statement prepared once in a transaction, which is what the sink's own keeping of
// statements comes to.
func (r *rig) catchUps(ctx context.Context, db database) (measure, error) {
	const batch = 500
	projection, err := projected()
	if err != nil {
		return nil, err
	}
	var measures []measure
	for _, size := range []int{1, 5} {
		cfg := esjs.Config{Stream: fmt.Sprintf("ROWS_%d", size), Prefix: fmt.Sprintf("rows-%d", size)}
		store, err := r.newStore(ctx, cfg)
		if err != nil {
			return nil, err
		}
		if err := fill(ctx, store, deposits(10, size, numbered), 0, r.scale.projected/size/10); err != nil {
			return nil, err
		}
		all, err := readDeposits(ctx, store, projection.Codec)
		if err != nil {
			return nil, err
		}
		name, parts := fmt.Sprintf("-%d", size), slices.Chunk(all, batch*size)
		direct := func(ctx context.Context, tx *sql.Tx, part []esjs.Recorded[deposited]) error {
			return applyEach(ctx, tx, part, projection.Apply)
		}
		measures = append(measures, compareRates(len(all), []side{
			{"bare" + name, on(db.plain, func(db *sql.DB) error { return bareLoop(ctx, db, projection, parts, direct) })},
			{"catch-up" + name, on(db.open, func(db *sql.DB) error { return catchUp(ctx, store, db, projection, batch) })},
			{"prepared" + name, on(db.plain, func(db *sql.DB) error { return bareLoop(ctx, db, projection, parts, applyPrepared) })},
		}))
	}
	return func(loop func() bool) (figures []figure, err error) {
		turns := 0
		for ; loop(); turns++ {
		}
		for _, m := range measures {
			more, err := m(times(turns))
			if err != nil {
				return nil, err
			}
			figures = append(figures, more...)
		}
		return figures, nil
	}, nil
}

func readDeposits(ctx context.Context, store *esjs.Store, codec *esjs.Codec[deposited]) (all []esjs.Recorded[deposited], err error) {
	for record, err := range store.ReadAll(ctx, esjs.Query{}) {
		if err != nil {
			return nil, err
		}
		e, err := codec.Decode(record)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// on runs with a new database, of which opening and closing are counted.
func on(open func() (*sql.DB, error), run func(*sql.DB) error) func() error {
	return func() error {
		db, err := open()
		if err != nil {
			return err
		}
		defer db.Close()
		return run(db)
	}
}

type applied = func(context.Context, *sql.Tx, esjs.Recorded[deposited]) error

func catchUp(ctx context.Context, store *esjs.Store, db *sql.DB, projection esjs.Projection[*sql.Tx, deposited], batch int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return esjs.NewProjector(store, sqlsink.New(db), projection, esjs.ProjectionConfig{Batch: batch, OnCaughtUp: cancel}).Run(ctx)
}

// bareLoop applies the events in transactions of so many.
func bareLoop(ctx context.Context, db *sql.DB, projection esjs.Projection[*sql.Tx, deposited], parts iter.Seq[[]esjs.Recorded[deposited]],
	apply func(context.Context, *sql.Tx, []esjs.Recorded[deposited]) error) error {
	inTx := func(do func(tx *sql.Tx) error) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if err := do(tx); err != nil {
			return err
		}
		return tx.Commit()
	}
	if err := inTx(func(tx *sql.Tx) error { return projection.Init(ctx, tx) }); err != nil {
		return err
	}
	for part := range parts {
		if err := inTx(func(tx *sql.Tx) error { return apply(ctx, tx, part) }); err != nil {
			return err
		}
	}
	return nil
}

func applyEach(ctx context.Context, tx *sql.Tx, part []esjs.Recorded[deposited], apply applied) error {
	for _, e := range part {
		if err := apply(ctx, tx, e); err != nil {
			return err
		}
	}
	return nil
}

func applyPrepared(ctx context.Context, tx *sql.Tx, part []esjs.Recorded[deposited]) (err error) {
	add, err := tx.PrepareContext(ctx, addToSum)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, add.Close()) }()
	return applyEach(ctx, tx, part, func(ctx context.Context, _ *sql.Tx, e esjs.Recorded[deposited]) error {
		_, err := add.ExecContext(ctx, e.Stream.String(), e.Event.Amount, e.Version)
		return err
	})
}
