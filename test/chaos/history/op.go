// Package history holds what clients of an event store did and were told, and judges
// it by the log that the store has in the end.
//
//	lost       what was acknowledged is stored, where it was said to be
//	twice      nothing is stored twice
//	gap        the versions of an aggregate follow each other, and so do sequences and times
//	untruthful what was refused is not stored, and a conflict names another version
//	torn       of a batch all is stored or nothing
//	invented   nothing is stored that nobody wrote
//	order      the operations of each aggregate are linearizable
//	stale      a store that has seen a version shows no older one, and what a read shows is in the log
//	delivered  subscriptions have handled everything, in order
//	projected  projections are a fold of the log
//	unserved   the store serves, and does so again after each fault
//	fruitless  of the orders that were placed under a fault some are completed
//	unread     the log was read: without it nothing is known of most of these
//	old        what a leader shows is the newest: where one that a fault has made deaf shows less, that is told, and no objection
//
// An outcome that a client did not learn is any of the two: the log tells which.
package history

import "time"

// Kind is what a client did.
type Kind string

// The kinds of operations.
const (
	Append  Kind = "append"  // guarded by the revision that the client knew
	Version Kind = "version" // guarded by the version that the client knew
	Any     Kind = "any"     // without an expectation
	Batch   Kind = "batch"   // several aggregates, all or nothing
	Command Kind = "command" // decided by a handler; sent again with its id until it is answered
	Load    Kind = "load"    // of the leader
	Read    Kind = "read"    // of any replica
)

// Writes tells that the operation stores something.
func (k Kind) Writes() bool { return k != Load && k != Read }

// Outcome is what a client was told.
type Outcome string

// The outcomes of operations.
const (
	Acknowledged Outcome = "acknowledged"
	Conflict     Outcome = "conflict" // another writer was faster: nothing is stored
	Refused      Outcome = "refused"  // nothing is stored, for another reason
	Unknown      Outcome = "unknown"  // stored or not; a read that was not answered
)

// Op is one operation of a client. Times are since the run's start.
type Op struct {
	ID      string        `json:"id"` // of the events that it writes, and of no others
	Client  int           `json:"client"`
	Store   int           `json:"store"` // clients that share a store see what it has seen
	Kind    Kind          `json:"kind"`
	Call    time.Duration `json:"call"`
	Return  time.Duration `json:"return"`
	Outcome Outcome       `json:"outcome"`
	Error   string        `json:"error,omitzero"`
	Fault   string        `json:"fault,omitzero"` // what the nemesis did at the time of the answer
	Writes  []Write       `json:"writes,omitzero"`
	Against *Against      `json:"against,omitzero"` // of a conflict
	Shown   *Shown        `json:"shown,omitzero"`   // of a load or a read
}

// Write is what an operation stores for one aggregate, as one commit.
type Write struct {
	Key    string `json:"key"`
	Events int    `json:"events"`
	// Expected is the version that the commit was to follow; [Open] for any.
	Expected int64 `json:"expected"`
	// After is the aggregate's version after it, Partition and Sequence the commit's place, as
	// the client was told; 0 when it was not.
	After     uint64 `json:"after,omitzero"`
	Partition int    `json:"partition,omitzero"`
	Sequence  uint64 `json:"sequence,omitzero"`
}

func (w Write) at() string { return place(w.Partition, w.Sequence) }

// Open is the expectation of a write that expects nothing.
const Open = -1

// Against is what a conflict says of an aggregate.
type Against struct {
	Key      string `json:"key"`
	Expected uint64 `json:"expected"`
	Actual   uint64 `json:"actual"`
}

// Shown is what a client saw of an aggregate.
type Shown struct {
	Key     string `json:"key"`
	Version uint64 `json:"version"`
	Sum     uint64 `json:"sum,omitzero"` // of a load: of all events up to the version
	// Newest are, of a read, the operations of the last events, newest first.
	Newest []string `json:"newest,omitzero"`
}

// Sum adds an event to the sum of those before it: states with one sum come from
// the same events in the same order.
func Sum(before uint64, op string) uint64 {
	const prime = 1099511628211 // of FNV-1a
	sum := before ^ 14695981039346656037
	for i := range len(op) {
		sum = (sum ^ uint64(op[i])) * prime
	}
	return sum
}

// Fault is one deed of the nemesis.
type Fault struct {
	Name   string        `json:"name"`
	Target string        `json:"target,omitzero"`
	Begun  time.Duration `json:"begun"`
	Healed time.Duration `json:"healed"`
	Served time.Duration `json:"served"` // when all servers were healthy again
	// Deaf tells that a server that may lead hears nothing of the others until it is healed.
	Deaf bool `json:"deaf,omitzero"`
	// Untimely tells that deadlines of orders may pass at once.
	Untimely bool `json:"untimely,omitzero"`
}

// PlacedOrder is an order that a customer has placed.
type PlacedOrder struct {
	ID     string        `json:"id"`
	Placed time.Duration `json:"placed"` // when the customer was told so
	Fault  string        `json:"fault,omitzero"`
	// Plain tells that its customer wants it, can pay, and asks for what there is enough of.
	Plain bool `json:"plain,omitzero"`
	// End is its state when all had ended; [NotStored] when the log has no such order, and
	// empty when that was not asked.
	End string `json:"end,omitzero"`
}

// Completed is the end of an order that came.
const Completed = "Completed"

// NotStored is the end of an order that is lost.
const NotStored = "lost"

// Delivery is one event that a handler has handled. Deliveries are in the order in
// which the handlers returned.
type Delivery struct {
	Subscription string `json:"subscription"`
	// Session is one call of Subscribe where every instance gets all events; 0 where
	// instances take turns.
	Session int    `json:"session,omitzero"`
	Key     string `json:"key"`
	Version uint64 `json:"version"`
	Op      string `json:"op"`
}

// Row is what a projection has of an aggregate in the end.
type Row struct {
	Projection string `json:"projection"`
	Key        string `json:"key"`
	Version    uint64 `json:"version"`
	Events     uint64 `json:"events"` // that were applied
	Sum        uint64 `json:"sum"`
}

// History is all of a run.
type History struct {
	Ops        []Op
	Faults     []Fault
	Log        Log
	Deliveries []Delivery
	Rows       []Row
	Orders     []PlacedOrder
	// Sessions that had handled everything when the run ended, by subscription: at
	// least these are to be complete.
	Sessions map[string][]int
	End
}

// End is what is told of a run when it has ended.
type End struct {
	// Stopped is when clients were told to end; until then they are to be served.
	Stopped time.Duration `json:"stopped,omitzero"`
	// Unread is why the log was not read to its end; empty when it was. Then nobody knows what became of anything.
	Unread string         `json:"unread,omitzero"`
	Wrong  []string       `json:"wrong,omitzero"` // what must not be, and is not seen in the history
	Notes  map[string]int `json:"notes,omitzero"` // what is no finding, and worth telling, and how often it was
}
