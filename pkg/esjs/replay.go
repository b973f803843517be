package esjs

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// replaySave is after how many replayed commits the parked entry is stored.
const replaySave = 100

// parkPause is how long a lane waits when its parked entry could not be written.
const parkPause = time.Second

// park sets the lane's key aside: its head and what waits behind it.
func (r *running[T]) park(l *lane[T], reason error) {
	if r.parking == nil {
		t, _ := r.queue.head(l)
		r.fail(fmt.Errorf("esjs: subscription %s has no bucket in which to park the key %q, at sequence %d: %w",
			r.name, l.key, t.entry.sequence, reason))
		return
	}
	k := r.parking.get(l.key)
	r.parkMore(l, k.entry.parkedAgain(reason), k.revision)
}

// parkMore stores an entry together with all that waits in the lane.
func (r *running[T]) parkMore(l *lane[T], e parkedEntry, revision uint64) {
	tasks := r.queue.tasks(l)
	sequences := make([]uint64, len(tasks))
	for i, t := range tasks {
		sequences[i] = t.entry.sequence
	}
	if r.keepEntry(l, e.add(sequences), revision) {
		r.queue.absorb(l, len(tasks))
		r.queue.release(l)
	}
}

// keepEntry stores the entry of a lane's key; when it could not, the lane is
// looked at again.
func (r *running[T]) keepEntry(l *lane[T], e parkedEntry, revision uint64) bool {
	err := r.parking.store(r.handlers, l.key, e, revision)
	switch {
	case err == nil:
		return true
	case errors.Is(err, errChanged):
		r.queue.again(l, 0)
	case r.handlers.Err() == nil:
		r.queue.again(l, parkPause)
	}
	return false
}

// workParked does what there is to do for a parked key; false when the key is
// not parked.
func (r *running[T]) workParked(l *lane[T]) bool {
	if r.parking == nil {
		return false
	}
	k := r.parking.get(l.key)
	if k.gone {
		return false
	}
	tasks := r.queue.tasks(l)
	covered := 0
	for covered < len(tasks) && k.entry.covers(tasks[covered].entry.sequence) {
		covered++
	}
	r.queue.absorb(l, covered)
	switch {
	case k.entry.Released:
		r.replay(l, k)
	case covered < len(tasks):
		r.parkMore(l, k.entry, k.revision)
	default:
		r.queue.release(l)
	}
	return true
}

// replay handles the next commit of a released key.
func (r *running[T]) replay(l *lane[T], k parkedKey) {
	e := k.entry
	if len(e.Sequences) == 0 && e.MoreTo == 0 {
		// All of the key that was delivered so far is in the entry; what comes
		// from now on waits in the lane.
		e.MoreTo = max(r.queue.delivered(), r.start.top(), e.MoreFrom)
		if r.keepEntry(l, e, k.revision) {
			r.queue.again(l, 0)
		}
		return
	}
	m, err := r.parkedMessage(l, e)
	switch {
	case errors.Is(err, errNoMessage):
		err = &parkNow{&CorruptError{Position: Position{sequence: e.Sequences[0]}, Reason: "a parked commit is missing"}}
	case err != nil:
		if r.handlers.Err() == nil {
			r.queue.again(l, parkPause)
		}
		return
	case m.sequence > 0:
		err = r.callFor(l.key, m)
	}
	if err == nil {
		l.attempts = 0
		k.entry = e.after(m.sequence)
		r.replayed(l, k)
		return
	}
	if wait, again := r.again(l, err); again {
		r.queue.again(l, wait)
		return
	}
	if r.handlers.Err() == nil {
		l.attempts, l.ahead = 0, nil
		r.parkMore(l, e.parkedAgain(err), k.revision)
	}
}

// replayed stores the progress of a replay, now and then and at its end.
func (r *running[T]) replayed(l *lane[T], k parkedKey) {
	done := len(k.entry.Sequences) == 0 && k.entry.MoreFrom == 0
	if k.unsaved++; !done && k.unsaved < replaySave {
		r.parking.remember(l.key, k)
		r.queue.again(l, 0)
		return
	}
	if r.keepEntry(l, k.entry, k.revision) {
		r.queue.again(l, 0)
	}
}

// after is the entry when sequence was replayed; 0 means that there was nothing left.
func (e parkedEntry) after(sequence uint64) parkedEntry {
	switch {
	case len(e.Sequences) > 0:
		e.Sequences = e.Sequences[1:]
	case sequence == 0 || sequence >= e.MoreTo:
		e.MoreFrom, e.MoreTo = 0, 0
	default:
		e.MoreFrom = sequence + 1
	}
	return e
}

// parkedMessage reads the next message of a released key; sequence 0 when
// there is none left.
func (r *running[T]) parkedMessage(l *lane[T], e parkedEntry) (message, error) {
	if len(e.Sequences) > 0 {
		return r.store.leaderMessage(r.handlers, r.stream, e.Sequences[0])
	}
	for len(l.ahead) > 0 && l.ahead[0].sequence < e.MoreFrom {
		l.ahead = l.ahead[1:]
	}
	if len(l.ahead) == 0 {
		src := source{stream: r.stream, subjects: r.subjects(l.key)}
		err := r.store.scan(r.handlers, src, e.MoreFrom-1, e.MoreTo, func(m message) error {
			if r.partOf(l.key, m) != nil {
				l.ahead = append(l.ahead, m)
			}
			if len(l.ahead) == replaySave {
				return errStopScan
			}
			return nil
		})
		if err != nil {
			l.ahead = nil
			return message{}, err
		}
	}
	if len(l.ahead) == 0 {
		return message{}, nil
	}
	return l.ahead[0], nil
}

// partOf is what a key has of a message, or nil.
func (r *running[T]) partOf(key string, m message) *part[T] {
	for _, p := range r.split(m) {
		if p.key == key {
			return &p
		}
	}
	return nil
}

// callFor handles what a key has of a message.
func (r *running[T]) callFor(key string, m message) error {
	p := r.partOf(key, m)
	switch {
	case p == nil: // no longer selected
		return nil
	case p.err != nil:
		return &parkNow{p.err}
	}
	return r.call(p.payload)
}

// errStopScan ends a scan early, without an error.
var errStopScan = errors.New("esjs: enough")

// scan delivers what src has after one sequence and up to another one that the
// stream has reached.
func (s *Store) scan(ctx context.Context, src source, after, until uint64, deliver func(message) error) error {
	if after >= until {
		return nil
	}
	err := s.follow(ctx, src, after, follower{
		deliver: func(m message) error {
			if m.sequence > until {
				return errStopScan
			}
			if err := deliver(m); err != nil {
				return err
			}
			if m.sequence == until {
				return errStopScan
			}
			return nil
		},
		reached: func(sequence uint64) error {
			if sequence >= until {
				return errStopScan
			}
			return nil
		},
	})
	if errors.Is(err, errStopScan) {
		return nil
	}
	return err
}
