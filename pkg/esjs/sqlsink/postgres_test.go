//go:build postgres

package sqlsink_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink/pgtest"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// The tests of this package run on SQLite, and with the build tag postgres on
// PostgreSQL.

// newDatabase returns where a new database is, for openDatabase.
func newDatabase(t testing.TB) string { return pgtest.Database(t) }

func openDatabase(at string) (*sql.DB, error) { return sqlsink.OpenPostgres(context.Background(), at) }

// connector makes connections to a database as a program of its own has them.
func connector(at string) (driver.Connector, error) {
	config, err := pgx.ParseConfig(at)
	if err != nil {
		return nil, err
	}
	return stdlib.GetConnector(*config), nil
}

// newSink says which database it is.
var newSink = sqlsink.NewPostgres

// countTables counts the tables of a name.
const countTables = "SELECT count(*) FROM pg_tables WHERE tablename = $1"

func TestADatabaseThatCannotBeOpenedIsRefused(t *testing.T) {
	at := pgtest.Database(t)
	for name, test := range map[string]struct {
		url  string
		want error
	}{
		"not a url":            {"postgres://%zz", esjs.ErrConfig},
		"no such database":     {change(t, at, func(u *url.URL) { u.Path = "/no such database" }), esjs.ErrConfig},
		"no such user":         {change(t, at, func(u *url.URL) { u.User = url.User("nobody else") }), esjs.ErrConfig},
		"no such setting":      {at + "&no_such_setting=1", esjs.ErrConfig},
		"nothing listens here": {change(t, at, func(u *url.URL) { u.RawQuery = url.Values{"host": {t.TempDir()}}.Encode() }), esjs.ErrUnavailable},
	} {
		db, err := sqlsink.OpenPostgres(t.Context(), test.url)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, %v; want %v", name, db, err, test.want)
		}
	}
}

func change(t *testing.T, at string, how func(*url.URL)) string {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	how(u)
	return u.String()
}

// A transaction's error is what the server says; the statement here says it.
func TestTroubleOfTheDatabaseIsUnavailable(t *testing.T) {
	db := openTemp(t)
	sink := sqlsink.New(db)
	if _, err := sink.Open(t.Context(), "view_v1", nil); err != nil {
		t.Fatal(err)
	}
	for code, unavailable := range map[string]bool{
		"08006": true, "40001": true, "40P01": true, "53100": true, "53300": true, "55P03": true, "57P01": true, "57P03": true,
		"58030": true, "25006": true, "28P01": true, "3D000": true, "42501": true, "XX001": true,
		"57014": false, "22001": false, "22003": false, "23502": false, "23505": false, "42703": false, "42P01": false, "P0001": false, "XX000": false,
	} {
		err := sink.Commit(t.Context(), "view_v1", moving(at(t, 1), func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "DO $$ BEGIN RAISE EXCEPTION 'trouble' USING ERRCODE = '"+code+"'; END $$")
			return err
		}))
		if err == nil || errors.Is(err, esjs.ErrUnavailable) != unavailable {
			t.Errorf("SQLSTATE %s: %v; want unavailable %t", code, err, unavailable)
		}
	}
	err := sink.Commit(t.Context(), "view_v1", moving(at(t, 1), func(ctx context.Context, tx *sql.Tx) error {
		ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		_, err := tx.ExecContext(ctx, "SELECT pg_sleep(60)")
		return err
	}))
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, esjs.ErrUnavailable) {
		t.Errorf("a limit of time that Apply has set itself: %v; want it as it is", err)
	}
}

func TestAConnectionThatIsCutIsUnavailable(t *testing.T) {
	sink := sqlsink.New(openTemp(t))
	if _, err := sink.Open(t.Context(), "view_v1", nil); err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"in a statement", "before the commit"} {
		err := sink.Commit(t.Context(), "view_v1", moving(at(t, 1), func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "SELECT pg_terminate_backend(pg_backend_pid())")
			if when == "before the commit" {
				return nil
			}
			return err
		}))
		if !errors.Is(err, esjs.ErrUnavailable) {
			t.Errorf("cut %s: %v, want ErrUnavailable", when, err)
		}
	}
	// The pool has learned of it: the next one succeeds.
	if err := sink.Commit(t.Context(), "view_v1", moving(at(t, 1), func(context.Context, *sql.Tx) error { return nil })); err != nil {
		t.Error(err)
	}
}

// After an error PostgreSQL refuses everything up to the transaction's end. An
// Apply that does not return the error loses no row: the commit fails.
func TestAnErrorThatApplyHidesStoresNothing(t *testing.T) {
	db := openTemp(t)
	sink := sqlsink.New(db)
	if _, err := sink.Open(t.Context(), "view_v1", createRows); err != nil {
		t.Fatal(err)
	}
	err := sink.Commit(t.Context(), "view_v1", moving(at(t, 1), func(ctx context.Context, tx *sql.Tx) error {
		if err := putRow(ctx, tx, "a", "1"); err != nil {
			return err
		}
		_, _ = tx.ExecContext(ctx, "INSERT INTO nowhere VALUES (1)")
		return nil
	}))
	if err == nil || errors.Is(err, esjs.ErrUnavailable) {
		t.Errorf("commit returned %v, want an error that is not ErrUnavailable", err)
	}
	if found := rows(t, db); len(found) != 0 {
		t.Errorf("the rows are %v, want none", found)
	}
}

// A projector that is stopped in the middle of a transaction, without ending,
// holds its checkpoint until the server ends the transaction; then another one
// goes on, and the stopped one is refused.
func TestAStoppedTransactionDoesNotKeepTheNextOneOutForEver(t *testing.T) {
	at1 := newDatabase(t) + "&idle_in_transaction_session_timeout=" + strconv.Itoa(200)
	stopped, next := sqlsink.New(open(t, at1)), sqlsink.New(open(t, at1))
	if _, err := stopped.Open(t.Context(), "view_v1", createRows); err != nil {
		t.Fatal(err)
	}
	holds, goOn := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- stopped.Commit(t.Context(), "view_v1", moving(at(t, 1), func(ctx context.Context, tx *sql.Tx) error {
			err := putRow(ctx, tx, "by", "the stopped one")
			close(holds)
			<-goOn
			return err
		}))
	}()
	<-holds
	put := func(ctx context.Context, tx *sql.Tx) error { return putRow(ctx, tx, "by", "the next one") }
	if err := next.Commit(t.Context(), "view_v1", moving(at(t, 1), put)); err != nil {
		t.Error(err)
	}
	close(goOn)
	if err := <-ended; !errors.Is(err, esjs.ErrUnavailable) {
		t.Errorf("the stopped one: %v, want ErrUnavailable", err)
	}
	if found := rows(t, open(t, at1)); len(found) != 1 || found["by"] != "the next one" {
		t.Errorf("the rows are %v", found)
	}
}

func TestAProjectorOutlivesTheDatabase(t *testing.T) {
	server, err := pgtest.Start(t.Context(), "fsync=off")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	store := esjstest.Server(t).Store(t)
	db := open(t, server.URL("postgres"))
	p := run(t, store, db, sums(t), esjs.ProjectionConfig{Retry: esjs.Backoff{First: time.Millisecond, Max: 20 * time.Millisecond}})
	want, last := fill(t, store, 50, 5)
	p.waitFor(t, last)
	for range 2 {
		if err := server.Restart(t.Context(), func() error {
			more, end := fill(t, store, 20, 5)
			for key, s := range more {
				want[key] = want[key].plus(s)
			}
			last = end
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		p.waitFor(t, last)
		p.wantSums(t, want)
	}
	if parked := p.Progress().Parked; len(parked) != 0 {
		t.Errorf("parked is %+v: that the database was away is not the events' fault", parked)
	}
}

// A promotion waits for a commit of the version that is live and begins where
// that ends, so no event has its effect from both.
func TestAPromotionWaitsForTheCommitUnderWay(t *testing.T) {
	db := openTemp(t)
	old, other := sqlsink.New(db), sqlsink.New(db)
	for _, name := range []string{"view_v1", "view_v2"} {
		if _, err := old.Open(t.Context(), name, nil); err != nil {
			t.Fatal(err)
		}
	}
	begun, goOn := make(chan struct{}), make(chan struct{})
	committed, promoted := make(chan error, 1), make(chan error, 1)
	go func() {
		committed <- old.Commit(t.Context(), "view_v1", moving(at(t, 7), func(context.Context, *sql.Tx) error {
			close(begun)
			<-goOn
			return nil
		}))
	}()
	<-begun
	go func() { promoted <- other.Promote(t.Context(), "view_v1", "view_v2") }()
	for waiting := 0; waiting == 0; {
		const locks = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
		if err := db.QueryRowContext(t.Context(), locks).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-promoted:
			t.Fatalf("the promotion did not wait: %v", err)
		default:
		}
	}
	close(goOn)
	if err := errors.Join(<-committed, <-promoted); err != nil {
		t.Fatal(err)
	}
	if c, err := other.Load(t.Context(), "view_v2"); err != nil || !c.Live || c.Since != at(t, 7).Position {
		t.Errorf("the new version is %+v, %v; want it live since 7", c, err)
	}
}
