package sqlsink_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
)

// A projection counts what was added to each aggregate, and is read with plain
// SQL as soon as it has come as far as the reader has seen the store.
func Example() {
	ctx := context.Background()
	server, stop, err := esjstest.Start() // a nats-server inside this process; yours has a URL of its own
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	dial := esjs.DialURL(server.URL())
	if err := esjs.Provision(ctx, dial, esjs.Config{}); err != nil {
		fmt.Println(err)
		return
	}
	store, err := esjs.Open(ctx, dial, esjs.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	codec, err := esjs.NewCodec(esjs.TypeOf[Added, Added]())
	if err != nil {
		fmt.Println(err)
		return
	}
	dir, err := os.MkdirTemp("", "views-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	db, err := sqlsink.OpenSQLite(filepath.Join(dir, "views.db"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()

	totals := esjs.NewProjector(store, sqlsink.New(db), esjs.Projection[*sql.Tx, Added]{
		Name: "totals", Version: 1, Codec: codec,
		Init: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `CREATE TABLE totals_v1 (key TEXT PRIMARY KEY, total INTEGER NOT NULL)`)
			return err
		},
		Apply: func(ctx context.Context, tx *sql.Tx, e esjs.Recorded[Added]) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO totals_v1 VALUES (?, ?)
				ON CONFLICT (key) DO UPDATE SET total = total + excluded.total`, e.Stream.Key, e.Event.N)
			return err
		},
	}, esjs.ProjectionConfig{})
	ctx, end := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- totals.Run(ctx) }()
	defer func() { end(); <-ended }() // before the database is closed

	stored, err := store.Append(ctx, esjs.StreamID{Category: "jar", Key: "j-1"}, esjs.Any(), Added{N: 3})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := totals.WaitFor(ctx, stored.Revision.Position()); err != nil {
		fmt.Println(err)
		return
	}
	var total int
	err = db.QueryRow(`SELECT total FROM totals_v1 WHERE key = 'j-1'`).Scan(&total)
	fmt.Println(total, err)
	// Output: 3 <nil>
}
