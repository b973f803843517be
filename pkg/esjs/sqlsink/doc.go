// Package sqlsink keeps the rows of projections in an SQL database, together
// with their checkpoints: both change in one transaction, so every event is
// projected exactly once, whatever crashes when.
//
// The database is SQLite ([OpenSQLite]). What differs between databases is one
// value, the dialect.
package sqlsink
