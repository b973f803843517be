//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"syscall"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/test/chaos/flat"
	"github.com/b144f99b/orderflow/test/chaos/rig"
	"golang.org/x/sync/errgroup"
)

// A soak is a run that works for long, in cycles of work and rest. In the first third of the cycles a server is
// restarted in each; in the second one a server, and some of the services; in the last one nothing is.
// So everything lives for a third of them at least, and meets what the restarts of others leave behind.
const (
	cycleTakes  = 3 * time.Minute
	leastCycles = 3 * flat.Least
	// idles is longer than what may stay behind for a while: an ordered consumer that was left (10 s).
	idles = 15 * time.Second
	// goodsEachCycle come in, of each product, so that most orders have what they need.
	goodsEachCycle = 60
	// soakPause and soakOrders are the load: it must leave the machine idle enough to tell what is kept from what waits.
	soakPause  = time.Second            // of each writer between two operations
	soakOrders = 900 * time.Millisecond // between two customers
)

// cycles is how many a soak has: such that one takes three minutes, and enough to be judged.
func (c config) cycles() int { return max(leastCycles, int(c.time/cycleTakes)) }

// works is how long everybody works in a cycle; what is left is for the rest.
func (c config) works() time.Duration { return c.time / time.Duration(c.cycles()) * 3 / 4 }

// endure works and rests, and measures what is there at rest.
func (r *run) endure(ctx context.Context, s *shop, agg esjs.Aggregate[register, write, written]) error {
	s.every = soakOrders
	for _, w := range r.writers {
		w.pause = soakPause
	}
	m, err := newMeter(r, s)
	if err != nil {
		return err
	}
	defer m.close()
	l := &leaks{}
	defer l.close()
	for cycle := range r.cycles() {
		if err := s.receive(ctx, r.nc, fmt.Sprint("cycle-", cycle), func(int) int { return goodsEachCycle }); err != nil {
			return err
		}
		if err := r.work(ctx, cycle, s, agg); err != nil || ctx.Err() != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		if r.leak {
			if err := l.more(ctx, r, s); err != nil {
				return err
			}
		}
		if err := r.rest(ctx, m); err != nil {
			return err
		}
		if err := m.measure(ctx, cycle); err != nil {
			return err
		}
	}
	if s.watched.Load() == 0 {
		r.r.object("nobody who followed the live stream has seen an event")
	}
	return m.judge()
}

// work is one cycle's.
func (r *run) work(ctx context.Context, cycle int, s *shop, agg esjs.Aggregate[register, write, written]) error {
	ctx, end := context.WithTimeout(ctx, r.works())
	defer end()
	var all errgroup.Group
	all.Go(func() error { return r.restarts(ctx, cycle, s) })
	if err := r.write(ctx, &all, agg); err != nil {
		return err
	}
	all.Go(func() error { return s.trade(ctx, r.nc, r.seed) })
	for range 2 {
		all.Go(func() error { return s.watch(ctx) })
	}
	return all.Wait()
}

// restarts ends one thing after the other while everybody works, by turns as an operator does and by kill -9.
func (r *run) restarts(ctx context.Context, cycle int, s *shop) error {
	third := r.cycles() / 3
	if cycle >= 2*third {
		return nil
	}
	by := syscall.SIGTERM
	if cycle/rig.Size%2 == 1 {
		by = syscall.SIGKILL
	}
	_ = rig.Pause(ctx, r.works()/4) // what is begun is finished
	background := context.WithoutCancel(ctx)
	server := cycle % rig.Size
	if err := errors.Join(r.c.Process(server).End(background, by), r.c.Run(server), r.c.Healthy(background, recoversWithin)); err != nil {
		return err
	}
	what := fmt.Sprintf("%s by %s", r.c.Name(server), by)
	for i, name := range serviceNames {
		if cycle < third || i%third != cycle-third {
			continue
		}
		by := []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}[i%2]
		if err := s.services[name].End(background, by); err != nil { // it is kept
			return err
		}
		what += fmt.Sprintf(", %s by %s", name, by)
	}
	fmt.Fprintf(r.out, "%7.1f s  restarted: %s\n", r.r.now().Seconds(), what)
	return nil
}

// rest waits until nobody has anything to do, and then a while.
func (r *run) rest(ctx context.Context, m *meter) error {
	for deadline := time.Now().Add(settlesWithin); ; {
		left, err := m.orders.unsettled(ctx)
		if err != nil {
			return err
		}
		if left == nil {
			return rig.Pause(ctx, idles)
		}
		if time.Now().After(deadline) {
			r.r.object("not at rest after %s: %v", settlesWithin, left)
			return nil
		}
		if err := rig.Pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

// watch follows everything that happens at the gateway until ctx ends, and comes back when the stream ends.
func (s *shop) watch(ctx context.Context) error {
	for ctx.Err() == nil {
		s.look(ctx)
		_ = rig.Pause(ctx, time.Second) // the loop ends with ctx
	}
	return nil
}

// look follows one live stream for a while.
func (s *shop) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	answer, err := s.live(ctx)
	if err != nil {
		return // the gateway is restarted
	}
	defer answer.Body.Close()
	for buffer := make([]byte, 16<<10); ; {
		n, err := answer.Body.Read(buffer)
		s.watched.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// live opens a live stream; its reader closes it.
func (s *shop) live(ctx context.Context) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.web["gateway"]+"/v1/events/live", http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err == nil && answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return nil, errors.New(answer.Status)
	}
	return answer, err
}
