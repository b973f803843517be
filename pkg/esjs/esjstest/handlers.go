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
