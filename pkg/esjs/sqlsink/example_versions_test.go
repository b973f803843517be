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

// jars is a version of a projection; its tables bear its full name. The mail
// for a jar that has become rich is written into an outbox, once over all versions.
func jars(version int, codec *esjs.Codec[Added]) esjs.Projection[*sql.Tx, Added] {
	p := esjs.Projection[*sql.Tx, Added]{Name: "jars", Version: version, Codec: codec}
	table := p.FullName()
	p.Init = func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `CREATE TABLE `+table+` (key TEXT PRIMARY KEY, total INTEGER NOT NULL);
			CREATE TABLE IF NOT EXISTS outbox (event TEXT PRIMARY KEY, mail TEXT NOT NULL)`)
		return err
	}
	p.Apply = func(ctx context.Context, tx *sql.Tx, e esjs.Recorded[Added]) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO `+table+` VALUES ($1, $2)
			ON CONFLICT (key) DO UPDATE SET total = `+table+`.total + excluded.total`, e.Stream.Key, e.Event.N)
		return err
	}
	p.Effect = func(ctx context.Context, tx *sql.Tx, e esjs.Recorded[Added]) error {
		if e.Event.N < 100 {
			return nil
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO outbox VALUES ($1, $2)`, e.ID, e.Stream.Key+" is rich")
		return err
	}
	p.Drop = func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DROP TABLE `+table)
		return err
	}
	return p
}

// A second version of a projection is built beside the first one, takes over,
// and the first one is dropped.
func ExampleSink_Live() {
	ctx, end := context.WithCancel(context.Background())
	defer end()
	server, stop, err := esjstest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	if err := takeOver(ctx, server.Dial()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// jars_v1 has 120
	// jars_v2 has 125
	// 1 mail
}

func takeOver(ctx context.Context, dial esjs.Dial) error {
	if err := esjs.Provision(ctx, dial, esjs.Config{}); err != nil {
		return err
	}
	store, err := esjs.Open(ctx, dial, esjs.Config{})
	if err != nil {
		return err
	}
	defer store.Close()
	codec, err := esjs.NewCodec(esjs.TypeOf[Added, Added]())
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "views-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	db, err := sqlsink.OpenSQLite(filepath.Join(dir, "views.db"))
	if err != nil {
		return err
	}
	defer db.Close()
	sink := sqlsink.New(db)

	// show asks whichever version is live, as queries do.
	show := func() error {
		live, err := sink.Live(ctx, "jars")
		if err != nil {
			return err
		}
		var total int
		err = db.QueryRowContext(ctx, `SELECT total FROM `+live+` WHERE key = 'j-1'`).Scan(&total)
		fmt.Println(live, "has", total)
		return err
	}
	add := func(n int) (esjs.Position, error) {
		stored, err := store.Append(ctx, esjs.StreamID{Category: "jar", Key: "j-1"}, esjs.Any(), Added{N: n})
		return stored.Revision.Position(), err
	}

	first := esjs.NewProjector(store, sink, jars(1, codec), esjs.ProjectionConfig{})
	stopFirst := project(ctx, first)
	at, err := add(120)
	if err != nil {
		return err
	}
	if err := first.WaitFor(ctx, at); err != nil {
		return err
	}
	if err := show(); err != nil {
		return err
	}

	second := esjs.NewProjector(store, sink, jars(2, codec), esjs.ProjectionConfig{})
	stopSecond := project(ctx, second)
	if err := second.Promote(ctx); err != nil { // by itself, too; this waits for it
		return err
	}
	if err := stopFirst(); err != nil {
		return err
	}
	if err := first.Drop(ctx); err != nil {
		return err
	}
	if at, err = add(5); err != nil {
		return err
	}
	if err := second.WaitFor(ctx, at); err != nil {
		return err
	}
	if err := show(); err != nil {
		return err
	}
	var mails int
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM outbox`).Scan(&mails); err != nil {
		return err
	}
	fmt.Println(mails, "mail")
	return stopSecond()
}

// project runs a projector until the returned function stops it.
func project(ctx context.Context, p *esjs.Projector[*sql.Tx, Added]) (stop func() error) {
	ctx, end := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	return func() error { end(); return <-ended }
}

// Several programs share a PostgreSQL database; with a lease one of them projects
// and the others wait for their turn.
func ExampleOpenPostgres() {
	ctx := context.Background()
	db, err := sqlsink.OpenPostgres(ctx, os.Getenv("DATABASE_URL")) // "postgres://views@db.internal/views"
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	sink := sqlsink.New(db) // projections are the same as on SQLite
	live, err := sink.Live(ctx, "jars")
	fmt.Println(live, err)
}
