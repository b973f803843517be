package esjs

import (
	"cmp"
	"context"
	"errors"
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
	progress Progress      // Last, Lag and Behind are worked out when asked
	last     []Position    // of each partition, as far as it is known
	oldest   time.Time     // when the oldest event that is not applied happened; zero when all are
	moved    chan struct{} // closed and replaced when the position moves
	events   uint64        // passed since this projector was made
	pace     pace
	failed   error // what Run ended with

	unsaved chan struct{} // the position moved, and the lease does not show it yet
}

// NewProjector prepares a projection on a sink.
func NewProjector[T any, E Event](store *Store, sink Sink[T], p Projection[T, E], cfg ProjectionConfig) *Projector[T, E] {
	cfg.Batch = orDefault(cfg.Batch, 500)
	cfg.Lease = orDefault(cfg.Lease, defaultLease)
	cfg.Observer = store.observerOr(cfg.Observer)
	cfg.Retry.First = orDefault(cfg.Retry.First, 100*time.Millisecond)
	cfg.Retry.Max = orDefault(cfg.Retry.Max, 2*time.Second)
	cfg.Retry.Attempts = orDefault(cfg.Retry.Attempts, 5)
	return &Projector[T, E]{
		store:      store,
		sink:       sink,
		projection: p,
		cfg:        cfg,
		progress:   Progress{Name: p.FullName()},
		last:       make([]Position, len(store.parts)),
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
// or an Apply, with a query of what only [Store.ReadAll] knows, with personal values on a store without keys, or with effects on a store of several partitions, and with a
// *[CorruptError] a checkpoint beyond the store's end, which is of another store, and with [ErrRefused], like [Subscribe], where the connection
// has no right to read the store or to write the Bucket. So it does where the sink or Apply say [ErrConfig] or
// [ErrRefused], which is no event's fault. It ends when more than 1000 keys are parked: then
// it is the projection that is wrong, not the events.
func (p *Projector[T, E]) Run(ctx context.Context) error {
	err := p.run(ctx)
	p.cfg.Observer.Stopped(p.projection.FullName())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = err
	p.wake()
	return err
}

func (p *Projector[T, E]) run(ctx context.Context) error {
	if err := p.projection.check(); err != nil {
		return err
	}
	if err := p.store.checkPersonal(p.projection.Codec.personal); err != nil {
		return fmt.Errorf("projection %s: %w", p.projection.FullName(), err)
	}
	if p.projection.Effect != nil { // a version that waits behind the live one waits in all partitions at the first that it finds
		if err := p.store.single("a projection with effects"); err != nil {
			return fmt.Errorf("projection %s: %w", p.projection.FullName(), err)
		}
	}
	run := p.turn
	if p.cfg.Bucket != "" {
		if err := p.store.general.checkBucket(ctx, p.cfg.Bucket); errors.Is(err, ErrConfig) {
			return fmt.Errorf("projection %s: %w", p.projection.FullName(), err)
		}
		run = p.turns
	}
	if err := run(ctx); ctx.Err() == nil {
		return refused(fmt.Errorf("projection %s: %w", p.projection.FullName(), err))
	}
	return nil
}

// waitPoll is how often who waits looks at the checkpoint that another instance moves.
const waitPoll = 25 * time.Millisecond

// WaitFor blocks until the projection has passed pos, and then returns nil, or
// until ctx ends, and then returns its error. It may be the place of one commit, or one in
// several partitions. What is stored at pos is then
// visible in the sink, unless its key is parked. Without a lease it also returns what
// Run has ended with: then nobody else projects.
//
// It may be asked of any instance. One that is not projecting, because another
// one has the lease or Run was not called, reads the stored checkpoint every
// 25 ms; that one may be up to a second behind where events are ignored.
func (p *Projector[T, E]) WaitFor(ctx context.Context, pos Position) error {
	for {
		p.mu.Lock()
		passed, moved, active, failed := p.progress.Position.Covers(pos), p.moved, p.progress.Active, p.failed
		p.mu.Unlock()
		if passed {
			return nil
		}
		var poll <-chan time.Time
		if !active {
			stored, err := p.sink.Load(ctx, p.projection.FullName())
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err == nil && stored.Position.Covers(pos):
				return nil
			case err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrUnavailable):
				return err
			case failed != nil && p.cfg.Bucket == "":
				return failed
			}
			poll = time.After(waitPoll)
		}
		select {
		case <-moved:
		case <-poll:
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
	progress.Last = joinPositions(p.last)
	positions := 0.0
	if progress.Active {
		progress.EventsPerSecond, positions = p.pace.until(p.here(time.Now()))
	}
	if progress.Lag = progress.Position.upTo(progress.Last); progress.Lag > 0 {
		if !p.oldest.IsZero() {
			progress.Behind = max(0, time.Since(p.oldest))
		}
		if positions > 0 {
			progress.Remaining = time.Duration(float64(progress.Lag) / positions * float64(time.Second))
		}
	}
	return progress
}

// active notes whether this instance is projecting.
func (p *Projector[T, E]) active(active bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.progress.Active = active
	p.pace = pace{}
	p.wake() // who waits asks elsewhere now
}

// wake lets those look again who wait; the caller holds the lock.
func (p *Projector[T, E]) wake() {
	close(p.moved)
	p.moved = make(chan struct{})
}

// at publishes where the projection is now, which may be behind the checkpoint
// that is stored.
func (p *Projector[T, E]) at(position Position, c Checkpoint) {
	parked := slices.SortedFunc(maps.Values(c.Parked), func(a, b Parked) int { return cmp.Compare(a.Key, b.Key) })
	p.mu.Lock()
	p.progress.Position = position
	p.progress.Parked = parked
	p.progress.Live = c.Live
	p.oldest = c.Time // what is not applied is younger
	p.wake()
	p.mu.Unlock()
	select {
	case p.unsaved <- struct{}{}:
	default:
	}
}
