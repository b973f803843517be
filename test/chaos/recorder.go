//go:build linux

package main

import (
	"cmp"
	"fmt"
	"slices"
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
	fault string // that the nemesis does, or did last
}

func newRecorder() *recorder {
	return &recorder{begun: time.Now(), h: history.History{Sessions: map[string][]int{}, End: history.End{Notes: map[string]int{}, Unread: "the run ended before it was to be read"}}}
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

// placed adds an order that a customer has just been told to have placed.
func (r *recorder) placed(id string, plain bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.h.Orders = append(r.h.Orders, history.PlacedOrder{ID: id, Placed: r.now(), Fault: r.fault, Plain: plain})
}

// orders is how many were placed.
func (r *recorder) orders() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.h.Orders)
}

// ended tells how each order ended, by id; it returns those that are not there.
func (r *recorder) ended(states map[string]string) (lost []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, o := range r.h.Orders {
		end := cmp.Or(states[o.ID], history.NotStored)
		if end == history.NotStored {
			lost = append(lost, o.ID)
		}
		r.h.Orders[i].End = end
	}
	return lost
}

// stopped tells that clients are told to end now.
func (r *recorder) stopped() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.h.Stopped = r.now()
}

// served tells that a write was acknowledged after a time.
func (r *recorder) served(after time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.h.Ops, func(op history.Op) bool {
		return op.Return > after && op.Kind.Writes() && op.Outcome == history.Acknowledged
	})
}

// begin tells what the nemesis does.
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

// happened names the faults that have.
func (r *recorder) happened() (names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.h.Faults {
		names = append(names, f.Name)
	}
	return names
}

func (r *recorder) handled(d history.Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.h.Deliveries = append(r.h.Deliveries, d)
}

// object tells of something that must not be, once.
func (r *recorder) object(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.h.Wrong, text) {
		r.h.Wrong = append(r.h.Wrong, text)
	}
}

// objected tells that something must not be.
func (r *recorder) objected() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.h.Wrong) > 0
}

// read tells whether the log was, which is to its end or not at all.
func (r *recorder) read(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.h.Unread = ""; err != nil {
		r.h.Unread = err.Error()
	}
}

// stored adds an event of the log, in its order.
func (r *recorder) stored(record esjs.Record, op string) {
	at := record.Position
	if n := len(r.h.Log); n == 0 || r.h.Log[n-1].Sequence != at.Sequence() || r.h.Log[n-1].Partition != at.Partition() {
		r.h.Log = append(r.h.Log, history.Commit{Partition: at.Partition(), Sequence: at.Sequence(), Key: record.Stream.Key, First: record.Version})
	}
	c := &r.h.Log[len(r.h.Log)-1]
	c.Ops, c.Times = append(c.Ops, op), append(c.Times, record.Time.UnixNano())
}

// note counts something that may happen.
func (r *recorder) note(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.h.Notes[what]++
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
