package simulation

import (
	"context"
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// reader is a subscription: the events of one key are handled in order, again
// after an error, and again after a crash; different keys in any order.
type reader struct {
	w      *world
	name   string
	key    func(esjs.Recorded[events.Event]) string // "" is none of it
	handle func(context.Context, esjs.Recorded[events.Event]) error

	keys     []string         // that have something to read, the oldest first
	queues   map[string][]int // what they have, as indexes of the log
	again    map[string]time.Time
	failures map[string]int
	aside    map[string]bool // keys that wait for an operator
	last     error
	done     []int // handled lately, oldest first: what a crash makes it read again
}

// remembered bounds what a crash lets a reader handle again: its position is
// stored four times a second.
const remembered = 12

// patience bounds how often one event may fail before its key would be parked.
const patience = 60

func (w *world) subscribe(name string, key func(esjs.Recorded[events.Event]) string, handle func(context.Context, esjs.Recorded[events.Event]) error) *reader {
	r := &reader{
		w: w, name: name, key: key, handle: handle,
		queues: map[string][]int{}, again: map[string]time.Time{}, failures: map[string]int{}, aside: map[string]bool{},
	}
	w.readers = append(w.readers, r)
	return r
}

// offer queues an event that was just stored.
func (r *reader) offer(e esjs.Recorded[events.Event]) {
	if key := r.key(e); key != "" {
		r.push(key, len(r.w.log)-1)
	}
}

func (r *reader) push(key string, at ...int) {
	if len(r.queues[key]) == 0 {
		r.keys = append(r.keys, key)
	}
	r.queues[key] = append(r.queues[key], at...)
}

// ready are the keys whose next event can be handled now.
func (r *reader) ready() (keys []string) {
	now := time.Now()
	for _, key := range r.keys {
		if !r.again[key].After(now) && !r.aside[key] {
			keys = append(keys, key)
		}
	}
	return keys
}

// next handles the next event of a key.
func (r *reader) next(ctx context.Context, key string) {
	at := r.queues[key][0]
	ctx, end := r.w.live(ctx)
	defer end()
	err := r.handle(ctx, r.w.log[at])
	if ctx.Err() != nil { // it died
		r.crash()
		return
	}
	if err != nil {
		r.last = err
		r.failures[key]++
		if r.failures[key] == patience {
			r.w.violated("P4", "%s would park %s: %s fails for ever: %v", r.name, key, r.w.log[at].Type, err)
		}
		r.again[key] = time.Now().Add(min(time.Second<<min(r.failures[key], 10), time.Minute))
		return
	}
	delete(r.failures, key)
	delete(r.again, key)
	if rest := r.queues[key][1:]; len(rest) > 0 {
		r.queues[key] = rest
	} else {
		delete(r.queues, key)
		r.keys = slices.DeleteFunc(r.keys, func(k string) bool { return k == key })
	}
	if r.done = append(r.done, at); len(r.done) > remembered {
		r.done = r.done[1:]
	}
}

// crash makes the reader handle again what it handled since it stored its position.
func (r *reader) crash() {
	if len(r.done) == 0 {
		return
	}
	from := r.w.rand.IntN(len(r.done))
	lost := r.done[from:]
	r.done = slices.Clone(r.done[:from])
	waiting := r.queues
	r.queues, r.keys = map[string][]int{}, nil
	for _, at := range lost {
		r.push(r.key(r.w.log[at]), at)
	}
	for _, key := range sortedKeys(waiting) {
		r.push(key, waiting[key]...)
	}
	for key := range r.queues {
		slices.Sort(r.queues[key]) // always in the log's order
	}
}
