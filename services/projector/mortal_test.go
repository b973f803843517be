package projector_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
)

// mortal is a database whose transactions pass points at which a process can die:
// before they begin, after each of their statements, before the commit and after it,
// when nobody has been told of it. It takes its connections from a real pool.
type mortal struct {
	pool  *sql.DB
	pass  func()
	loose bool // its transactions are none: each statement is stored by itself
}

func (m mortal) open() *sql.DB { return sql.OpenDB(m) }

func (m mortal) Driver() driver.Driver { return m.pool.Driver() }

func (m mortal) Connect(ctx context.Context) (driver.Conn, error) {
	lent, err := m.pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	c := &mortalConn{mortal: m, lent: lent}
	return c, lent.Raw(func(inner any) error {
		c.conn = inner.(conn)
		return nil
	})
}

// conn is what both drivers' connections can do.
type conn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
}

type mortalConn struct {
	conn
	mortal
	lent   *sql.Conn
	inside bool // a transaction
}

func (c *mortalConn) Close() error { return c.lent.Close() }

func (c *mortalConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	c.pass()
	c.inside = true
	if c.loose {
		return mortalTx{c, nil}, nil
	}
	tx, err := c.conn.BeginTx(ctx, options)
	return mortalTx{c, tx}, err
}

func (c *mortalConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	result, err := c.conn.ExecContext(ctx, query, args)
	c.passed()
	return result, err
}

func (c *mortalConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.conn.QueryContext(ctx, query, args)
	c.passed()
	return rows, err
}

// passed is behind a statement.
func (c *mortalConn) passed() {
	if c.inside {
		c.pass()
	}
}

// CheckNamedValue lets the driver take what it takes.
func (c *mortalConn) CheckNamedValue(value *driver.NamedValue) error {
	if checks, ok := c.conn.(driver.NamedValueChecker); ok {
		return checks.CheckNamedValue(value)
	}
	return driver.ErrSkip
}

type mortalTx struct {
	conn *mortalConn
	tx   driver.Tx
}

func (t mortalTx) Commit() (err error) {
	t.conn.pass()
	t.conn.inside = false
	if t.tx != nil {
		err = t.tx.Commit()
	}
	t.conn.pass()
	return err
}

func (t mortalTx) Rollback() error {
	t.conn.inside = false
	if t.tx != nil {
		return t.tx.Rollback()
	}
	return nil
}
