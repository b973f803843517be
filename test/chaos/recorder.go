//go:build linux

package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/test/chaos/history"
)

// recorder collects what happens while it happens.
type recorder struct {
	begun time.Time

	mu    sync.Mutex
	h     history.History
	fault string         // that the nemesis does, or did last
	notes map[string]int // what is no finding, and worth telling
	wrong []string       // what must not be, and is not seen in the history
}

func newRecorder() *recorder {
	return &recorder{
		begun: time.Now(), h: history.History{Sessions: map[string][]int{}},
		notes: map[string]int{},
	}
}

// now is the time since the run's start, by a clock that never jumps.
func (r *recorder) now() time.Duration { return time.Since(r.begun) }

// done adds an operation that has just returned.
func (r *recorder) done(op history.Op) {
	op.Return = r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	op.Fault = r.fault
	r.h.Ops = append(r.h.Ops, op)
}

// begin and healed tell what the nemesis does.
func (r *recorder) begin(f history.Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f.Begun = r.now()
	r.fault = f.Name
	r.h.Faults = append(r.h.Faults, f)
}

func (r *recorder) last(change func(*history.Fault)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.h.Faults[len(r.h.Faults)-1])
}

func (r *recorder) handled(d history.Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.h.Deliveries = append(r.h.Deliveries, d)
}

// object tells of something that must not be.
func (r *recorder) object(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
}

// stored adds an event of the log, in its order.
func (r *recorder) stored(record esjs.Record, op string) {
	sequence := record.Position.Sequence()
	if n := len(r.h.Log); n == 0 || r.h.Log[n-1].Sequence != sequence {
		r.h.Log = append(r.h.Log, history.Commit{Sequence: sequence, Key: record.Stream.Key, First: record.Version})
	}
	c := &r.h.Log[len(r.h.Log)-1]
	c.Ops, c.Times = append(c.Ops, op), append(c.Times, record.Time.UnixNano())
}

// note counts something that may happen.
func (r *recorder) note(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes[what]++
}

// deliveries counts what a subscription's session has handled, each event once.
func (r *recorder) deliveries(subscription string, session int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, n := map[string]uint64{}, 0
	for _, d := range r.h.Deliveries {
		if d.Subscription == subscription && d.Session == session && d.Version > last[d.Key] {
			last[d.Key] = d.Version
			n++
		}
	}
	return n
}
