package sqlsink

import (
	"errors"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

var sqliteDialect = dialect{
	ready: `SELECT count(*) FROM sqlite_schema WHERE name = 'esjs_live'`,
	create: []string{`CREATE TABLE IF NOT EXISTS esjs_checkpoints (
	name       TEXT PRIMARY KEY,
	position   TEXT NOT NULL,
	time       TEXT NOT NULL,
	parked     TEXT NOT NULL,
	newest     TEXT NOT NULL,
	projection TEXT NOT NULL,
	live       INTEGER NOT NULL,
	since      TEXT NOT NULL
) STRICT`, oneLive},

	outdated: `SELECT count(*) FROM sqlite_schema WHERE name = 'esjs_checkpoints'
	AND NOT EXISTS (SELECT 1 FROM pragma_table_info('esjs_checkpoints') WHERE name = 'live')`,
	upgrade: []string{
		`ALTER TABLE esjs_checkpoints ADD COLUMN newest TEXT NOT NULL DEFAULT '{}'`,
		`ALTER TABLE esjs_checkpoints ADD COLUMN projection TEXT NOT NULL DEFAULT ''`,
		`ALTER TABLE esjs_checkpoints ADD COLUMN live INTEGER NOT NULL DEFAULT 0`,
		`ALTER TABLE esjs_checkpoints ADD COLUMN since TEXT NOT NULL DEFAULT '0-0'`,
	},

	local: true,
	unavailable: func(err error) bool {
		var e *sqlite.Error
		if !errors.As(err, &e) {
			return false
		}
		switch e.Code() & 0xff { // the primary code; the rest says more
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
			sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM,
			sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT:
			return true
		}
		return false
	},
}
