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

// maxParked bounds the keys that are parked: beyond it, it is the handler that is wrong, or
// what it needs is away, and their entries would fill the bucket of others.
const maxParked = 1000

// decision is that a key is to be parked. It stands until it is stored: meanwhile
// nothing of the key is handled.
type decision struct {
	sequence uint64 // of the first message that waits; 0 when none does
	reason   error
	// before is since when the key was parked before, of which it is being released;
	// zero when it was not. With sequence it tells one decision from another.
	before time.Time
	told   bool // parks was
	// follows tells that the key is parked in another partition.
	follows bool
}

// errHeldElsewhere is why a key is parked that is parked in another partition.
var errHeldElsewhere = errors.New("esjs: it is parked in another partition")

// manyParked keeps a key from being parked; an operator who releases others helps.
func manyParked(n int) error {
	return fmt.Errorf("esjs: %d keys are parked already: is the handler wrong?", n)
}

// park decides to set the lane's key aside: its head and what waits behind it.
func (r *running[T]) park(l *lane[T], reason error) {
	t, _ := r.queue.head(l)
	if r.parking == nil {
		r.fail(fmt.Errorf("esjs: subscription %s has no bucket in which to park the key %q, at sequence %d: %w",
			r.name, l.key, t.entry.sequence, reason))
		return
	}
	l.decided = &decision{sequence: t.entry.sequence, reason: reason}
	r.parkHead(l, t)
}

// parkHead does what was decided of a lane's head.
func (r *running[T]) parkHead(l *lane[T], t task[T]) {
	switch {
	case t.err == nil && r.setAside != nil:
		r.leave(l, t.payload, l.decided.reason)
	case !l.decided.follows && r.parking.crowded():
		r.notParked(l, manyParked(r.parkedMost))
	case r.tellParks(l):
		k := r.parking.get(l.key)
		e := k.entry.parkedAgain(l.decided.reason)
		e.Follows = l.decided.follows
		r.parkMore(l, e, k.revision)
	}
}

// isDecided tells that the lane's key is to be parked because of sequence.
func (l *lane[T]) isDecided(sequence uint64) bool {
	return l.decided != nil && l.decided.sequence == sequence
}

// tellParks tells that a lane's key is about to be parked, once; where that fails the
// lane is looked at again.
func (r *running[T]) tellParks(l *lane[T]) bool {
	if d := l.decided; r.parks != nil && !d.told {
		err := r.tell(func(ctx context.Context, key string) error { return r.parks(ctx, key, *d) }, l.key)
		if err != nil {
			r.lookAgain(l)
			return false
		}
		d.told = true
	}
	return true
}

// notParked tells why a key is not parked, although it is to be, and waits.
func (r *running[T]) notParked(l *lane[T], err error) {
	r.waitBecause(l, fmt.Errorf("esjs: the key %q waits and is not parked: %w; it is to be, because: %w", l.key, err, l.decided.reason))
}

// waitBecause tells why a lane waits, and looks at it again.
func (r *running[T]) waitBecause(l *lane[T], err error) {
	if r.handlers.Err() == nil {
		r.observer.Handled(r.name, 0, err)
	}
	r.lookAgain(l)
}

// lookAgain gives a lane back after a pause, unless handling stops.
func (r *running[T]) lookAgain(l *lane[T]) {
	if r.handlers.Err() == nil {
		r.queue.again(l, parkPause)
	}
}

// leave gives the lane's head to those who take over what would be parked.
func (r *running[T]) leave(l *lane[T], payload T, reason error) {
	err := r.tell(func(ctx context.Context, _ string) error { return r.setAside(ctx, payload, reason) }, l.key)
	if err != nil {
		r.lookAgain(l)
		return
	}
	l.decided = nil
	r.queue.finish(l)
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
	if e.done() && r.released != nil {
		if err := r.tell(r.released, l.key); err != nil {
			r.notReleased(l, e, revision, err)
			return false
		}
	}
	err := r.parking.store(r.handlers, l.key, e, revision)
	switch {
	case err == nil:
		l.decided = nil
		return true
	case errors.Is(err, errChanged):
		r.queue.again(l, 0)
	case l.decided != nil:
		r.notParked(l, err)
	default:
		r.waitBecause(l, fmt.Errorf("esjs: what waits of the parked key %q is not stored: %w", l.key, err))
	}
	return false
}

// workParked does what there is to do for a parked key; false when the key is
// not parked.
func (r *running[T]) workParked(l *lane[T]) bool {
	if r.parking == nil {
		return false
	}
	r.passReplayed(l)
	k := r.parking.get(l.key)
	held := r.parking.heldElsewhere(l.key)
	if d := l.decided; d != nil && d.follows && (!held || !k.gone) {
		l.decided = nil // it need not, or does already
	}
	switch {
	case k.gone && held && l.decided == nil:
		if t, found := r.queue.head(l); found {
			l.decided = &decision{sequence: t.entry.sequence, reason: errHeldElsewhere, told: true, follows: true}
		}
		return false // it is parked as what was decided
	case k.gone:
		return false
	case held && k.entry.Released && l.decided == nil, !held && k.entry.Follows && !k.entry.Released:
		k.entry.Released, k.entry.Follows = !held, true
		if r.keepEntry(l, k.entry, k.revision) {
			r.queue.again(l, 0)
		}
		return true
	}
	if !k.entry.Released {
		l.decided = nil // another has parked it
	}
	more := r.absorb(l, k.entry.covers)
	switch {
	case k.entry.Released && l.isDecided(k.entry.first()):
		r.parkReleased(l, k.entry, k.revision)
	case k.entry.Released:
		r.replay(l, k)
	case more:
		r.parkMore(l, k.entry, k.revision)
	default:
		r.queue.release(l)
	}
	return true
}

// passReplayed finishes what was replayed before it was delivered, as after a takeover or a rewind:
// the entry that covered it may be gone.
func (r *running[T]) passReplayed(l *lane[T]) {
	if until := r.parking.replayedUntil(l.key); until > 0 {
		r.absorb(l, func(sequence uint64) bool { return sequence <= until })
	}
}

// absorb finishes the first tasks of a lane that are safe elsewhere, and tells whether there are more.
func (r *running[T]) absorb(l *lane[T], safe func(sequence uint64) bool) (more bool) {
	tasks := r.queue.tasks(l)
	n := 0
	for n < len(tasks) && safe(tasks[n].entry.sequence) {
		n++
	}
	r.queue.absorb(l, n)
	return n < len(tasks)
}

// replay handles the next commit of a released key.
func (r *running[T]) replay(l *lane[T], k parkedKey) {
	e := k.entry
	if len(e.Sequences) == 0 && (e.MoreTo == 0 || e.MoreFrom == 0) {
		// All of the key that was delivered so far is in the entry; what comes
		// from now on waits in the lane.
		if e.MoreFrom > 0 && r.lost != nil { // what is gone of the rest leaves no trace
			if err := r.tell(r.lost, l.key); err != nil {
				r.notReleased(l, e, k.revision, err)
				return
			}
		}
		e.MoreTo = max(r.queue.delivered(), r.start.top(), e.MoreFrom)
		if r.keepEntry(l, e, k.revision) {
			r.queue.again(l, 0)
		}
		return
	}
	r.parking.replays(l.key, e.last())
	m, err := r.parkedMessage(l, e)
	switch {
	case errors.Is(err, errNoMessage):
		err = r.missing(l.key, e.Sequences[0])
	case err != nil:
		r.waitBecause(l, fmt.Errorf("esjs: what waits of the released key %q cannot be read: %w", l.key, err))
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
	r.notReleased(l, e, k.revision, err)
}

// notReleased tries again what a released key failed with, or parks the key again.
func (r *running[T]) notReleased(l *lane[T], e parkedEntry, revision uint64, err error) {
	if wait, again := r.again(l, err); again {
		r.queue.again(l, wait)
		return
	}
	if r.handlers.Err() == nil {
		l.attempts, l.ahead = 0, nil
		l.decided = &decision{sequence: e.first(), reason: err, before: e.Since}
		r.parkReleased(l, e, revision)
	}
}

// parkReleased does what was decided of a key that is being released.
func (r *running[T]) parkReleased(l *lane[T], e parkedEntry, revision uint64) {
	if r.tellParks(l) {
		r.parkMore(l, e.parkedAgain(l.decided.reason), revision)
	}
}

// missing is what becomes of a parked message that is not in the stream.
func (r *running[T]) missing(key string, sequence uint64) error {
	if r.lost != nil {
		return r.tell(r.lost, key)
	}
	return &parkNow{&CorruptError{Position: r.store.at(sequence), Reason: "a parked commit is missing"}}
}

// replayed stores the progress of a replay, now and then and at its end.
func (r *running[T]) replayed(l *lane[T], k parkedKey) {
	k.unsaved++
	r.parking.remember(l.key, k)
	if !k.entry.done() && k.unsaved < replaySave {
		r.queue.again(l, 0)
		return
	}
	if r.keepEntry(l, k.entry, k.revision) {
		r.queue.again(l, 0)
	}
}

// first is the first commit that waits, 0 when none does.
func (e parkedEntry) first() uint64 {
	if len(e.Sequences) > 0 {
		return e.Sequences[0]
	}
	return e.MoreFrom
}

// last is the last commit that waits, 0 when none does.
func (e parkedEntry) last() uint64 {
	if e.MoreTo > 0 || len(e.Sequences) == 0 {
		return e.MoreTo
	}
	return e.Sequences[len(e.Sequences)-1]
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
		if r.stays > 0 { // it may have ended
			return r.store.leaderMessage(r.handlers, r.stream, e.Sequences[0])
		}
		return r.store.knownMessage(r.handlers, r.stream, e.Sequences[0], leaderPatience)
	}
	for len(l.ahead) > 0 && l.ahead[0].sequence < e.MoreFrom {
		l.ahead = l.ahead[1:]
	}
	if len(l.ahead) == 0 {
		err := r.store.scan(r.handlers, r.waiting(l.key), e.MoreFrom-1, e.MoreTo, func(m message) error {
			p, err := r.partOf(l.key, m)
			if err != nil {
				return err
			}
			if p != nil {
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
func (r *running[T]) partOf(key string, m message) (*part[T], error) {
	parts, err := r.split(r.handlers, m)
	for _, p := range parts {
		if p.key == key {
			return &p, err
		}
	}
	return nil, err
}

// callFor handles what a key has of a message.
func (r *running[T]) callFor(key string, m message) error {
	p, err := r.partOf(key, m)
	switch {
	case err != nil:
		return err
	case p == nil: // no longer selected
		return nil
	case p.err != nil:
		return &parkNow{r.undecoded(p.err)}
	}
	return r.call(context.WithValue(r.handlers, outOfTurnKey{}, true), p.payload)
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
		ends: true,
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
		reached: func(sequence, _ uint64) error {
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
