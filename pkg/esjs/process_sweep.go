package esjs

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// sweepWorkers bounds how many instances a sweep looks at at the same time.
const sweepWorkers = 16

// sweepAgain is when a sweep that failed is repeated.
const sweepAgain = 5 * time.Second

// sweeping tells whether this instance of the process is the active one, which
// is the one that sweeps.
type sweeping struct {
	Observer
	subscription string
	active       atomic.Bool
	changed      chan struct{}
}

func (s *sweeping) Active(subscription string, active bool) {
	s.Observer.Active(subscription, active)
	if subscription != s.subscription {
		return
	}
	s.active.Store(active)
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// runSweeps sweeps when this instance becomes active and then every Sweep. One
// that fails is repeated sooner, and the process goes on: it is the safety net.
func (r *ProcessRunner[S, In, Out]) runSweeps(ctx context.Context, s *sweeping) error {
	next := time.NewTimer(r.cfg.Sweep)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.changed:
		case <-next.C:
		}
		wait := r.cfg.Sweep
		if s.active.Load() {
			if err := r.sweep(ctx); err != nil {
				wait = min(wait, sweepAgain)
			}
		}
		next.Reset(wait)
	}
}

// sweep arms the timers of open instances that are due before the next sweep
// but one, whatever this process remembers of them: the stream of timers may
// have been lost, and another process may have ended before it armed them.
func (r *ProcessRunner[S, In, Out]) sweep(ctx context.Context) error {
	if err := r.rebuild(ctx); err != nil {
		return err
	}
	keys, err := r.instances.due(ctx, time.Now().Add(2*r.cfg.Sweep))
	if err != nil {
		return err
	}
	return r.each(ctx, keys)
}

// rebuild makes the list of open instances from the instances' own streams when
// the bucket is new or was lost.
func (r *ProcessRunner[S, In, Out]) rebuild(ctx context.Context) error {
	complete, err := r.instances.complete(ctx)
	if complete || err != nil {
		return err
	}
	var keys []string
	for record, err := range r.store.ReadAll(ctx, Query{Categories: []string{r.process.Category}}) {
		if err != nil {
			return err
		}
		if record.Version == 1 {
			keys = append(keys, record.Stream.Key)
		}
	}
	if err := r.each(ctx, keys); err != nil {
		return err
	}
	return r.instances.setComplete(ctx)
}

// each lets timers and list follow the state of the given instances, as the
// leader has it. One that cannot be loaded does not keep the others from it.
func (r *ProcessRunner[S, In, Out]) each(ctx context.Context, keys []string) error {
	errs := make([]error, len(keys))
	var group errgroup.Group
	group.SetLimit(sweepWorkers)
	for i, key := range keys {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			loaded, err := r.handler.Load(ctx, key, Fresh())
			if err == nil {
				r.followed.Remove(key)
				err = r.follow(ctx, key, loaded.State, loaded.Revision.Version())
			}
			errs[i] = err
			return nil
		})
	}
	group.Wait() //nolint:errcheck // no function returns an error
	return errors.Join(append(errs, ctx.Err())...)
}
