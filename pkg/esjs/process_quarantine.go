package esjs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// An instance in quarantine is a parked key of the process's subscription: the
// inputs that come for it are listed in its entry, in order. Its timers are not kept:
// they are derived from its state, so the release sets them again. In a store of several
// partitions its inputs may be in all of them: an entry of one holds it in every one.

// Quarantine sets one instance aside, with a reason for people, until
// [ProcessRunner.Release]: its inputs wait, in order, and no other instance notices.
// It may be asked of every runner and outlives all of them. The active runner learns
// of it within milliseconds, those of all partitions; an input that it is handling then is finished. Commands
// given to [ProcessRunner.Handle] are still handled, so that an operator can mend the instance.
//
// An instance whose input or timer fails for good is quarantined in the same way. One that
// is in quarantine already stays as it is; one that is being released goes back.
func (r *ProcessRunner[S, In, Out]) Quarantine(ctx context.Context, key string, reason error) error {
	return r.quarantine(ctx, key, reason, "")
}

// quarantine is Quarantine because of what because names, or of a caller.
func (r *ProcessRunner[S, In, Out]) quarantine(ctx context.Context, key string, reason error, because string) error {
	if _, err := r.handler.stream(key); err != nil {
		return err
	}
	if reason == nil {
		return fmt.Errorf("%w: quarantine of %s/%s: a reason is required", ErrInvalid, r.process.Category, key)
	}
	parked, err := r.parked(ctx, key, 0)
	if err != nil || slices.ContainsFunc(parked, (*parkedEntry).holds) {
		return err
	}
	if err := r.keepQuarantine(ctx, Quarantine{Key: key, Reason: clip(reason.Error())}, because); err != nil {
		return err
	}
	entries := r.entries()
	return changeParked(ctx, r.bucket(), entries[Partition(key, len(entries))], key, func(e *parkedEntry, found bool) (bool, error) {
		if found && e.holds() {
			return false, nil
		}
		*e = e.parkedAgain(reason)
		return true, nil
	})
}

// keepQuarantine appends the instance's own event about its quarantine: once for what
// because names, also when what follows fails, or a crash comes before it. The state of an
// instance that cannot be read is the zero one, and what its stream would not
// take is not kept: it is set aside all the same.
func (r *ProcessRunner[S, In, Out]) keepQuarantine(ctx context.Context, q Quarantine, because string) error {
	id, err := r.handler.stream(q.Key)
	if r.process.Quarantined == nil || err != nil || r.process.isAggregate(q.Key) {
		return nil //nolint:nilerr // what is parked under another name is no instance
	}
	m, expect := Metadata{CorrelationID: cmp.Or(r.correlation(ctx, id), q.Key)}, Any()
	if because != "" {
		m.CommandID = uuid.NewSHA1(namespace, []byte("quarantine\x00"+r.process.Name+"\x00"+because)).String()
	}
	known, err := r.handler.refresh(ctx, id)
	switch {
	case ofInstance(err):
		known = &folded[S]{}
	case err != nil:
		return err
	case because != "":
		if _, kept := known.commands.find(m.CommandID); kept {
			return nil
		}
		expect = AtRevision(known.revision)
	}
	event := r.process.Quarantined(known.state, q)
	if any(event) == nil {
		return nil
	}
	_, err = r.store.of(id).append(ctx, Write{Stream: id, Expect: expect, Events: []Event{event}, Metadata: m})
	if ofInstance(err) {
		return nil
	}
	return err
}

// isAggregate tells a key under which an input is parked whose instance is not known.
func (p Process[S, In, Out]) isAggregate(key string) bool {
	category, _, found := strings.Cut(key, "/")
	q := p.Inputs
	return found && (len(q.Categories)+len(q.Streams) == 0 || slices.Contains(q.Categories, category) ||
		slices.ContainsFunc(q.Streams, func(id StreamID) bool { return id.Category == category }))
}

// Release lets a quarantined instance go on where it stopped: the active
// runner, at once or when there is one again, gives it the inputs that wait, in
// order; then the timers that its state asks for are set again, so that those whose
// time has come fire now, however long ago that was; and then it gets what came
// later. An input that fails again quarantines the instance again. It fails with [ErrNotFound]
// when the instance is not in quarantine; releasing twice changes nothing.
func (r *ProcessRunner[S, In, Out]) Release(ctx context.Context, key string) error {
	return Subscription{Store: r.store, Bucket: r.cfg.Bucket, Name: r.process.Name}.Release(ctx, key)
}

// Quarantined lists the instances in quarantine, ordered by key, with the
// number of commits that wait for each. One that is being released is listed until
// all of them are handled.
func (r *ProcessRunner[S, In, Out]) Quarantined(ctx context.Context) ([]Parked, error) {
	_, parked, err := readEntries(ctx, r.bucket())
	if err != nil {
		return nil, err
	}
	entries := r.entries()
	maps.DeleteFunc(parked, func(_ string, e parkedEntry) bool { return !slices.Contains(entries, e.Subscription) })
	return r.store.parkedOf(r.process.Name, parked), nil
}

// InQuarantine tells whether an instance is in quarantine. One that is being released
// is, until all that waits is handled.
func (r *ProcessRunner[S, In, Out]) InQuarantine(ctx context.Context, key string) (bool, error) {
	parked, err := r.parked(ctx, key, 0)
	return len(parked) > 0, err
}

func (r *ProcessRunner[S, In, Out]) bucket() bucket {
	return bucket{store: r.store, name: r.cfg.Bucket}
}

// entries are those of the process's subscription, by partition.
func (r *ProcessRunner[S, In, Out]) entries() []string {
	entries := make([]string, len(r.store.parts))
	for p := range entries {
		entries[p] = entryOf(r.process.Name, p, len(entries))
	}
	return entries
}

// parked are the instance's entries in all partitions. For from see [bucket.getFrom].
func (r *ProcessRunner[S, In, Out]) parked(ctx context.Context, key string, from uint64) ([]*parkedEntry, error) {
	entries := r.entries()
	parked := make([]*parkedEntry, len(entries))
	group, ctx := errgroup.WithContext(ctx)
	for p, entry := range entries {
		group.Go(func() (err error) {
			parked[p], _, err = readParked(ctx, r.bucket(), entry, key, from)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(parked, func(e *parkedEntry) bool { return e == nil }), nil
}

// releasePause is how long a timer waits while its instance is being released.
const releasePause = 200 * time.Millisecond

// leaveTimer tells that a fired timer is of an instance in quarantine: the
// release sets it again. While an instance is being released its timer waits: what was
// parked came first, and it may be what the timer would miss.
func (r *ProcessRunner[S, In, Out]) leaveTimer(ctx context.Context, fired Fired) (bool, error) {
	parked, err := r.parked(ctx, fired.Stream.Key, 0)
	if err == nil && slices.ContainsFunc(parked, (*parkedEntry).holds) {
		// Who was cut off before the release does not know of it, and this may be the timer that the release set.
		parked, err = r.parked(ctx, fired.Stream.Key, noDoubt)
	}
	switch {
	case err != nil:
		return false, RetryAfter(unavailablePause, err)
	case len(parked) == 0:
		return false, nil
	case !slices.ContainsFunc(parked, (*parkedEntry).holds):
		return false, RetryAfter(releasePause, fmt.Errorf("esjs: process %s: instance %s is being released", r.process.Name, fired.Stream.Key))
	}
	return true, nil
}

// setTimersAgain sets the timers that an instance's state asks for, the earliest
// first, whether they have fired or not.
func (r *ProcessRunner[S, In, Out]) setTimersAgain(ctx context.Context, key string) error {
	id, err := r.handler.stream(key)
	if err != nil {
		return nil //nolint:nilerr // what was parked under another name is no instance
	}
	// Nobody asks again for the timers of an old state: what is loaded is at least what a leader has that leads.
	if _, err := r.store.of(id).surestTail(ctx, id); err != nil {
		return laterUnless(ofInstance(err), err)
	}
	loaded, err := r.handler.Load(ctx, key, Fresh())
	switch {
	case err != nil:
		return laterUnless(ofInstance(err), err)
	case loaded.Revision.Version() == 0: // the zero state asks for nothing
		return nil
	}
	timers := slices.SortedFunc(slices.Values(r.process.armedTimers(loaded.State)), func(a, b Timer) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Name, b.Name))
	})
	for _, t := range timers {
		if err := r.timers.setAgain(ctx, id, t); err != nil {
			return laterUnless(errors.Is(err, ErrInvalid), err)
		}
	}
	return nil
}

// onLostTimers sets again what an instance may have lost. Where the whole
// process was away for too long the sweep does that, with which it starts.
func (r *ProcessRunner[S, In, Out]) onLostTimers(ctx context.Context, id StreamID) error {
	if id == (StreamID{}) {
		return nil
	}
	return r.setTimersAgain(ctx, id.Key)
}
