package view

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Table is a table of a view, and which columns are its primary key.
type Table struct {
	Suffix string // what follows the version's name: "" or "_lines"
	Key    []string
}

var (
	tableBody    = regexp.MustCompile(`(?s)CREATE TABLE \{view\}(\S*) \((.*)\)`)
	keyOfOne     = regexp.MustCompile(`(\w+)\s+\w+ PRIMARY KEY`)
	keyOfSeveral = regexp.MustCompile(`PRIMARY KEY \(([^)]*)\)`)
)

// Keyed returns the tables of the schema. Each has a primary key.
func (v View) Keyed() (tables []Table) {
	for statement := range strings.SplitSeq(v.Schema, ";") {
		found := tableBody.FindStringSubmatch(statement)
		if found == nil {
			continue
		}
		t := Table{Suffix: found[1]}
		if several := keyOfSeveral.FindStringSubmatch(found[2]); several != nil {
			t.Key = strings.Split(several[1], ", ")
		} else if one := keyOfOne.FindStringSubmatch(found[2]); one != nil {
			t.Key = one[1:]
		}
		tables = append(tables, t)
	}
	return tables
}

// Key are the values of a row's primary key.
type Key []any

// String is the key for people.
func (k Key) String() string {
	parts := make([]string, len(k))
	for i, p := range k {
		parts[i] = fmt.Sprint(p)
	}
	return strings.Join(parts, " ")
}

// Sample returns the keys of about n rows of a table, evenly over the order of keys:
// for the same rows always the same ones. offset shifts it, from 0 to 1 of the distance
// between two of them.
func (r Reader) Sample(ctx context.Context, table Table, n int, offset float64) (keys []Key, err error) {
	name, columns := string(r.name)+table.Suffix, strings.Join(table.Key, ", ")
	rows := 0
	if err := r.db.QueryRowContext(ctx, `SELECT count(*) FROM `+name).Scan(&rows); err != nil {
		return nil, err
	}
	step := max(1, rows/n)
	found, err := r.db.QueryContext(ctx, fmt.Sprintf(
		`SELECT %s FROM (SELECT %[1]s, row_number() OVER (ORDER BY %[1]s) AS place FROM %s) AS numbered WHERE place %% $1 = $2`, columns, name),
		step, int(float64(step)*offset))
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		key, err := cells(found)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, found.Err()
}

// Row returns a row of a table as text; "" when there is none.
func (r Reader) Row(ctx context.Context, table Table, key Key) (string, error) {
	var where Where
	for i, column := range table.Key {
		where.And(column+` = ?`, key[i])
	}
	found, err := r.db.QueryContext(ctx, `SELECT * FROM `+string(r.name)+table.Suffix+where.SQL(), where.Args...)
	if err != nil {
		return "", err
	}
	defer found.Close()
	if !found.Next() {
		return "", found.Err()
	}
	row, err := cells(found)
	return fmt.Sprintf("%#v", row), errors.Join(err, found.Err())
}

// cells reads the columns of a row.
func cells(rows *sql.Rows) ([]any, error) {
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	row, to := make([]any, len(columns)), make([]any, len(columns))
	for i := range row {
		to[i] = &row[i]
	}
	return row, rows.Scan(to...)
}
