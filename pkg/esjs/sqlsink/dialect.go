package sqlsink

// Statements on checkpoints, which all databases take as they are.
const (
	loadCheckpoint = `SELECT position, time, parked, newest, live, since FROM esjs_checkpoints WHERE name = $1`
	// insertCheckpoint makes the first version of a projection the live one.
	insertCheckpoint = `INSERT INTO esjs_checkpoints (name, projection, position, time, parked, newest, since, live)
	VALUES ($1, $2, $3, $4, $5, $6, $7, NOT EXISTS (SELECT 1 FROM esjs_checkpoints WHERE projection = $2 AND live))`
	storeCheckpoint  = `UPDATE esjs_checkpoints SET position = $1, time = $2, parked = $3, newest = $4 WHERE name = $5`
	deleteCheckpoint = `DELETE FROM esjs_checkpoints WHERE name = $1`
	findLive         = `SELECT name FROM esjs_checkpoints WHERE projection = $1 AND live`
	// retire waits for a transaction of the version that is no longer live.
	retire  = `UPDATE esjs_checkpoints SET live = FALSE WHERE name = $1 AND live RETURNING position, since`
	promote = `UPDATE esjs_checkpoints SET live = TRUE, since = $1 WHERE name = $2`
)

// dialect is everything that differs between databases.
type dialect struct {
	ready     string   // counts 1 when the table is there and complete
	lock      string   // lets one transaction at a time create; empty: every transaction is alone
	create    []string // does nothing where something exists
	forUpdate string   // ends a SELECT whose row stays as it is until the transaction ends

	// upgrade is what a table that was created without live versions lacks;
	// empty where there was none.
	outdated string // counts 1 for such a table
	upgrade  []string

	unavailable func(error) bool
	// limited tells a limit of time that a statement of Apply has reached, and that it, or who configured the
	// database, has set: it would be reached again. nil: there is none.
	limited func(error) bool
	// local: statements run in this process and end soon. They are then not
	// watched one by one for the end of the context, which costs up to half of
	// the rate; a transaction still ends with it, between two statements.
	local bool
}

// oneLive is what the database itself checks: one version of a projection is live.
const oneLive = `CREATE UNIQUE INDEX IF NOT EXISTS esjs_live ON esjs_checkpoints (projection) WHERE live`
