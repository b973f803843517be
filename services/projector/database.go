package projector

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
	"github.com/gofrs/flock"
)

// ErrInUse is what [Service.Run] ends with when another instance has the SQLite database.
var ErrInUse = errors.New("in use by another projector")

// Check opens the database and closes it again. What it returns is what
// [Service.Run] would end with: [esjs.ErrConfig] when the database cannot be used as
// it is, [esjs.ErrUnavailable] when its server does not answer, [ErrInUse].
func (c Config) Check(ctx context.Context) error {
	_, closeAll, err := c.open(ctx)
	if err != nil {
		return err
	}
	return closeAll()
}

// open opens the database, and returns what closes it.
func (c Config) open(ctx context.Context) (db *sql.DB, closeAll func() error, err error) {
	if c.DatabaseURL != "" {
		db, err := sqlsink.OpenPostgres(ctx, c.DatabaseURL)
		if err != nil {
			return nil, nil, err
		}
		return db, db.Close, nil
	}
	unlock, err := c.lock()
	if err != nil {
		return nil, nil, err
	}
	db, err = sqlsink.OpenSQLite(c.Database)
	if err != nil {
		return nil, nil, errors.Join(err, unlock())
	}
	return db, func() error { return errors.Join(db.Close(), unlock()) }, nil
}

// databasePart is the database as a part of the service's health.
const databasePart = "database"

const (
	// openPatience bounds one attempt to open the database, and pingPatience one question whether it answers.
	openPatience = 15 * time.Second
	pingPatience = 10 * time.Second
	openAgain    = time.Second
)

// openDatabase opens the database, and waits for a server that does not answer until ctx ends: the service
// is not ready meanwhile, and says why.
func (s *Service) openDatabase(ctx context.Context) (db *sql.DB, closeAll func() error, err error) {
	for told := ""; ; {
		limited, cancel := context.WithTimeout(ctx, openPatience)
		db, closeAll, err = s.cfg.open(limited)
		cancel()
		switch {
		case ctx.Err() != nil && err != nil:
			return nil, nil, ctx.Err()
		case !errors.Is(err, esjs.ErrUnavailable):
			if told != "" && err == nil {
				s.env.Log.Info().Msg("the database answers")
			}
			return db, closeAll, err
		}
		s.env.Lack(databasePart, err)
		if told != err.Error() {
			s.env.Log.Error().Err(err).Msg("the database does not answer; it is waited for")
		}
		told = err.Error()
		select {
		case <-time.After(openAgain):
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// watchDatabase keeps the service from being ready while its database does not answer.
func (k *keeper) watchDatabase(ctx context.Context) error {
	return k.env.Watch(ctx, databasePart, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, pingPatience)
		defer cancel()
		return sqlsink.Ping(ctx, k.db)
	})
}

// passes tells the database's own trouble, which is over when that is back, from what does not pass by itself.
func (k *keeper) passes(err error) bool {
	return errors.Is(err, esjs.ErrUnavailable) || k.sink.Unavailable(err)
}

// lock makes this instance the only one on the SQLite database until unlock is
// called or the process ends, however it ends. The database itself would let two
// in, and the one that is slower with the next event would then end with a conflict.
func (c Config) lock() (unlock func() error, err error) {
	if err := os.MkdirAll(filepath.Dir(c.Database), 0o755); err != nil {
		return nil, fmt.Errorf("%w: the directory of the SQLite database: %w", esjs.ErrConfig, err)
	}
	lock := flock.New(c.Database + ".lock")
	locked, err := lock.TryLock()
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: the SQLite database cannot be locked: %w", esjs.ErrConfig, err)
	case !locked:
		return nil, fmt.Errorf("the database %s is %w; stop that one, or give this one a database of its own", c.Database, ErrInUse)
	}
	return lock.Unlock, nil
}
