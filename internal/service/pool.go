package service

import "context"

// pool bounds how many requests are handled at once. A NATS subscription calls
// its handler for one message after the other, so what takes time must be
// handed on; and what is handed on without bound fills the memory.
type pool struct{ slots chan struct{} }

func newPool(size int) pool { return pool{slots: make(chan struct{}, size)} }

// try runs f on a goroutine of its own, or returns false when the pool is full
// or has been drained.
func (p pool) try(f func()) bool {
	select {
	case p.slots <- struct{}{}:
	default:
		return false
	}
	go func() {
		defer func() { <-p.slots }()
		f()
	}()
	return true
}

// drain waits until everything that runs has ended, or ctx has; afterwards the
// pool is full for ever.
func (p pool) drain(ctx context.Context) {
	for range cap(p.slots) {
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}
