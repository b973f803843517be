package sqlsink

import (
	"context"
	"database/sql/driver"
	"errors"
)

// A projection executes the same few statements for every event, and parsing
// one takes SQLite several times as long as running it. So the connections of
// [OpenSQLite] keep the statements that they execute, prepared. Queries are not
// kept: their rows may still be read when the same query comes again.

// keptStatements bounds the statements of one connection; further ones are
// parsed each time.
const keptStatements = 64

// keeping makes connections that keep their statements.
type keeping struct{ driver.Connector }

func (k keeping) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := k.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &keepingConn{sqliteConn: c.(sqliteConn), kept: make(map[string]driver.StmtExecContext)}, nil
}

// sqliteConn is what database/sql looks for in a connection of the driver.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// keepingConn is one connection; database/sql uses it for one call at a time.
type keepingConn struct {
	sqliteConn
	// kept holds nil for a statement that came once: what comes again is kept,
	// so that the parts of a schema are not.
	kept map[string]driver.StmtExecContext
}

func (c *keepingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	statement, known := c.kept[query]
	switch {
	case statement != nil:
		return statement.ExecContext(ctx, args)
	case !known:
		if len(c.kept) < keptStatements {
			c.kept[query] = nil
		}
		return c.sqliteConn.ExecContext(ctx, query, args)
	}
	prepared, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	statement = prepared.(driver.StmtExecContext)
	c.kept[query] = statement
	return statement.ExecContext(ctx, args)
}

func (c *keepingConn) Close() error {
	var errs []error
	for _, statement := range c.kept {
		if statement != nil {
			errs = append(errs, statement.(driver.Stmt).Close())
		}
	}
	return errors.Join(append(errs, c.sqliteConn.Close())...)
}
