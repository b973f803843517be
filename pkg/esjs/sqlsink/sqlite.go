package sqlsink

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"modernc.org/sqlite"
)

// connections bounds the pool of one database: one writes, the others read.
const connections = 8

// OpenSQLite opens the SQLite database in the file path and creates it when
// there is none; its directory must exist. Close it after the projectors that
// use it have ended. A path that cannot be used is refused with
// [esjs.ErrConfig].
//
// The database is in WAL mode, so queries see the last committed rows and wait
// for no projector. It runs with synchronous=NORMAL: a killed process loses
// nothing, and a power failure may undo the last transactions, whole ones,
// which take rows back together with their checkpoint; the projector then
// applies those events again from the store, where they are safe. FULL would
// pay one fsync per transaction for rows that can be rebuilt.
//
// A transaction locks for writing when it begins, so it never fails half way
// because another one wrote; it waits up to 5 s for another process.
func OpenSQLite(path string) (*sql.DB, error) {
	if path == "" {
		return nil, fmt.Errorf("%w: the SQLite database needs a file path", esjs.ErrConfig)
	}
	options := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(NORMAL)"},
	}
	file := url.URL{Path: path}
	connector, err := sqlite.NewConnector("file:" + file.EscapedPath() + "?" + options.Encode())
	if err != nil {
		return nil, fmt.Errorf("%w: SQLite database %s: %w", esjs.ErrConfig, path, err)
	}
	db := sql.OpenDB(keeping{connector})
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	if err := db.PingContext(context.Background()); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("%w: SQLite database %s: %w", esjs.ErrConfig, path, err)
	}
	return db, nil
}
