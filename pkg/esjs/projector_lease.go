package esjs

import (
	"context"
	"errors"
	"sync"
	"time"
)

// projectionEntry begins the names of projections among those of subscriptions.
const projectionEntry = "projection "

// turns takes a turn whenever this instance has the lease. The lease shows the
// position among those of subscriptions; where a turn begins is the sink's
// word alone.
func (p *Projector[T, E]) turns(ctx context.Context) error {
	name := p.projection.FullName()
	c := claim{
		bucket:       bucket{store: p.store, name: p.cfg.Bucket},
		subscription: projectionEntry + name,
		stream:       p.store.cfg.Stream,
		owner:        ownerOr(p.cfg.Owner),
		length:       p.cfg.Lease,
		standby:      func() { p.cfg.Observer.Active(name, false) },
	}
	for {
		l, work, _, err := acquire(ctx, c)
		if err != nil {
			p.cfg.Observer.Active(name, false) // it is not waited for any more
			return err
		}
		p.cfg.Observer.Active(name, true)
		err = p.leasedTurn(ctx, work, l)
		p.cfg.Observer.Active(name, false)
		if ctx.Err() != nil || !errors.Is(err, errFenced) && !errors.Is(err, ErrConflict) {
			return err
		}
		c.previous = l.token
		if errors.Is(err, errFenced) {
			p.cfg.Observer.Fenced(name)
		} else if !sleep(ctx, givePause) { // somebody without a lease projects, too
			return ctx.Err()
		}
	}
}

// leasedTurn ends with ctx, or with work, which means that the lease is lost.
func (p *Projector[T, E]) leasedTurn(ctx, work context.Context, l *lease) error {
	turn, end := context.WithCancel(ctx)
	defer end()
	defer context.AfterFunc(work, end)()
	stop, stopKeeping := context.WithCancel(context.WithoutCancel(ctx))
	var keeper sync.WaitGroup
	keeper.Go(func() { l.keep(stop, work, p.unsaved, p.place) })
	// The lease of an Apply that does not end runs out.
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drainTime, stopKeeping) })()

	err := p.turn(turn)
	stopKeeping()
	keeper.Wait()
	if work.Err() != nil {
		return context.Cause(work)
	}
	l.release(work, p.place())
	return err
}

// place is what the lease shows.
func (p *Projector[T, E]) place() place {
	p.mu.Lock()
	defer p.mu.Unlock()
	return place{Floor: p.progress.Position}
}
