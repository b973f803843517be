package esjs

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"
)

// sweepWorkers bounds how many instances a sweep looks at at the same time.
const sweepWorkers = 16

// runSweeps sweeps at once and then every Sweep. A sweep that fails is repeated
// sooner: it is the safety net, and the process goes on without it.
func (r *ProcessRunner[S, In, Out]) runSweeps(ctx context.Context) error {
	const soon = 5 * time.Second
	for {
		wait := r.cfg.Sweep
		if err := r.sweep(ctx); err != nil {
			wait = min(wait, soon)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
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
