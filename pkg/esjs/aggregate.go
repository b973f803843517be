package esjs

import (
	"context"
	"time"
)

// Aggregate is an event-sourced aggregate: three pure functions' worth of domain.
type Aggregate[S, C any, E Event] struct {
	Category string
	Codec    *Codec[E]
	// Apply folds one event into the state. It is total and pure: a fact cannot fail.
	Apply func(S, E) S
	// Decide returns the events that the command causes; none when there is
	// nothing to do, an error (usually a *[Rejection]) when it is refused. It is pure.
	Decide func(S, C) ([]E, error)
}

// Timed is a command that needs to know when it was handled: the handler
// passes At the time that the commit will carry and decides what it returns.
type Timed[C any] interface {
	At(time.Time) C
}

// HandlerConfig is a command handler's wiring. The zero value works: no
// snapshots, a cache of 10,000 aggregates, 8 attempts.
type HandlerConfig[S any] struct {
	Snapshots *SnapshotPolicy[S]
	CacheSize int
	Attempts  int
}

// SnapshotPolicy says where and when snapshots are stored.
type SnapshotPolicy[S any] struct {
	Bucket       string // KV bucket; see [ProvisionBucket]
	Every        int    // commits since the last snapshot; default 64
	StateVersion int    // a snapshot of another version is ignored
	// Terminal tells that an aggregate has ended: it is then stored at once.
	Terminal func(S) bool
}

// CommandHandler loads, decides and appends. It is safe for concurrent use.
type CommandHandler[S, C any, E Event] struct{}

// NewCommandHandler makes a handler; Close it to write the snapshots that wait.
func NewCommandHandler[S, C any, E Event](ctx context.Context, store *Store, agg Aggregate[S, C, E], cfg HandlerConfig[S]) (*CommandHandler[S, C, E], error) {
	panic("stub")
}

// Close writes the snapshots that wait and stops.
func (h *CommandHandler[S, C, E]) Close(ctx context.Context) error { panic("stub") }

// Result is a handled command's outcome. State must not be changed.
type Result[S any] struct {
	State    S
	Version  uint64
	Revision Revision
	EventIDs []string // empty when there was nothing to do
	Repeated bool     // the command id was handled before; this is its first result
}

// HandleOption changes one call of Handle.
type HandleOption func(*handleOptions)

type handleOptions struct {
	metadata Metadata
	expect   *uint64
	time     time.Time
}

// WithMetadata stores m with the events; m.CommandID makes the call
// idempotent, and a repeated id with another CommandHash is refused with [ErrCommandReused].
func WithMetadata(m Metadata) HandleOption { panic("stub") }

// IfVersion refuses with a *[ConflictError] unless the aggregate has exactly n events.
func IfVersion(n uint64) HandleOption { panic("stub") }

// CommandHash fingerprints a command for [Metadata].
func CommandHash(verb string, body []byte) string { panic("stub") }

// Handle loads the aggregate, decides, and appends what was decided; when
// another writer was faster it loads what is new and decides again. A decision
// that writes nothing is confirmed with the leader before it is answered.
// Errors: what Decide returned; those of [Store.Append]; *[CorruptError]; *[DecodeError].
func (h *CommandHandler[S, C, E]) Handle(ctx context.Context, key string, cmd C, opts ...HandleOption) (Result[S], error) {
	panic("stub")
}

// Loaded is an aggregate as it was read. State must not be changed.
type Loaded[S any] struct {
	Stream   StreamID
	State    S
	Revision Revision
	Time     time.Time // of the last event
}

// LoadOption changes one call of Load.
type LoadOption func(*loadOptions)

type loadOptions struct {
	version uint64
	asOf    time.Time
	fresh   bool
}

// AtVersion loads the aggregate as it was after event n.
func AtVersion(n uint64) LoadOption { panic("stub") }

// AsOf loads the aggregate as it was at t.
func AsOf(t time.Time) LoadOption { panic("stub") }

// Fresh asks the leader instead of the cache or a replica.
func Fresh() LoadOption { panic("stub") }

// Load returns the aggregate's state; the zero state and revision when it has no events.
func (h *CommandHandler[S, C, E]) Load(ctx context.Context, key string, opts ...LoadOption) (Loaded[S], error) {
	panic("stub")
}

// Write prepares a commit for [Store.AppendAll] that follows what was loaded;
// the handler's cache learns the outcome.
func (h *CommandHandler[S, C, E]) Write(from Loaded[S], m Metadata, at time.Time, events ...E) Write {
	panic("stub")
}
