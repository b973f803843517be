package service

import (
	"context"
	"time"
)

const (
	// storePart is the event store, as a part of [Health].
	storePart = "event store"
	// storePause is how long after an answer the store is asked again.
	storePause = 5 * time.Second
	// storePatience is longer than a cluster usually takes to elect a leader.
	storePatience = 15 * time.Second
)

// WatchStore asks every few seconds whether the event store answers and is as it must be, and says in the
// health and the log what is wrong, until ctx ends; then it returns nil. It does
// not write: that nothing can be stored is told by leases that are not renewed.
func (e *Env) WatchStore(ctx context.Context) error {
	var before error
	for {
		limited, cancel := context.WithTimeout(ctx, storePatience)
		err := e.Store.Check(limited)
		cancel()
		if ctx.Err() != nil {
			return nil //nolint:nilerr // what was asked last was given up
		}
		e.Health.Set(storePart, err)
		switch {
		case err != nil && (before == nil || before.Error() != err.Error()):
			e.Log.Error().Err(err).Msg("the event store cannot be used; it is asked again")
		case err == nil && before != nil:
			e.Log.Info().Msg("the event store can be used again")
		}
		before = err
		select {
		case <-time.After(storePause):
		case <-ctx.Done():
			return nil
		}
	}
}
