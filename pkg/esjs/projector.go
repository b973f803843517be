package esjs

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Projector runs one projection. It is safe for concurrent use; Run is called once.
type Projector[T any, E Event] struct {
	store      *Store
	sink       Sink[T]
	projection Projection[T, E]
	cfg        ProjectionConfig
	caughtUp   sync.Once

	mu       sync.Mutex
	progress Progress      // Lag and Behind are worked out when asked
	oldest   time.Time     // when the oldest event that is not applied happened; zero when all are
	moved    chan struct{} // closed and replaced when the position moves

	unsaved chan struct{} // the position moved, and the lease does not show it yet
}

// NewProjector prepares a projection on a sink.
func NewProjector[T any, E Event](store *Store, sink Sink[T], p Projection[T, E], cfg ProjectionConfig) *Projector[T, E] {
	cfg.Batch = cmp.Or(cfg.Batch, 500)
	cfg.Lease = cmp.Or(cfg.Lease, defaultLease)
	cfg.Observer = observerOr(cfg.Observer)
	cfg.Retry.First = cmp.Or(cfg.Retry.First, 100*time.Millisecond)
	cfg.Retry.Max = cmp.Or(cfg.Retry.Max, 2*time.Second)
	cfg.Retry.Attempts = cmp.Or(cfg.Retry.Attempts, 5)
	return &Projector[T, E]{
		store:      store,
		sink:       sink,
		projection: p,
		cfg:        cfg,
		progress:   Progress{Name: p.FullName()},
		moved:      make(chan struct{}),
		unsaved:    make(chan struct{}, 1),
	}
}

// Run projects until ctx ends, and then returns nil, or until it cannot go on.
// An event's rows and the checkpoint change together or not at all, so every
// event is applied exactly once.
//
// Without a lease (no Bucket) a second projector is refused: the one whose
// checkpoint was moved by another ends with [ErrConflict]. With a lease the
// second one waits for its turn, and the checkpoint guards against an owner
// that comes back late.
//
// Run refuses with [ErrConfig] a projection without a name, a version, a codec
// or an Apply, and with a *[CorruptError] a checkpoint beyond the store's end,
// which is of another store. It ends when more than 1000 keys are parked: then
// it is the projection that is wrong, not the events.
func (p *Projector[T, E]) Run(ctx context.Context) error {
	if err := p.projection.check(); err != nil {
		return err
	}
	run := p.turn
	if p.cfg.Bucket != "" {
		run = p.turns
	}
	if err := run(ctx); ctx.Err() == nil {
		return fmt.Errorf("projection %s: %w", p.projection.FullName(), err)
	}
	return nil
}

// WaitFor blocks until the projection has passed pos, and then returns nil, or
// until ctx ends, and then returns its error. What is stored at pos is then
// visible in the sink, unless its key is parked. A projector that waits for the
// lease does not move: ask the active one.
func (p *Projector[T, E]) WaitFor(ctx context.Context, pos Position) error {
	for {
		p.mu.Lock()
		passed, moved := !p.progress.Position.Before(pos), p.moved
		p.mu.Unlock()
		if passed {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Progress returns where the projection is; it does not block on the store.
func (p *Projector[T, E]) Progress() Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	progress := p.progress
	if progress.Position.Before(progress.Last) {
		progress.Lag = progress.Last.Sequence() - progress.Position.Sequence()
		if !p.oldest.IsZero() {
			progress.Behind = max(0, time.Since(p.oldest))
		}
	}
	return progress
}

// at publishes where the projection is now, which may be behind the checkpoint
// that is stored.
func (p *Projector[T, E]) at(position Position, c Checkpoint) {
	parked := slices.SortedFunc(maps.Values(c.Parked), func(a, b Parked) int { return cmp.Compare(a.Key, b.Key) })
	p.mu.Lock()
	p.progress.Position = position
	p.progress.Parked = parked
	p.oldest = c.Time // what is not applied is younger
	close(p.moved)
	p.moved = make(chan struct{})
	p.mu.Unlock()
	select {
	case p.unsaved <- struct{}{}:
	default:
	}
}
