package main

import (
	"context"
	"sync"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// sightings see what is stored of the orders that somebody waits for.
type sightings struct {
	mu     sync.Mutex
	orders map[string]*sighting
}

// sighting is what was seen of one order.
type sighting struct {
	completed chan struct{} // closed when ended is set; nothing is written after that
	ended     time.Time
	steps     map[orderStep]time.Time
	last      esjs.Position
}

func newSightings() *sightings { return &sightings{orders: map[string]*sighting{}} }

func (s *sightings) expect(order string) *sighting {
	watch := &sighting{completed: make(chan struct{}), steps: map[orderStep]time.Time{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders[order] = watch
	return watch
}

func (s *sightings) forget(order string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.orders, order)
}

// follow sees events as they are stored after from, until ctx ends. An order's events have its id for their correlation.
func (s *sightings) follow(ctx context.Context, store *esjs.Store, from esjs.Position) error {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		return err
	}
	return esjs.Subscribe(ctx, store, esjs.SubscriptionConfig[events.Event]{
		Name: "bench", EveryInstance: true, Codec: codec, From: from, SkipUnknown: true,
		Key: func(esjs.Recorded[events.Event]) string { return "all" }, Workers: 1,
	}, func(_ context.Context, e esjs.Recorded[events.Event]) error {
		s.see(e.Record)
		return nil
	})
}

func (s *sightings) see(r esjs.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	watch := s.orders[r.Metadata.CorrelationID]
	if watch == nil || !watch.ended.IsZero() {
		return
	}
	now := time.Now()
	if step := (orderStep{Category: r.Stream.Category, Event: r.Type}); r.Position != watch.last {
		if _, found := watch.steps[step]; !found {
			watch.steps[step] = now
		}
		watch.last = r.Position
	}
	if r.Type == (events.OrderCompleted{}).EventType() {
		watch.ended = now
		close(watch.completed)
	}
}
