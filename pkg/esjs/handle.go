package esjs

import (
	"context"
	"errors"
	"fmt"
	"sync"
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
	turns     turns // of the aggregates' keys: our own callers do not race each other
	snapshots *snapshotter[S]
	deaf      func() // no longer listens for erasures

	remembering sync.Mutex // between looking into the cache and writing to it
}

// NewCommandHandler makes a handler; Close it to write the snapshots that wait.
// It fails with [ErrConfig] when the aggregate is not complete, when its events
// have personal values and the store no keys, or when the snapshot bucket does not exist.
func NewCommandHandler[S, C any, E Event](ctx context.Context, store *Store, agg Aggregate[S, C, E], cfg HandlerConfig[S]) (*CommandHandler[S, C, E], error) {
	if err := checkStream(StreamID{Category: agg.Category, Key: "x"}); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if agg.Codec == nil || agg.Apply == nil || agg.Decide == nil {
		return nil, fmt.Errorf("%w: aggregate %s needs Codec, Apply and Decide", ErrConfig, agg.Category)
	}
	if err := store.checkPersonal(agg.Codec.personal); err != nil {
		return nil, fmt.Errorf("aggregate %s: %w", agg.Category, err)
	}
	h := &CommandHandler[S, C, E]{store: store, agg: agg, attempts: cfg.Attempts, deaf: func() {}}
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
	if store.keys != nil {
		h.deaf = store.keys.listen(h.forgetPerson)
	}
	store.observer.Handles(agg.Category)
	return h, nil
}

// Close writes the snapshots that wait and stops. It returns ctx's error when
// that takes longer; snapshots that are not written only cost time.
func (h *CommandHandler[S, C, E]) Close(ctx context.Context) error {
	h.deaf()
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
	metadata  Metadata
	expect    *uint64
	time      time.Time
	outOfTurn bool // the input may come after later ones

	confirmed bool // the state was read from the leader during this call
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

// outOfTurn tells that the input was set aside for a while.
func outOfTurn(late bool) HandleOption { return func(o *handleOptions) { o.outOfTurn = late } }

// Handle loads the aggregate, decides, and appends what was decided. Calls for one
// aggregate go one after the other, in the order in which they came; who waits for
// longer than ctx allows gets its error, and has written nothing. When another
// writer was faster it loads what is new and decides again, at most
// [HandlerConfig].Attempts times. A decision that writes nothing is taken on
// what the leader has shown during the call; others who write meanwhile do not
// make it wait. What Decide returned as an error is returned as it is.
//
// A command id among the newest 128 that wrote something to the aggregate gets
// its first result again. With another command hash it is refused with
// [ErrCommandReused].
//
// Other errors are those of [Store.Append], *[CorruptError] and *[DecodeError].
func (h *CommandHandler[S, C, E]) Handle(ctx context.Context, key string, cmd C, opts ...HandleOption) (Result[S], error) {
	var o handleOptions
	for _, opt := range opts {
		opt(&o)
	}
	id, err := h.stream(key)
	if err != nil {
		return Result[S]{}, err
	}
	began := time.Now()
	ctx, end := h.store.span(ctx, Span{Operation: OperationHandle, Stream: id, Parent: o.metadata.TraceParent})
	result, attempts, err := h.inTurn(ctx, id, cmd, &o)
	end(err)
	info := DecisionInfo{Stream: id, Attempts: attempts, Repeated: result.Repeated, Took: time.Since(began), Err: err}
	if !result.Repeated {
		info.Events = len(result.EventIDs)
	}
	h.store.observer.Decided(info)
	return result, err
}

func (h *CommandHandler[S, C, E]) inTurn(ctx context.Context, id StreamID, cmd C, o *handleOptions) (Result[S], int, error) {
	if err := h.turns.take(ctx, id.Key); err != nil {
		return Result[S]{}, 0, err
	}
	defer h.turns.pass(id.Key)
	return h.handle(ctx, id, cmd, o)
}

// handle also returns how often it has decided.
func (h *CommandHandler[S, C, E]) handle(ctx context.Context, id StreamID, cmd C, o *handleOptions) (_ Result[S], attempt int, _ error) {
	known, err := h.current(ctx, id)
	if err != nil {
		return Result[S]{}, 0, err
	}
	wait := newPause()
	for attempt = 1; ; attempt++ {
		result, err := h.decide(ctx, id, known, cmd, o)
		if err == nil {
			return result, attempt, nil
		}
		if stale := (*staleError[S])(nil); errors.As(err, &stale) { // decided on an old state, nothing written
			known, o.confirmed = stale.fresh, true
			continue
		}
		if decided := (*decisionError)(nil); errors.As(err, &decided) {
			return result, attempt, decided.error
		}
		if final := (*finalConflict)(nil); errors.As(err, &final) {
			return Result[S]{}, attempt, &final.ConflictError
		}
		if !errors.Is(err, ErrConflict) || attempt >= h.attempts {
			return result, attempt, err
		}
		if err := wait.sleep(ctx); err != nil {
			return Result[S]{}, attempt, err
		}
		if known, err = h.refreshFrom(ctx, id, known); err != nil {
			return Result[S]{}, attempt, err
		}
		o.confirmed = true
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
	if consumed, err := h.consumed(ctx, id, known, o); err != nil {
		return Result[S]{}, err
	} else if consumed {
		return Result[S]{State: known.state, Version: known.revision.version, Revision: known.revision, Repeated: true}, nil
	}
	if o.expect != nil && *o.expect != known.revision.version {
		if err := h.confirm(ctx, id, known, o); err != nil {
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
		if confirmErr := h.confirm(ctx, id, known, o); confirmErr != nil {
			return Result[S]{}, confirmErr
		}
		if err != nil {
			err = &decisionError{err}
		}
		return Result[S]{State: known.state, Version: known.revision.version, Revision: known.revision}, err
	}
	return h.appendDecided(ctx, id, known, events, at, o)
}

func (h *CommandHandler[S, C, E]) appendDecided(ctx context.Context, id StreamID, known *folded[S], decided []E, at time.Time, o *handleOptions) (Result[S], error) {
	out, err := h.store.of(id).append(ctx, Write{
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
	if first.fingerprint != fingerprintOf(o.metadata.CommandHash) {
		return Result[S]{}, fmt.Errorf("%w: %s on %s", ErrCommandReused, first.ID, id)
	}
	return Result[S]{
		State:    known.state,
		Version:  first.Version,
		Revision: Revision{version: first.Version, partition: known.revision.partition, sequence: first.Sequence},
		EventIDs: first.eventIDs(id),
		Repeated: true,
	}, nil
}

// confirm returns a *staleError with the new state when the leader has more
// than known: a decision that writes nothing is not protected by an expectation.
// What the leader has shown during the call was true during the call, and is
// not asked again: a busy aggregate could keep a caller waiting for ever.
func (h *CommandHandler[S, C, E]) confirm(ctx context.Context, id StreamID, known *folded[S], o *handleOptions) error {
	if o.confirmed {
		return nil
	}
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

// decisionError is what Decide has returned: whatever it wraps, nothing was appended, and deciding again would
// give it again.
type decisionError struct{ error }

// finalConflict is a conflict with the caller's own expectation: deciding again
// cannot help.
type finalConflict struct{ ConflictError }
