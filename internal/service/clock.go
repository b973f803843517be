package service

import (
	"context"
	"fmt"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

const (
	// clockPart is the process's clock, as a part of [Health].
	clockPart = "clock"
	// clockPause is how long after an answer the servers are asked for their time again.
	clockPause = 5 * time.Second
	// mostClockSkew is what tokens of sign-in tolerate, and far more than clocks that are kept by NTP differ.
	mostClockSkew = 30 * time.Second
)

// WatchClock compares the process's clock with the NATS servers' every few seconds, measures the difference, and says in the
// health and the log when it is more than 30 s, until ctx ends; then it returns nil. A service
// whose clock is wrong goes on: events are in the order of the stream, timers are the servers', and leases are
// measured by passing time. What it compares with other people's time is wrong.
func (e *Env) WatchClock(ctx context.Context) error {
	wrong := false
	for {
		limited, cancel := context.WithTimeout(ctx, watchPatience)
		skew, err := e.Store.ClockSkew(limited)
		cancel()
		if err == nil { // what does not answer is told by WatchStore
			e.Metrics.clockSkew.Set(skew.Ahead.Seconds())
			err := clockError(skew)
			e.Health.Set(clockPart, err)
			switch {
			case err != nil && !wrong:
				e.Log.Error().Err(err).Msg("the clock is wrong")
			case err == nil && wrong:
				e.Log.Info().Msg("the clock is right again")
			}
			wrong = err != nil
		}
		select {
		case <-time.After(clockPause):
		case <-ctx.Done():
			return nil
		}
	}
}

// clockError says that clocks differ too much, if they do so for certain.
func clockError(skew esjs.ClockSkew) error {
	if skew.Ahead.Abs()-skew.Within <= mostClockSkew {
		return nil
	}
	direction := "ahead of"
	if skew.Ahead < 0 {
		direction = "behind"
	}
	return fmt.Errorf("this machine's clock is %s %s that of the NATS server %s, and at most %s are right: set the wrong one of the two, by NTP",
		skew.Ahead.Abs().Round(time.Second), direction, skew.Server, mostClockSkew)
}
