// Package view is what every read model is made of: a [View] says which events it
// reads, what its tables are, how an event changes their rows, and which questions
// are answered from them.
//
// A view's tables belong to one version of it. Their names begin with the
// version's full name, which statements write as {view}:
//
//	SELECT document FROM {view} WHERE order_id = $1
//
// One text is for SQLite and PostgreSQL alike: parameters are $1, $2, …, whole
// numbers BIGINT, and times TEXT as [Sortable] writes them.
package view

import (
	"context"
	"database/sql"
	"regexp"
	"strings"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/prometheus/client_golang/prometheus"
)

// View is one read model.
type View struct {
	Name string // "orders"
	// Form counts the forms that the rows have had. It is raised when a table
	// changes, or what is in it; a new version is then built from the first event.
	Form int
	// Events selects what is applied.
	Events esjs.Query
	// Schema is the statements that create the tables.
	Schema string
	// Apply changes rows for one event; see [esjs.Projection].
	Apply func(ctx context.Context, tx Tx, e esjs.Recorded[events.Event]) error
	// Answers are the questions that are answered from the rows.
	Answers []Answer
	// Figures reads metrics from the rows of the live version, every few seconds; nil: there are none.
	Figures func(ctx context.Context, rows Reader) ([]prometheus.Metric, error)
}

// Projection is one version of the view.
func (v View) Projection(version int, codec *esjs.Codec[events.Event]) esjs.Projection[*sql.Tx, events.Event] {
	p := esjs.Projection[*sql.Tx, events.Event]{Name: v.Name, Version: version, Codec: codec, Query: v.Events}
	name := Name(p.FullName())
	p.Init = func(ctx context.Context, tx *sql.Tx) error {
		for statement := range strings.SplitSeq(v.Schema, ";") {
			if strings.TrimSpace(statement) == "" {
				continue
			}
			if _, err := tx.ExecContext(ctx, name.SQL(statement)); err != nil {
				return err
			}
		}
		return nil
	}
	p.Apply = func(ctx context.Context, tx *sql.Tx, e esjs.Recorded[events.Event]) error {
		return v.Apply(ctx, Tx{tx, name}, e)
	}
	p.Drop = func(ctx context.Context, tx *sql.Tx) error { return Drop(ctx, tx, v.Tables(name)) }
	return p
}

// created finds the tables of a schema.
var created = regexp.MustCompile(`CREATE TABLE (\S+)`)

// Tables returns the names of the tables of a version.
func (v View) Tables(name Name) []string {
	var tables []string
	for _, found := range created.FindAllStringSubmatch(name.SQL(v.Schema), -1) {
		tables = append(tables, found[1])
	}
	return tables
}

// Drop removes tables.
func Drop(ctx context.Context, tx *sql.Tx, tables []string) error {
	for _, table := range tables {
		if _, err := tx.ExecContext(ctx, `DROP TABLE IF EXISTS `+table); err != nil {
			return err
		}
	}
	return nil
}

// Name is the full name of a version of a view: "orders_v1".
type Name string

// SQL writes the name in the place of {view}.
func (n Name) SQL(text string) string { return strings.ReplaceAll(text, "{view}", string(n)) }

// Tx is the transaction in which an event is applied to a version's rows.
type Tx struct {
	tx   *sql.Tx
	name Name
}

// Exec runs a statement.
func (t Tx) Exec(ctx context.Context, text string, args ...any) error {
	_, err := t.tx.ExecContext(ctx, t.name.SQL(text), args...)
	return err
}

// QueryRow runs a query for at most one row.
func (t Tx) QueryRow(ctx context.Context, text string, args ...any) *sql.Row {
	return t.tx.QueryRowContext(ctx, t.name.SQL(text), args...)
}
