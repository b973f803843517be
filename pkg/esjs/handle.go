package esjs

import (
	"context"
	"errors"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// HandlerConfig is a command handler's wiring. The zero value works: no
// snapshots, a cache of 10,000 aggregates, 8 attempts.
type HandlerConfig[S any] struct {
	Snapshots *SnapshotPolicy[S]
	CacheSize int // aggregates kept in memory
	Attempts  int // of deciding and appending, while other writers are faster
}

const (
	defaultCacheSize = 10_000
	defaultAttempts  = 8
)

// CommandHandler loads, decides and appends. It is safe for concurrent use.
type CommandHandler[S, C any, E Event] struct {
	store     *Store
	agg       Aggregate[S, C, E]
	attempts  int
	cache     *lru.Cache[string, *folded[S]]
	snapshots *snapshotter[S]
}

// NewCommandHandler makes a handler; Close it to write the snapshots that wait.
// It fails with [ErrConfig] when the aggregate is not complete or the snapshot
// bucket does not exist.
func NewCommandHandler[S, C any, E Event](ctx context.Context, store *Store, agg Aggregate[S, C, E], cfg HandlerConfig[S]) (*CommandHandler[S, C, E], error) {
	if err := checkStream(StreamID{Category: agg.Category, Key: "x"}); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if agg.Codec == nil || agg.Apply == nil || agg.Decide == nil {
		return nil, fmt.Errorf("%w: aggregate %s needs Codec, Apply and Decide", ErrConfig, agg.Category)
	}
	h := &CommandHandler[S, C, E]{store: store, agg: agg, attempts: cfg.Attempts}
	if h.attempts <= 0 {
		h.attempts = defaultAttempts
	}
	size := cfg.CacheSize
	if size <= 0 {
		size = defaultCacheSize
	}
	var err error
	if cfg.Snapshots != nil {
		if h.snapshots, err = newSnapshotter(ctx, store, *cfg.Snapshots); err != nil {
			return nil, err
		}
	}
	h.cache, err = lru.NewWithEvict(size, func(key string, f *folded[S]) {
		if h.snapshots != nil {
			h.snapshots.leave(StreamID{Category: agg.Category, Key: key}, f)
		}
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// Close writes the snapshots that wait and stops. It returns ctx's error when
// that takes longer; snapshots that are not written only cost time.
func (h *CommandHandler[S, C, E]) Close(ctx context.Context) error {
	if h.snapshots == nil {
		return nil
	}
	return h.snapshots.close(ctx)
}

// Forget drops an aggregate from the cache; the next call loads it. It is for
// benchmarks and for those who know that an aggregate will not be used again.
func (h *CommandHandler[S, C, E]) Forget(key string) { h.cache.Remove(key) }

// Result is a handled command's outcome. State must not be changed.
type Result[S any] struct {
	State    S
	Version  uint64
	Revision Revision
	EventIDs []string // empty when there was nothing to do
	Repeated bool     // the command id was handled before; this is its first result with the current state
}

// HandleOption changes one call of Handle.
type HandleOption func(*handleOptions)

type handleOptions struct {
	metadata Metadata
	expect   *uint64
	time     time.Time
}

// WithMetadata stores m with the events; m.CommandID makes the call
// idempotent, and a repeated id with another CommandHash is refused with
// [ErrCommandReused].
func WithMetadata(m Metadata) HandleOption { return func(o *handleOptions) { o.metadata = m } }

// IfVersion refuses with a *[ConflictError] unless the aggregate has exactly n events.
func IfVersion(n uint64) HandleOption { return func(o *handleOptions) { o.expect = &n } }

// At gives the events this time instead of now: a reaction carries the time of
// what it reacts to.
func At(t time.Time) HandleOption { return func(o *handleOptions) { o.time = t } }

// Handle loads the aggregate, decides, and appends what was decided; when
// another writer was faster it loads what is new and decides again. A decision
// that writes nothing is confirmed with the leader before it is answered. It tries
// until ctx ends, and after conflicts at most [HandlerConfig].Attempts times.
// Errors: what Decide returned, unwrapped; those of [Store.Append];
// [ErrCommandReused]; *[CorruptError]; *[DecodeError].
func (h *CommandHandler[S, C, E]) Handle(ctx context.Context, key string, cmd C, opts ...HandleOption) (Result[S], error) {
	var o handleOptions
	for _, opt := range opts {
		opt(&o)
	}
	id, err := h.stream(key)
	if err != nil {
		return Result[S]{}, err
	}
	known, err := h.current(ctx, id)
	if err != nil {
		return Result[S]{}, err
	}
	for attempt, wait := 1, newPause(); ; attempt++ {
		result, err := h.decide(ctx, id, known, cmd, &o)
		if err == nil {
			return result, nil
		}
		if stale := (*staleError[S])(nil); errors.As(err, &stale) { // decided on an old state, nothing written
			known = stale.fresh
			continue
		}
		if final := (*finalConflict)(nil); errors.As(err, &final) {
			return Result[S]{}, &final.ConflictError
		}
		if !errors.Is(err, ErrConflict) || attempt >= h.attempts {
			return result, err
		}
		if err := wait.sleep(ctx); err != nil {
			return Result[S]{}, err
		}
		if known, err = h.refreshFrom(ctx, id, known); err != nil {
			return Result[S]{}, err
		}
	}
}

func (h *CommandHandler[S, C, E]) stream(key string) (StreamID, error) {
	id := StreamID{Category: h.agg.Category, Key: key}
	return id, checkStream(id)
}

// decide is one attempt on a known state.
func (h *CommandHandler[S, C, E]) decide(ctx context.Context, id StreamID, known *folded[S], cmd C, o *handleOptions) (Result[S], error) {
	if first, ok := known.commands.find(o.metadata.CommandID); ok {
		return h.repeated(id, known, first, o)
	}
	if known.inputs.consumed(o.metadata.Input) {
		return Result[S]{State: known.state, Version: known.revision.version, Revision: known.revision, Repeated: true}, nil
	}
	if o.expect != nil && *o.expect != known.revision.version {
		if err := h.confirm(ctx, id, known); err != nil {
			return Result[S]{}, err
		}
		return Result[S]{}, &finalConflict{ConflictError{Stream: id, Expected: *o.expect, Actual: known.revision.version}}
	}
	at := o.time
	if at.IsZero() {
		at = time.Now()
	}
	if at.Before(known.revision.time) {
		at = known.revision.time
	}
	at = at.UTC().Round(0)
	if timed, ok := any(cmd).(Timed[C]); ok {
		cmd = timed.At(at)
	}
	events, err := h.agg.Decide(known.state, cmd)
	if err != nil || len(events) == 0 {
		if confirmErr := h.confirm(ctx, id, known); confirmErr != nil {
			return Result[S]{}, confirmErr
		}
		return Result[S]{State: known.state, Version: known.revision.version, Revision: known.revision}, err
	}
	return h.appendDecided(ctx, id, known, events, at, o)
}

func (h *CommandHandler[S, C, E]) appendDecided(ctx context.Context, id StreamID, known *folded[S], decided []E, at time.Time, o *handleOptions) (Result[S], error) {
	out, err := h.store.append(ctx, Write{
		Stream: id, Expect: AtRevision(known.revision), Events: eventsOf(decided), Metadata: o.metadata, Time: at,
	})
	if err != nil {
		if !errors.Is(err, ErrConflict) {
			h.cache.Remove(id.Key) // whatever was stored, the next load sees it
		}
		return Result[S]{}, err
	}
	f := h.follow(known, o.metadata, out, decided)
	h.remember(id, f)
	return Result[S]{State: f.state, Version: f.revision.version, Revision: f.revision, EventIDs: out.EventIDs}, nil
}

// repeated gives the first result of a command again.
func (h *CommandHandler[S, C, E]) repeated(id StreamID, known *folded[S], first handledCommand, o *handleOptions) (Result[S], error) {
	if first.Hash != o.metadata.CommandHash {
		return Result[S]{}, fmt.Errorf("%w: %s on %s", ErrCommandReused, first.ID, id)
	}
	return Result[S]{
		State:    known.state,
		Version:  first.Version,
		Revision: Revision{version: first.Version, sequence: first.Sequence},
		EventIDs: first.eventIDs(id),
		Repeated: true,
	}, nil
}

// confirm returns a *staleError with the new state when the leader has more
// than known: a decision that writes nothing is not protected by an expectation.
func (h *CommandHandler[S, C, E]) confirm(ctx context.Context, id StreamID, known *folded[S]) error {
	fresh, err := h.refreshFrom(ctx, id, known)
	if err != nil {
		return err
	}
	if fresh != known {
		return &staleError[S]{fresh}
	}
	return nil
}

// staleError carries the state that replaces the one that was decided on.
type staleError[S any] struct{ fresh *folded[S] }

func (*staleError[S]) Error() string { return "esjs: decided on an old state" }

// finalConflict is a conflict with the caller's own expectation: deciding again
// cannot help.
type finalConflict struct{ ConflictError }

// Write prepares a commit for [Store.AppendAll] that follows what was loaded;
// the handler's cache learns the outcome. A zero at means now.
func (h *CommandHandler[S, C, E]) Write(from Loaded[S], m Metadata, at time.Time, events ...E) Write {
	known := &folded[S]{state: from.State, revision: from.Revision}
	if cached, ok := h.cache.Get(from.Stream.Key); ok && cached.revision.sequence == from.Revision.sequence {
		known = cached
	}
	return h.write(from.Stream, known, m, at, events)
}

func (h *CommandHandler[S, C, E]) write(id StreamID, known *folded[S], m Metadata, at time.Time, decided []E) Write {
	return Write{
		Stream: id, Expect: AtRevision(known.revision), Events: eventsOf(decided), Metadata: m, Time: at,
		settled: func(out Appended, err error) {
			if cached, ok := h.cache.Get(id.Key); err == nil && ok && cached == known {
				h.remember(id, h.follow(known, m, out, decided))
				return
			}
			h.cache.Remove(id.Key)
		},
	}
}

func eventsOf[E Event](decided []E) []Event {
	events := make([]Event, len(decided))
	for i, e := range decided {
		events[i] = e
	}
	return events
}

// follow is known after its own commit.
func (h *CommandHandler[S, C, E]) follow(known *folded[S], m Metadata, out Appended, decided []E) *folded[S] {
	f := *known
	for _, e := range decided {
		f.state = h.agg.Apply(f.state, e)
	}
	f = f.advanced(out.Revision, &m, len(decided))
	return &f
}

// remember caches f unless as much or more is cached, and stores a snapshot
// when the policy says so. It returns what to go on with.
func (h *CommandHandler[S, C, E]) remember(id StreamID, f *folded[S]) *folded[S] {
	if cached, ok := h.cache.Get(id.Key); ok && cached.revision.sequence >= f.revision.sequence {
		return f
	}
	if h.snapshots != nil && h.snapshots.due(f) {
		h.snapshots.queue(id, f)
		counted := *f
		counted.unsaved = 0
		f = &counted
	}
	h.cache.Add(id.Key, f)
	return f
}
