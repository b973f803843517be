package esjs_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
)

// balances is a table with a row for each gift card.
func balances() (esjs.Projection[*sql.Tx, esjs.Event], error) {
	codec, err := cardCodec()
	return esjs.Projection[*sql.Tx, esjs.Event]{
		Name:    "balances",
		Version: 1,
		Codec:   codec,
		Query:   esjs.Query{Categories: []string{"giftcard"}},
		Init: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `CREATE TABLE balances_v1 (card TEXT PRIMARY KEY, cents INTEGER NOT NULL)`)
			return err
		},
		Apply: func(ctx context.Context, tx *sql.Tx, e esjs.Recorded[esjs.Event]) (err error) {
			switch event := e.Event.(type) {
			case CardIssued:
				_, err = tx.ExecContext(ctx, `INSERT INTO balances_v1 VALUES (?, ?)`, e.Stream.Key, event.Cents)
			case CardRedeemed:
				_, err = tx.ExecContext(ctx, `UPDATE balances_v1 SET cents = cents - ? WHERE card = ?`, event.Cents, e.Stream.Key)
			}
			return err
		},
	}, err
}

// showBalances projects the gift cards into a SQLite database, and reads them
// with plain SQL.
func showBalances(ctx context.Context, store *esjs.Store) error {
	dir, err := os.MkdirTemp("", "balances-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	db, err := sqlsink.OpenSQLite(filepath.Join(dir, "views.db"))
	if err != nil {
		return err
	}
	defer db.Close()
	projection, err := balances()
	if err != nil {
		return err
	}
	projector := esjs.NewProjector(store, sqlsink.New(db), projection, esjs.ProjectionConfig{})
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- projector.Run(ctx) }()
	defer func() { stop(); <-ended }()

	// Who has written reads what was written: the projection is waited for.
	stored, err := store.Append(ctx, esjs.StreamID{Category: "giftcard", Key: "card-2"}, esjs.NoStream(), CardIssued{Cents: 20_00})
	if err != nil {
		return err
	}
	if err := projector.WaitFor(ctx, stored.Revision.Position()); err != nil {
		return err
	}
	rows, err := db.QueryContext(ctx, `SELECT card, cents FROM balances_v1 ORDER BY card`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var card string
		var cents int
		if err := rows.Scan(&card, &cents); err != nil {
			return err
		}
		fmt.Println(card, cents)
	}
	return rows.Err()
}

// Rows and position change in one transaction, so each event is applied exactly
// once, whatever crashes when.
func ExampleProjection() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		if err := useCard(ctx, store); err != nil {
			return err
		}
		return showBalances(ctx, store)
	})
	// Output:
	// version 1: 5000 cents
	// version 2: 3750 cents
	// refused: the card is worth 3750 cents
	// version 3: 0 cents
	// card-1 0
	// card-2 2000
}

// An event that cannot be applied sets its aggregate aside, and others go on. When
// the cause is mended what waits is applied, in order.
func ExampleProjector_Release() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		card := esjs.StreamID{Category: "giftcard", Key: "card-1"}
		if err := appendDays(ctx, store, card); err != nil {
			return err
		}
		projection, err := balances()
		if err != nil {
			return err
		}
		apply := projection.Apply
		var mended atomic.Bool
		projection.Apply = func(ctx context.Context, tx *sql.Tx, e esjs.Recorded[esjs.Event]) error {
			if e.Version == 2 && !mended.Load() {
				return errors.New("nobody has thought of this")
			}
			return apply(ctx, tx, e)
		}
		dir, err := os.MkdirTemp("", "balances-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		db, err := sqlsink.OpenSQLite(filepath.Join(dir, "views.db"))
		if err != nil {
			return err
		}
		defer db.Close()
		caughtUp := make(chan struct{})
		projector := esjs.NewProjector(store, sqlsink.New(db), projection, esjs.ProjectionConfig{
			Retry:      esjs.Backoff{Attempts: 1},
			OnCaughtUp: func() { close(caughtUp) },
		})
		ctx, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- projector.Run(ctx) }()
		defer func() { stop(); <-ended }()

		<-caughtUp
		mended.Store(true)
		for _, parked := range projector.Progress().Parked {
			fmt.Println(parked.Key, parked.Count, parked.Reason)
			if err := projector.Release(ctx, parked.Key); err != nil {
				return err
			}
		}
		var cents int
		err = db.QueryRowContext(ctx, `SELECT cents FROM balances_v1 WHERE card = 'card-1'`).Scan(&cents)
		fmt.Println(cents, err)
		return nil
	})
	// Output:
	// giftcard/card-1 2 apply CardRedeemed of giftcard/card-1 version 2: nobody has thought of this
	// 0 <nil>
}
