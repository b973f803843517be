package esjstest

import (
	"context"
	"errors"
	"sync"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// Handler is what a subscription calls.
type Handler[E esjs.Event] = func(context.Context, esjs.Recorded[E]) error

// Twice calls handle twice for each event, as a subscription does when its
// process ends between handling an event and storing its position.
func Twice[E esjs.Event](handle Handler[E]) Handler[E] {
	return func(ctx context.Context, e esjs.Recorded[E]) error {
		if err := handle(ctx, e); err != nil {
			return err
		}
		return handle(ctx, e)
	}
}

// ErrLate is what [Late] fails with.
var ErrLate = errors.New("esjstest: not yet")

// Late fails each event n times before it calls handle, so that it comes late
// and events of other keys overtake it.
func Late[E esjs.Event](n int, handle Handler[E]) Handler[E] {
	var mu sync.Mutex
	failed := map[string]int{}
	return func(ctx context.Context, e esjs.Recorded[E]) error {
		mu.Lock()
		late := failed[e.ID] < n
		if late {
			failed[e.ID]++
		}
		mu.Unlock()
		if late {
			return ErrLate
		}
		return handle(ctx, e)
	}
}

// Rewound calls handle for each event, and after every n events of an aggregate
// once more for the last n of them, in their order, as a subscription does that
// starts again from a position of before. It remembers n events of each
// aggregate.
func Rewound[E esjs.Event](n int, handle Handler[E]) Handler[E] {
	var mu sync.Mutex
	recent := map[esjs.StreamID][]esjs.Recorded[E]{}
	// Events of one aggregate come one after the other, so what is taken out
	// here is nobody else's until it is put back.
	return func(ctx context.Context, e esjs.Recorded[E]) error {
		if err := handle(ctx, e); err != nil {
			return err
		}
		mu.Lock()
		last := recent[e.Stream]
		if len(last) == 0 || last[len(last)-1].ID != e.ID { // it is not tried again
			last = append(last, e)
		}
		recent[e.Stream] = last
		mu.Unlock()
		if len(last) < n {
			return nil
		}
		for _, again := range last {
			if err := handle(ctx, again); err != nil {
				return err
			}
		}
		mu.Lock()
		delete(recent, e.Stream)
		mu.Unlock()
		return nil
	}
}
