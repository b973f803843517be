package sqlsink

import (
	"errors"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// dialect is everything that differs between databases: the statements on the
// checkpoint table, and which errors are the database's own trouble and not
// the event's.
type dialect struct {
	create string // no arguments; does nothing when the table exists
	load   string // name → position, time, parked
	insert string // name, position, time, parked
	move   string // to position, to time, to parked, name, from position

	unavailable func(error) bool
	// local: statements run in this process and end soon. They are then not
	// watched one by one for the end of the context, which costs up to half of
	// the rate; a transaction still ends with it, between two statements.
	local bool
}

var sqliteDialect = dialect{
	create: `CREATE TABLE IF NOT EXISTS esjs_checkpoints (
	name     TEXT PRIMARY KEY,
	position TEXT NOT NULL,
	time     TEXT NOT NULL,
	parked   TEXT NOT NULL
) STRICT`,
	load:   `SELECT position, time, parked FROM esjs_checkpoints WHERE name = ?`,
	insert: `INSERT INTO esjs_checkpoints (name, position, time, parked) VALUES (?, ?, ?, ?)`,
	move:   `UPDATE esjs_checkpoints SET position = ?, time = ?, parked = ? WHERE name = ? AND position = ?`,

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
