// Package sqlsink keeps the rows of projections in an SQL database, together
// with their checkpoints: both change in one transaction, so every event is
// projected exactly once, whatever crashes when.
//
// The database is SQLite ([OpenSQLite]), which needs nothing but a file, or
// PostgreSQL ([OpenPostgres]), which several programs share. A pool of your own, or one whose
// driver is wrapped to be observed, goes to [NewSQLite] or [NewPostgres]. A projection is the
// same for both where its SQL is: both know parameters as $1 and "INSERT … ON
// CONFLICT DO UPDATE". What differs between databases is one value, the dialect.
//
// Tables of the sink's own begin with esjs_.
package sqlsink
