package esjs

import (
	"context"
	"slices"
	"sync"
)

// turns lets callers that want the same key go one after the other, in the order in
// which they came. The zero value is ready.
type turns struct {
	mu    sync.Mutex
	taken map[string][]chan struct{} // by key that somebody has: who waits for it
}

// take waits until the key is the caller's, who then has to [turns.pass] it. It
// returns ctx's error when that comes first.
func (t *turns) take(ctx context.Context, key string) error {
	t.mu.Lock()
	waiting, taken := t.taken[key]
	if !taken {
		if t.taken == nil {
			t.taken = map[string][]chan struct{}{}
		}
		t.taken[key] = nil
		t.mu.Unlock()
		return nil
	}
	mine := make(chan struct{})
	t.taken[key] = append(waiting, mine)
	t.mu.Unlock()
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
		t.giveUp(key, mine)
		return ctx.Err()
	}
}

// giveUp leaves the queue, or passes the turn that came meanwhile.
func (t *turns) giveUp(key string, mine chan struct{}) {
	t.mu.Lock()
	at := slices.Index(t.taken[key], mine)
	if at >= 0 {
		t.taken[key] = slices.Delete(t.taken[key], at, at+1)
	}
	t.mu.Unlock()
	if at < 0 {
		t.pass(key)
	}
}

// pass gives the key to the next one who waits for it.
func (t *turns) pass(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	waiting := t.taken[key]
	if len(waiting) == 0 {
		delete(t.taken, key)
		return
	}
	close(waiting[0])
	t.taken[key] = waiting[1:]
}
