package esjs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// LogObserver returns an [Observer] that writes what somebody should look at to a log:
// calls of handlers and transactions of projections that failed, keys that are parked,
// appends and commands that failed, snapshots that were not stored (one a minute, with how many
// more there were before), connections that were lost, windows that are full. What is
// part of normal work, a command that the domain refuses or another writer who was faster,
// is written at the level of debugging.
func LogObserver(logger *slog.Logger) Observer {
	return logObserver{log: logger, snapshots: &logPace{}}
}

type logObserver struct {
	NopObserver
	log       *slog.Logger
	snapshots *logPace
}

// logPace lets one line a minute be written.
type logPace struct {
	mu     sync.Mutex
	last   time.Time
	passed int
}

// next tells whether a line is due, and how many were not since the last one.
func (p *logPace) next(now time.Time) (passed int, due bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.last) < time.Minute {
		p.passed++
		return 0, false
	}
	passed, p.last, p.passed = p.passed, now, 0
	return passed, true
}

// failed writes an error at its level.
func (o logObserver) failed(message string, err error, fields ...any) {
	if err == nil {
		return
	}
	write := o.log.Error
	if errors.As(err, new(*Rejection)) || errors.Is(err, ErrConflict) || errors.Is(err, context.Canceled) {
		write = o.log.Debug
	}
	write(message, append(fields, "error", err)...)
}

func (o logObserver) Appended(a AppendInfo) {
	o.failed("an append failed", a.Err, "stream", a.Stream.String())
}

func (o logObserver) Settled(id StreamID, found Settlement) {
	if found == SettledUnknown {
		o.log.Warn("the leader cannot be asked what became of a commit", "stream", id.String())
	}
}

func (o logObserver) SnapshotStored(s SnapshotInfo) {
	if errors.As(s.Err, new(*ErasedError)) {
		o.log.Debug("a snapshot was not stored", "stream", s.Stream.String(), "error", s.Err)
		return
	}
	if s.Err == nil {
		return
	}
	if more, due := o.snapshots.next(time.Now()); due {
		o.log.Warn("a snapshot was not stored", "stream", s.Stream.String(), "more", more, "error", s.Err)
	}
}

func (o logObserver) Decided(d DecisionInfo) {
	o.failed("a command failed", d.Err, "stream", d.Stream.String(), "attempts", d.Attempts)
}

func (o logObserver) Connected(connection string, connected bool) {
	if connected {
		o.log.Debug("a connection is there", "connection", connection)
		return
	}
	o.log.Warn("a connection was lost", "connection", connection)
}

func (o logObserver) Handled(subscription string, took time.Duration, err error) {
	o.failed("handling failed", err, "subscription", subscription, "took", took)
}

func (o logObserver) ParkedKeys(subscription string, n int) {
	write := o.log.Warn
	if n == 0 {
		write = o.log.Debug
	}
	write("keys are parked", "subscription", subscription, "keys", n)
}

func (o logObserver) Active(subscription string, active bool) {
	o.log.Debug("the lease has changed", "subscription", subscription, "active", active)
}

func (o logObserver) Fenced(subscription string) {
	o.log.Warn("the lease was not renewed in time", "subscription", subscription)
}

func (o logObserver) WindowFull(subscription string, full bool) {
	write := o.log.Warn
	if !full {
		write = o.log.Debug
	}
	write("the window of commits that are not finished has changed", "subscription", subscription, "full", full)
}

func (o logObserver) Unexpected(process, state, input string) {
	o.log.Warn("a process does not know this input in this state", "process", process, "state", state, "input", input)
}
