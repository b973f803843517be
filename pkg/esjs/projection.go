package esjs

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Projection is a read model: rows derived from events. T is the sink's
// transaction (*sql.Tx for sqlsink).
type Projection[T any, E Event] struct {
	Name    string // "orders"
	Version int    // name and version name the tables: orders_v1
	// Codec decodes what is selected. Events whose type it does not know are
	// passed over: a projection reads what it was written for.
	Codec *Codec[E]
	// Query selects what is applied, by Categories, Streams and Types.
	Query Query
	// Init creates what the projection needs in an empty sink (tables).
	Init func(ctx context.Context, tx T) error
	// Apply changes rows for one event, inside the transaction that also
	// stores the checkpoint. It sees the events of an aggregate in order and
	// each exactly once, and does nothing but change rows through tx: a
	// transaction that fails is rolled back and its events are applied again.
	// An error, or a panic, that comes back in every attempt parks the event's
	// aggregate.
	Apply func(ctx context.Context, tx T, e Recorded[E]) error
	// Effect, if there is one, is for what others see of an event beside the
	// rows of this version: a row in an outbox, a NOTIFY. It is called after
	// Apply, in the same transaction and by the same rules, by the live version
	// alone, and so once for each event however many versions are built; where the
	// sink has no transactions (kvsink) perhaps again after a crash. While there is
	// an Effect, a version that is not live stays behind the live one.
	Effect func(ctx context.Context, tx T, e Recorded[E]) error
	// Drop removes what Init created; see [Projector.Drop].
	Drop func(ctx context.Context, tx T) error
}

// FullName is Name_vVersion, the projection's only name in tables, checkpoints
// and metrics. Another version is built beside this one, under its own name.
func (p Projection[T, E]) FullName() string { return fmt.Sprintf("%s_v%d", p.Name, p.Version) }

// SplitFullName returns the name and the version that a projection's full name is
// made of; [ErrInvalid] when it is none.
func SplitFullName(fullName string) (name string, version int, err error) {
	if i := strings.LastIndex(fullName, "_v"); i > 0 {
		name = fullName[:i]
		version, err = strconv.Atoi(fullName[i+len("_v"):])
		if err == nil && version > 0 && fmt.Sprintf("%s_v%d", name, version) == fullName {
			return name, version, nil
		}
	}
	return "", 0, fmt.Errorf("%w: %q is not the full name of a projection, such as %q", ErrInvalid, fullName, "orders_v1")
}

func (p Projection[T, E]) check() error {
	if p.Name == "" || p.Version < 1 || p.Codec == nil || p.Apply == nil {
		return fmt.Errorf("%w: the projection %s needs a name, a version from 1 on, a codec and an Apply", ErrConfig, p.FullName())
	}
	if err := p.Query.checkEndless("a projection applies all that is selected, from the beginning of the store"); err != nil {
		return fmt.Errorf("projection %s: %w", p.FullName(), err)
	}
	return nil
}

// Sink stores rows of projections together with their checkpoints, under their
// full names ("orders_v1"). Of the versions of a projection one is live: the one
// that is asked, and that has effects. Implementations are sqlsink.Sink,
// kvsink.Sink and what users write; esjstest.TestSink proves them. A KV bucket has
// no transaction: kvsink says what it promises when a Commit is cut off in its
// middle.
//
// An error that is the storage's fault and not the event's (full, locked, gone)
// is an [ErrUnavailable]; the call is then repeated for as long as it takes.
type Sink[T any] interface {
	// Open creates what is missing, calls init once for a new name, and returns
	// the stored checkpoint. The first version of a projection that is opened is
	// live.
	Open(ctx context.Context, name string, init func(context.Context, T) error) (Checkpoint, error)
	// Commit calls step in a transaction, with the checkpoint as it is stored, and
	// stores the one that step returns with the rows that it changed. Nobody
	// else changes that checkpoint meanwhile, or Commit fails with [ErrConflict].
	// Live and Since are stored as they were. When step fails nothing is stored and
	// Commit returns its error. [ErrNotFound]: the name was not opened, or was
	// dropped.
	Commit(ctx context.Context, name string, step func(ctx context.Context, tx T, now Checkpoint) (Checkpoint, error)) error
	// Load returns a stored checkpoint, changes nothing and waits for no Commit.
	// [ErrNotFound]: the name was not opened, or was dropped.
	Load(ctx context.Context, name string) (Checkpoint, error)
	// Live returns the full name of the live version of a projection ("orders").
	// [ErrNotFound]: no version was opened.
	Live(ctx context.Context, projection string) (string, error)
	// Promote makes the version to live instead of from, and notes as its Since where
	// effects end: from's position, or from's Since when it has not come so far.
	// [ErrConflict]: from is not the live one; [ErrNotFound]: to was not
	// opened.
	Promote(ctx context.Context, from, to string) error
	// Drop calls drop, if there is one, and forgets the name, in one transaction:
	// opening it again begins anew. [ErrInvalid]: it is live; [ErrNotFound]: it
	// was not opened.
	Drop(ctx context.Context, name string, drop func(context.Context, T) error) error
}

// Checkpoint is what a sink stores beside the rows. From one commit to the
// next its position only grows.
type Checkpoint struct {
	Position Position
	Time     time.Time         // of the last event applied
	Parked   map[string]Parked // keys that were set aside
	Live     bool              // this version is the live one
	// Since is up to where the versions that were live before this one have had the
	// effects.
	Since Position
	// Newest is the newest commit of those that were applied, or parked. A log that has
	// another one at its place is not the one that the rows are of. In a store of several
	// partitions it is not used, and NewestIn has it of each.
	Newest   CommitRef
	NewestIn map[int]CommitRef
}

// ProjectionConfig is a projection's wiring; the zero value works, for one instance. Of
// numbers and times, what is not above 0 is the default.
type ProjectionConfig struct {
	Bucket string // KV bucket of the lease; empty: no lease, this instance is the only one
	Owner  string
	// Lease is the time after which a silent owner is taken over; default 20 s.
	Lease time.Duration
	// Batch is how many commits are at most in a transaction; default 500. A
	// transaction also ends when the commits in it take 16 MiB in the store.
	Batch int
	// Retry is the backoff of commits whose Apply fails. All others wait
	// meanwhile, so it is short: 100 ms, 2 s, 5 attempts; then the key is parked.
	Retry    Backoff
	Observer Observer // nil: the store's
	// ByHand lets this version wait for [Projector.Promote]. Otherwise it takes over
	// from a lower version that is live, as soon as it has caught up with it.
	ByHand bool
	// MayTakeOver, if there is one, is asked before this version takes over by itself
	// from the live one, whose full name it is given. While it says no, this version
	// stays beside that one, applies nothing as long as it is asked, and asks again
	// after half a second or so. [Projector.Promote] does not ask.
	MayTakeOver func(ctx context.Context, from string) bool
	// OnCaughtUp is called once, when everything stored at the start was applied, in a goroutine of its own.
	OnCaughtUp func()
}

// Progress tells where a projection is.
type Progress struct {
	Name     string // the projection's full name
	Active   bool   // this instance is projecting; the others know no more than this
	Live     bool   // this version is the live one, as far as the projector knows
	Position Position
	Last     Position      // of the store, as far as the projector knows
	Lag      uint64        // commits behind, in stream sequences
	Behind   time.Duration // age of the oldest event not applied; 0 when there is none
	CaughtUp bool          // everything that was stored at the start was applied
	Parked   []Parked      // by key
	// EventsPerSecond is the pace of the last ten seconds, and Remaining the time
	// that the lag takes at it: an estimate, 0 while there is no pace or no lag.
	EventsPerSecond float64
	Remaining       time.Duration
}
