package sqlsink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// postgresConnections bounds the pool; the server's max_connections is 100
	// unless configured.
	postgresConnections = 16
	// postgresIdle is how long a transaction may sit idle. A projector that was
	// stopped in the middle of one holds its checkpoint's row; after this time
	// the server ends it and the next projector goes on.
	postgresIdle = 30 * time.Second
)

// OpenPostgres opens a PostgreSQL database, by pgx. url is a URL or a list of
// keywords and values as PostgreSQL's own programs take them, and settings in it
// win over the defaults here: the application's name "esjs", and an
// idle_in_transaction_session_timeout of 30 s, after which a projector that was
// stopped in the middle of a transaction no longer keeps others from going on.
//
// It connects once, so that what is wrong is known early: a url, a name or a
// password that the server refuses, or a file $PGPASSFILE that is needed and cannot be
// read, is an [esjs.ErrConfig], a server that does not
// answer an [esjs.ErrUnavailable]. Close it after the projectors that use it
// have ended.
//
// What is safe is what the server's synchronous_commit says. Transactions that
// a server loses are lost whole, rows and checkpoint, and their events are
// applied again from the store.
func OpenPostgres(ctx context.Context, url string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("%w: PostgreSQL database: %w", esjs.ErrConfig, err) // shows no password
	}
	if err := checkPassFile(config); err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"application_name":                    "esjs",
		"idle_in_transaction_session_timeout": fmt.Sprint(postgresIdle.Milliseconds()),
	} {
		if _, given := config.RuntimeParams[name]; !given {
			config.RuntimeParams[name] = value
		}
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(postgresConnections)
	db.SetMaxIdleConns(postgresConnections)
	if err := Ping(ctx, db); err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

// checkPassFile refuses a file of passwords that cannot be read: pgx passes over it, and the server's refusal
// of who has no password would not say why.
func checkPassFile(config *pgx.ConnConfig) error {
	file := os.Getenv("PGPASSFILE")
	if file == "" || config.Password != "" {
		return nil
	}
	if _, err := os.ReadFile(file); err != nil {
		return fmt.Errorf("%w: PostgreSQL database: PGPASSFILE: %w; it must name a file with lines host:port:database:user:password", esjs.ErrConfig, err)
	}
	return nil
}

// Ping asks a database that [OpenPostgres] or [OpenSQLite] has opened whether it answers, and connects again
// where the connection was lost. Errors: [esjs.ErrConfig] when a PostgreSQL server refuses the name or the
// password, or has no such database, and [esjs.ErrUnavailable] when it does not answer before ctx ends.
func Ping(ctx context.Context, db *sql.DB) error {
	err := db.PingContext(ctx)
	switch refused := (*pgconn.PgError)(nil); {
	case err == nil:
		return nil
	case !isPostgres(db):
		return fmt.Errorf("%w: SQLite database: %w", esjs.ErrUnavailable, err)
	case errors.As(err, &refused) && !temporary(refused.Code):
		return fmt.Errorf("%w: PostgreSQL database: %w", esjs.ErrConfig, oneLine{err})
	}
	return fmt.Errorf("%w: PostgreSQL database: %w", esjs.ErrUnavailable, oneLine{err})
}

// oneLine is an error whose text has no line breaks; pgx tells of each address that it
// tried in a line of its own.
type oneLine struct{ error }

func (e oneLine) Error() string { return strings.Join(strings.Fields(e.error.Error()), " ") }
func (e oneLine) Unwrap() error { return e.error }

// isPostgres tells databases of pgx.
func isPostgres(db *sql.DB) bool {
	_, ok := db.Driver().(*stdlib.Driver)
	return ok
}
