package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/esjsbench"
)

// market is an order system with its customers.
type market struct {
	servers  esjsbench.Servers
	services *esjsbench.Process
	shop     demo
	seen     *sightings
}

// order places an order and waits until it is completed.
func (m *market) order(ctx context.Context, id string) (p placed, err error) {
	ctx, cancel := context.WithTimeout(ctx, scenarioTime)
	defer cancel()
	watch := m.seen.expect(id)
	defer m.seen.forget(id)
	begun := time.Now()
	var submitted time.Time
	err = m.shop.placeBy(ctx, scenario{quantity: 1, method: "card-ok"}, id, func(_ string, start time.Time) {
		p.commands = append(p.commands, time.Since(start))
		submitted = start
	})
	if err != nil {
		return p, err
	}
	select {
	case <-watch.completed:
	case <-ctx.Done():
		return p, fmt.Errorf("order %s was not completed within %v", id, scenarioTime)
	}
	p.ended = watch.ended
	p.whole, p.completed = p.ended.Sub(begun), p.ended.Sub(submitted)
	p.steps = map[orderStep]time.Duration{}
	for step, at := range watch.steps {
		p.steps[step] = at.Sub(submitted)
	}
	return p, nil
}

// round lets so many customers order for a time, one order at least, and to the end what they have begun.
func (m *market) round(ctx context.Context, name string, customers int, during time.Duration, p *pool) error {
	before, err := m.processors()
	if err != nil {
		return err
	}
	start := time.Now()
	var (
		mu       sync.Mutex
		ordering sync.WaitGroup
	)
	ended := -len(p.orders)
	for c := range customers {
		ordering.Go(func() {
			for n := 0; n == 0 || ctx.Err() == nil && time.Since(start) < during; n++ {
				order, err := m.order(ctx, fmt.Sprintf("bench-%s-%d-%d", name, c, n))
				mu.Lock()
				if err != nil {
					p.failed++
				} else {
					p.orders = append(p.orders, order)
				}
				mu.Unlock()
			}
		})
	}
	ordering.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	after, err := m.processors()
	if err != nil {
		return err
	}
	took := time.Since(start)
	ended += len(p.orders)
	p.took += took
	p.servers += after[0] - before[0]
	p.services += after[1] - before[1]
	p.customers += after[2] - before[2]
	p.rates = append(p.rates, float64(ended)/took.Seconds())
	p.load = append(p.load, esjsbench.LoadAverage())
	return nil
}

// processors is the processor time of servers, services and this process.
func (m *market) processors() (used [3]time.Duration, err error) {
	for _, s := range m.servers {
		one, err := s.ProcessorTime()
		if err != nil {
			return used, err
		}
		used[0] += one
	}
	used[1], err = m.services.ProcessorTime()
	used[2] = esjsbench.ProcessorTime()
	return used, err
}

// profile lets customers order once more while all processes write profiles.
func (m *market) profile(ctx context.Context, customers int, during time.Duration, prefix string) (err error) {
	processes := map[string]*esjsbench.Process{"services": m.services}
	for i, s := range m.servers {
		processes[fmt.Sprint("server-", i)] = s.Process
	}
	for name, p := range processes {
		stop, err := p.Profile(prefix + name + ".pprof")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	return m.round(ctx, "profiled", customers, during, new(pool))
}
