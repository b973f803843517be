package esjstest

import (
	"context"
	"fmt"
	"sync"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// Unreliable does to a sink what databases do now and then: every commit is
// first rolled back after its events were applied, and then stored while the
// answer that says so is lost. A projection on it ends with the rows that it has
// without faults; what its Apply does beside rows happens more than once.
func Unreliable[T any](sink esjs.Sink[T]) esjs.Sink[T] {
	return &unreliableSink[T]{Sink: sink, seen: map[string]int{}}
}

type unreliableSink[T any] struct {
	esjs.Sink[T]

	mu   sync.Mutex
	seen map[string]int // how often a checkpoint was to be stored
}

func (u *unreliableSink[T]) Commit(ctx context.Context, name string, step func(context.Context, T, esjs.Checkpoint) (esjs.Checkpoint, error)) error {
	lost := false
	err := u.Sink.Commit(ctx, name, func(ctx context.Context, tx T, now esjs.Checkpoint) (esjs.Checkpoint, error) {
		to, err := step(ctx, tx, now)
		if err != nil {
			return to, err
		}
		switch u.saw(name + " " + to.Position.String()) {
		case 0:
			return to, fmt.Errorf("%w: the test rolled the transaction back", esjs.ErrUnavailable)
		case 1:
			lost = true
		}
		return to, nil
	})
	if err == nil && lost {
		return fmt.Errorf("%w: the test lost the answer to a commit", esjs.ErrUnavailable)
	}
	return err
}

// saw returns how often the commit was seen before.
func (u *unreliableSink[T]) saw(commit string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen[commit]++
	return u.seen[commit] - 1
}
