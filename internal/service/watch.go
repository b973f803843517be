package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// watchPause is how long after a good answer the next one is asked for.
	watchPause = 3 * time.Second
	// watchAgain is that after a bad one.
	watchAgain = 250 * time.Millisecond
	// watchGrace is how long answers must have been bad before anybody is told: a connection that is
	// lost and there again at once takes a tenth of it.
	watchGrace = 2 * time.Second
	// watchPatience bounds one question. It is longer than a cluster usually takes to elect a leader.
	watchPatience = 15 * time.Second
)

// Watch asks every few seconds, by check, whether what the service needs is there and as it must be, until
// ctx ends; then it returns nil. What is wrong for longer than 2 s is told by the health, where what ("event
// store") is the part's name, by the log, and by the metric dependency_ready. A check that does not come back for
// 15 s has its context ended. That all is well again is told at once.
func (e *Env) Watch(ctx context.Context, what string, check func(context.Context) error) error {
	metric := e.Metrics.dependencies.WithLabelValues(e.Name, what)
	metric.Set(1)
	var (
		wrong time.Time // since when; zero: it is not
		told  string    // what is wrong, as it was told
	)
	for {
		asked := time.Now()
		limited, cancel := context.WithTimeout(ctx, watchPatience)
		err := check(limited)
		cancel()
		if ctx.Err() != nil {
			return nil //nolint:nilerr // what was asked last was given up
		}
		pause := watchAgain
		switch {
		case err == nil:
			pause, wrong = watchPause, time.Time{}
			metric.Set(1)
			e.Health.Set(what, nil)
			if told != "" {
				e.Log.Info().Msg("the " + what + " can be used again")
			}
			told = ""
		case wrong.IsZero():
			wrong = asked
			if errors.Is(err, nats.ErrDisconnected) { // a moment ago, however long the question had waited
				wrong = time.Now()
			}
			fallthrough
		default:
			if told == "" && time.Since(wrong) < watchGrace {
				break
			}
			e.Lack(what, err)
			if told != err.Error() {
				e.Log.Error().Err(err).Msg("the " + what + " cannot be used; it is asked again")
			}
			told = err.Error()
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// Lack tells, as [Env.Watch] does, that what the service needs is not there. It is for what cannot be watched yet,
// because the service does not have it; Watch takes it back.
func (e *Env) Lack(what string, err error) {
	e.Metrics.dependencies.WithLabelValues(e.Name, what).Set(0)
	e.Health.Set(what, err)
}

// WatchStore watches the event store ([Env.Watch]): whether its leader answers, and its stream is configured as it must be.
// It does not write: that nothing can be stored is told by leases that are not renewed.
func (e *Env) WatchStore(ctx context.Context) error { return e.Watch(ctx, "event store", e.CheckStore) }

// CheckStore asks once ([esjs.Store.Check]). A connection that is lost meanwhile ends it with [nats.ErrDisconnected]: whether it comes back at once
// is for the next one to see.
func (e *Env) CheckStore(ctx context.Context) error {
	nc := e.Store.Conn()
	lost := nc.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	defer nc.RemoveStatusListener(lost)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-lost:
			cancel(nats.ErrDisconnected)
		case <-ctx.Done():
		}
	}()
	err := e.Store.Check(ctx)
	if err != nil && errors.Is(context.Cause(ctx), nats.ErrDisconnected) {
		return fmt.Errorf("event store: %w", nats.ErrDisconnected)
	}
	return err
}
