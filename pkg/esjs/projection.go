package esjs

import (
	"context"
	"fmt"
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
	// Query selects what is applied; After, Until, Since, Before and Limit are not used.
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
}

// FullName is Name_vVersion, the projection's only name in tables, checkpoints
// and metrics. Another version is another projection, built beside this one.
func (p Projection[T, E]) FullName() string { return fmt.Sprintf("%s_v%d", p.Name, p.Version) }

func (p Projection[T, E]) check() error {
	if p.Name == "" || p.Version < 1 || p.Codec == nil || p.Apply == nil {
		return fmt.Errorf("%w: the projection %s needs a name, a version from 1 on, a codec and an Apply", ErrConfig, p.FullName())
	}
	return nil
}

// Sink stores a projection's rows together with its checkpoint. Implementations
// are sqlsink.Sink, kvsink.Sink and what users write; esjstest.TestSink proves
// them. A KV bucket has no transaction: kvsink says what it promises when a
// Commit is cut off in its middle.
type Sink[T any] interface {
	// Open creates what is missing, calls init once in a new sink, and returns
	// the stored checkpoint and the parked keys.
	Open(ctx context.Context, name string, init func(context.Context, T) error) (Checkpoint, error)
	// Commit runs apply in one transaction and moves the checkpoint from from to
	// to in it. A checkpoint that is not from is refused with [ErrConflict]:
	// another instance is projecting. When apply fails nothing is stored and
	// Commit returns its error. An error that is the storage's fault and not
	// the event's (full, locked, gone) is an [ErrUnavailable]; the commit is
	// then tried again for as long as it takes.
	Commit(ctx context.Context, name string, from, to Checkpoint, apply func(context.Context, T) error) error
}

// Checkpoint is what a sink stores beside the rows. From one commit to the
// next its position only grows.
type Checkpoint struct {
	Position Position
	Time     time.Time         // of the last event applied
	Parked   map[string]Parked // keys that were set aside
}

// ProjectionConfig is a projection's wiring; the zero value works, for one instance.
type ProjectionConfig struct {
	Bucket string // KV bucket of the lease; empty: no lease, this instance is the only one
	Owner  string
	// Lease is the time after which a silent owner is taken over; default 20 s.
	Lease time.Duration
	Batch int // commits per transaction while catching up; default 500
	// Retry is the backoff of commits whose Apply fails. All others wait
	// meanwhile, so it is short: 100 ms, 2 s, 5 attempts; then the key is parked.
	Retry    Backoff
	Observer Observer
	// OnCaughtUp is called once, when everything stored at the start was applied.
	OnCaughtUp func()
}

// Progress tells where a projection is.
type Progress struct {
	Name     string // the projection's full name
	Position Position
	Last     Position      // of the store, as far as the projector knows
	Lag      uint64        // commits behind, in stream sequences
	Behind   time.Duration // age of the oldest event not applied; 0 when there is none
	CaughtUp bool          // everything that was stored at the start was applied
	Parked   []Parked      // by key
}
