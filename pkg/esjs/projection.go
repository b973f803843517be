package esjs

import (
	"context"
	"time"
)

// Projection is a read model: rows derived from events. T is the sink's
// transaction (*sql.Tx for sqlsink).
type Projection[T any, E Event] struct {
	Name    string // "orders"
	Version int    // name and version name the tables: orders_v1
	Codec   *Codec[E]
	Query   Query
	// Init creates what the projection needs in an empty sink (tables).
	Init func(ctx context.Context, tx T) error
	// Apply changes rows for one event, inside the transaction that also
	// stores the checkpoint.
	Apply func(ctx context.Context, tx T, e Recorded[E]) error
}

// FullName is Name_vVersion, the projection's only name in tables and metrics.
func (p Projection[T, E]) FullName() string { panic("stub") }

// Sink stores a projection's rows together with its checkpoint. Implementations
// are sqlsink.Sink and what users write.
type Sink[T any] interface {
	// Open creates what is missing, calls init once in a new sink, and returns
	// the stored checkpoint and the parked keys.
	Open(ctx context.Context, name string, init func(context.Context, T) error) (Checkpoint, error)
	// Commit runs apply in one transaction and moves the checkpoint from from to
	// to in it. A checkpoint that is not from is refused with [ErrConflict]:
	// another instance is projecting.
	Commit(ctx context.Context, name string, from, to Checkpoint, apply func(context.Context, T) error) error
}

// Checkpoint is what a sink stores beside the rows.
type Checkpoint struct {
	Position Position
	Time     time.Time         // of the last event applied
	Parked   map[string]Parked // keys that were set aside
}

// ProjectionConfig is a projection's wiring; the zero value works except Bucket.
type ProjectionConfig struct {
	Bucket   string // KV bucket of the lease; empty: no lease, this instance is the only one
	Owner    string
	Batch    int // commits per transaction while catching up; default 500
	Observer Observer
	// OnCaughtUp is called once, when everything stored at the start was applied.
	OnCaughtUp func()
}

// Projector runs one projection.
type Projector[T any, E Event] struct{}

// NewProjector prepares a projection on a sink.
func NewProjector[T any, E Event](store *Store, sink Sink[T], p Projection[T, E], cfg ProjectionConfig) *Projector[T, E] {
	panic("stub")
}

// Run projects until ctx ends or it cannot go on. Exactly once: an event's rows
// and the checkpoint change together or not at all.
func (p *Projector[T, E]) Run(ctx context.Context) error { panic("stub") }

// WaitFor blocks until the projection has applied everything up to pos, or ctx ends.
func (p *Projector[T, E]) WaitFor(ctx context.Context, pos Position) error { panic("stub") }

// Progress tells where a projection is.
type Progress struct {
	Name     string        `json:"name"`
	Position Position      `json:"position"`
	Last     Position      `json:"last"`
	Lag      uint64        `json:"lag"`    // commits behind, in stream sequences
	Behind   time.Duration `json:"behind"` // age of the oldest event not applied
	CaughtUp bool          `json:"caught_up"`
	Parked   []Parked      `json:"parked"`
}

// Progress returns where the projection is; it does not block on the store.
func (p *Projector[T, E]) Progress() Progress { panic("stub") }
