package sqlsink

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
)

var postgresDialect = dialect{
	ready: `SELECT count(*) FROM pg_class WHERE oid = to_regclass('esjs_live')`,
	// Of several programs that start at once, one creates the table and the
	// projection's tables, and the others wait for it.
	lock: `SELECT pg_advisory_xact_lock(7308604896967521523)`,
	create: []string{`CREATE TABLE IF NOT EXISTS esjs_checkpoints (
	name       TEXT PRIMARY KEY,
	position   TEXT NOT NULL,
	time       TEXT NOT NULL,
	parked     TEXT NOT NULL,
	newest     TEXT NOT NULL,
	projection TEXT NOT NULL,
	live       BOOLEAN NOT NULL,
	since      TEXT NOT NULL
)`, oneLive},
	forUpdate: ` FOR UPDATE`,
	unavailable: func(err error) bool {
		var said interface {
			error
			SQLState() string
		}
		if errors.As(err, &said) {
			return temporary(said.SQLState()) || ofTheServer(said.SQLState())
		}
		// Without the server's word the connection is the cause.
		var broken net.Error
		return errors.As(err, &broken) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
			errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || pgconn.SafeToRetry(err)
	},
	limited: func(err error) bool {
		var said interface {
			error
			SQLState() string
		}
		if errors.As(err, &said) {
			return said.SQLState() == "57014" // statement_timeout
		}
		return errors.Is(err, context.DeadlineExceeded) && !errors.As(err, new(*pgconn.ConnectError))
	},
}

// temporary tells the SQLSTATEs that pass by themselves, by class: the
// connection, a transaction that lost against another one, resources, an operator
// (who restarts the server), the system around the server.
func temporary(code string) bool {
	switch code[:min(2, len(code))] {
	case "08", "40", "53", "57", "58":
		return true
	}
	switch code {
	case "25006", // a server that follows another one refuses writes until it is promoted
		"25P03",          // the session of a transaction that was idle for too long has ended
		"55006", "55P03": // somebody else uses it, or has locked it
		return true
	}
	return false
}

// ofTheServer tells the SQLSTATEs that every event would meet, and that an
// operator mends: the user, the database, a right that is missing, a file that
// is damaged.
func ofTheServer(code string) bool {
	switch code[:min(2, len(code))] {
	case "28", "3D":
		return true
	}
	return code == "42501" || code == "XX001" || code == "XX002"
}
