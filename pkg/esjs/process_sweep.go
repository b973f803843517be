package esjs

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
	"golang.org/x/sync/errgroup"
)

// sweepWorkers bounds how many instances a sweep looks at at the same time.
const sweepWorkers = 16

// sweepAgain is when a sweep that failed is repeated for the first time; then
// the pause doubles.
const sweepAgain = 5 * time.Second

// sweepErrors bounds how many instances that failed a sweep names.
const sweepErrors = 10

// sweeping tells whether this instance of the process is the active one, which
// is the one that sweeps: of several that share the inputs the one that handles fired timers.
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
// that fails is told and repeated sooner, and the process goes on: it is the
// safety net.
func (r *ProcessRunner[S, In, Out]) runSweeps(ctx context.Context, s *sweeping) error {
	next := time.NewTimer(r.cfg.Sweep)
	defer next.Stop()
	for failed := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-s.changed:
			failed = 0
		case <-next.C:
		}
		wait := r.cfg.Sweep
		if s.active.Load() {
			began := time.Now()
			err := r.sweep(ctx)
			if ctx.Err() != nil {
				return nil
			}
			r.observer.Handled(r.process.Name+"-sweep", time.Since(began), err)
			if err != nil {
				wait = min(wait, sweepAgain<<min(failed, 10))
				failed++
			} else {
				failed = 0
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
		return fmt.Errorf("esjs: sweep of process %s: make the list of open instances: %w", r.process.Name, err)
	}
	due, err := r.instances.due(ctx, time.Now().Add(2*r.cfg.Sweep))
	if err != nil {
		return fmt.Errorf("esjs: sweep of process %s: %w", r.process.Name, err)
	}
	return r.each(ctx, due, r.sweepOne)
}

// rebuild makes the list of open instances from the instances' own streams when
// the bucket is new or was lost. One that cannot be loaded stays on the list, so
// that the sweeps look at it and say so.
func (r *ProcessRunner[S, In, Out]) rebuild(ctx context.Context) error {
	complete, err := r.instances.complete(ctx)
	if complete || err != nil {
		return err
	}
	found, err := r.everyInstance(ctx)
	if err != nil {
		return err
	}
	err = r.each(ctx, found, func(ctx context.Context, i listedInstance) error {
		err := r.sweepOne(ctx, i)
		if ofInstance(err) {
			err = r.list(ctx, i.key)
		}
		return err
	})
	if err != nil {
		return err
	}
	return r.instances.setComplete(ctx)
}

// EachOpen calls look with the state of every instance that has not ended, as the leader
// has it, for up to 16 of them at a time; it is for checks before Run, such as whether all that
// they need is configured. Instances that begin meanwhile may be left out, and those that
// cannot be read are: Run quarantines them with their next input. Where the list of
// open instances is new or was lost it is made first, from all of the store. The errors of
// look are joined, of which at most ten are told.
func (r *ProcessRunner[S, In, Out]) EachOpen(ctx context.Context, look func(key string, state S) error) error {
	if err := r.rebuild(ctx); err != nil {
		return fmt.Errorf("esjs: process %s: make the list of open instances: %w", r.process.Name, err)
	}
	open, err := r.instances.list(ctx, func(openInstance) bool { return true })
	if err != nil {
		return fmt.Errorf("esjs: process %s: %w", r.process.Name, err)
	}
	return r.each(ctx, open, func(ctx context.Context, i listedInstance) error {
		loaded, err := r.handler.Load(ctx, i.key, Fresh())
		switch {
		case ofInstance(err):
			return nil
		case err != nil:
			return err
		case loaded.Revision.Version() == 0 || r.process.done(loaded.State):
			return nil
		}
		return look(i.key, loaded.State)
	})
}

// everyInstance reads the keys of all instances that ever were from the store.
func (r *ProcessRunner[S, In, Out]) everyInstance(ctx context.Context) ([]listedInstance, error) {
	var found []listedInstance
	seen := map[string]bool{}
	err := r.store.each(func(part *Store) error {
		last, err := part.Last(ctx)
		if err != nil {
			return err
		}
		subjects, err := part.querySubjects(Query{Categories: []string{r.process.Category}})
		if err != nil {
			return err
		}
		src := source{stream: part.cfg.Stream, subjects: subjects, gapless: true, whole: true}
		return part.scan(ctx, src, 0, last.sequence, func(m message) error {
			_, key, err := wire.ParseSubject(part.cfg.Prefix, m.subject)
			if err == nil && !seen[key] { // what is no key is no instance
				seen[key] = true
				found = append(found, listedInstance{key: key})
			}
			return nil
		})
	})
	return found, err
}

// sweepOne lets timers and list follow the state of an instance, as the leader
// has it. An entry for an instance that never came to be is removed.
func (r *ProcessRunner[S, In, Out]) sweepOne(ctx context.Context, i listedInstance) error {
	loaded, err := r.handler.Load(ctx, i.key, Fresh())
	switch {
	case err != nil:
		return err
	case loaded.Revision.Version() == 0 && i.revision > 0 && time.Since(i.listed) > r.instances.stays:
		return r.instances.forget(ctx, i)
	}
	r.followed.Remove(i.key)
	return r.follow(ctx, i.key, loaded.State, loaded.Revision.Version())
}

// each looks at instances at the same time. One that fails does not keep the
// others from it.
func (r *ProcessRunner[S, In, Out]) each(ctx context.Context, list []listedInstance, look func(context.Context, listedInstance) error) error {
	errs := make([]error, len(list))
	var group errgroup.Group
	group.SetLimit(sweepWorkers)
	for n, i := range list {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			if err := look(ctx, i); err != nil {
				errs[n] = fmt.Errorf("esjs: %s/%s: %w", r.process.Category, i.key, err)
			}
			return nil
		})
	}
	group.Wait() //nolint:errcheck // no function returns an error
	return errors.Join(fewer(errs), ctx.Err())
}

// fewer joins the first errors and tells how many there are.
func fewer(errs []error) error {
	var named []error
	n := 0
	for _, err := range errs {
		if err == nil {
			continue
		}
		if n++; n <= sweepErrors {
			named = append(named, err)
		}
	}
	if n > sweepErrors {
		named = append(named, fmt.Errorf("esjs: and %d more instances", n-sweepErrors))
	}
	return errors.Join(named...)
}
