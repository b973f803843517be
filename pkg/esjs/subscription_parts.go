package esjs

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// subscriptions are the engines of one subscription, one for each partition of the store, by
// partition. Each has a lease, a place and parked keys of its own, and what bounds a
// subscription bounds all of them together.
type subscriptions[T any] []*subscription[T]

// entryOf names what a bucket keeps of a subscription in one of n partitions. In a store of
// one partition that is the subscription's name.
func entryOf(subscription string, partition, n int) string {
	if n < 2 {
		return subscription
	}
	return subscription + "@" + strconv.Itoa(partition) + "of" + strconv.Itoa(n)
}

// ofEntry is the subscription of an entry, and the partition that the entry is of.
func (s *Store) ofEntry(entry string) (subscription string, partition uint32) {
	at := strings.LastIndexByte(entry, '@')
	if len(s.parts) < 2 || at < 0 {
		return entry, 0
	}
	for p := range s.parts {
		if entry == entryOf(entry[:at], p, len(s.parts)) {
			return entry[:at], uint32(p)
		}
	}
	return entry, 0
}

// entriesOf are the entries that a subscription may have: one of each partition, and that of
// one which does not read the partitions, such as fired timers.
func (s *Store) entriesOf(subscription string) []string {
	var entries []string
	if len(s.parts) > 1 {
		for p := range s.parts {
			entries = append(entries, entryOf(subscription, p, len(s.parts)))
		}
	}
	return append(entries, subscription)
}

// share divides a subscription over the partitions.
func (all subscriptions[T]) share() {
	n := len(all)
	if n < 2 {
		return
	}
	first := all[0]
	shared := &sharing{
		observer: first.store.observerOr(first.observer), name: first.name, caughtUp: first.caughtUp, parts: make([]share, n),
		wasOwner: first.bucket == "", moved: make(chan struct{}, 1),
	}
	owner := ownerOr(first.owner)
	for p, s := range all {
		s.entry, s.owner, s.shared = entryOf(s.name, p, n), owner, shared
		s.observer = &partObserver{shared.observer, shared, p}
		s.from = s.from.only(s.store.partition)
		s.window = max(1, orDefault(s.window, defaultWindow)/n)
		s.bytes, s.parkedMost = windowBytes/n, maxParked/n
		if s.caughtUp != nil {
			s.caughtUp = func() { shared.change(func() { shared.parts[p].caughtUp = true }) }
		}
	}
}

// run handles until ctx ends, and returns nil then, or until one of them cannot go on,
// which ends all.
func (all subscriptions[T]) run(ctx context.Context) error {
	if len(all) == 1 {
		return all[0].run(ctx)
	}
	for _, s := range all {
		s.setDefaults()
	}
	defer all[0].shared.observer.Stopped(all[0].name)
	all[0].shared.calls = make(chan struct{}, all[0].workers)
	if err := all[0].checkBucket(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	if all[0].bucket != "" {
		group.Go(func() error {
			if err := all.balance(ctx); ctx.Err() == nil {
				return refused(fmt.Errorf("subscription %s: %w", all[0].name, err))
			}
			return nil
		})
	}
	for _, s := range all {
		group.Go(func() error {
			if err := s.goOn(ctx); err != nil {
				return fmt.Errorf("subscription %s: %w", s.entry, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// sharing is what the partitions of a subscription have in common in one instance.
type sharing struct {
	calls    chan struct{} // holds a token for each call of the handler
	observer Observer
	name     string
	caughtUp func()

	mu       sync.Mutex
	parts    []share
	told     bool // Active was told
	active   bool // what it was told
	wasOwner bool // of any partition
	full     bool
	once     sync.Once     // of caughtUp
	moved    chan struct{} // holds one when who handles what has changed
}

// share is what one partition says of itself.
type share struct {
	lag      uint64
	behind   time.Duration
	parked   int
	active   bool
	full     bool
	caughtUp bool   // by whichever instance
	owner    string // who else has the lease, as it was seen last
	giveUp   context.CancelCauseFunc
	given    bool // up, and not taken yet
}

// change changes what a partition says, and calls caughtUp when all have caught up, of
// which this instance handles one at least.
func (s *sharing) change(what func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what()
	for _, p := range s.parts {
		if !p.caughtUp {
			return
		}
	}
	if s.caughtUp != nil && s.wasOwner {
		s.once.Do(func() { go s.caughtUp() })
	}
}

// any tells that one of the partitions says so.
func (s *sharing) any(says func(share) bool) bool {
	for _, p := range s.parts {
		if says(p) {
			return true
		}
	}
	return false
}

// partObserver tells of one partition as of the whole subscription.
type partObserver struct {
	Observer
	shared *sharing
	part   int
}

// Lag tells the sum of all partitions, and the age of the oldest of all.
func (o *partObserver) Lag(name string, events uint64, behind time.Duration) {
	s := o.shared
	s.change(func() {
		s.parts[o.part].lag, s.parts[o.part].behind = events, behind
		var sum uint64
		for _, p := range s.parts {
			sum += p.lag
			behind = max(behind, p.behind)
		}
		s.observer.Lag(name, sum, behind)
	})
}

// ParkedKeys tells the sum of the partitions that this instance handles.
func (o *partObserver) ParkedKeys(name string, n int) {
	s := o.shared
	s.change(func() {
		s.parts[o.part].parked = n
		sum := 0
		for _, p := range s.parts {
			sum += p.parked
		}
		s.observer.ParkedKeys(name, sum)
	})
}

// Active tells whether this instance handles any partition.
func (o *partObserver) Active(name string, active bool) {
	if !active {
		o.ParkedKeys(name, 0) // they are another's to tell
	}
	s := o.shared
	s.change(func() {
		s.parts[o.part].active, s.parts[o.part].owner = active, ""
		s.parts[o.part].given = s.parts[o.part].given && !active
		s.hasMoved()
		s.wasOwner = s.wasOwner || active
		if now := s.any(func(p share) bool { return p.active }); !s.told || s.active != now {
			s.told, s.active = true, now
			s.observer.Active(name, now)
		}
	})
}

// WindowFull tells that the delivery of any partition waits.
func (o *partObserver) WindowFull(name string, full bool) {
	s := o.shared
	s.change(func() {
		s.parts[o.part].full = full
		if now := s.any(func(p share) bool { return p.full }); s.full != now {
			s.full = now
			s.observer.WindowFull(name, now)
		}
	})
}

// standingBy takes note of the instance that has the partition's lease: who it is, and when it
// has handled what is stored now.
func (s *subscription[T]) standingBy(ctx context.Context) (func(leaseEntry), error) {
	end, err := s.store.lastSequence(ctx, s.stream)
	return func(e leaseEntry) {
		s.shared.ownedBy(int(s.store.partition), e.Owner)
		if s.caughtUp != nil && e.Floor.sequence >= end {
			s.once.Do(func() { go s.caughtUp() })
		}
	}, err
}

// mayBeGivenUp is the context of a session that this instance may give up, and ends it.
func (s *subscription[T]) mayBeGivenUp(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	if s.shared == nil {
		return ctx, func(error) {}
	}
	ctx, giveUp := context.WithCancelCause(ctx)
	s.shared.mu.Lock()
	defer s.shared.mu.Unlock()
	s.shared.parts[s.store.partition].giveUp = giveUp
	return ctx, giveUp
}

// turn waits until the handler may be called: of all partitions no more calls are under way
// than there are workers. The caller calls turned after it.
func (r *running[T]) turn(ctx context.Context) error {
	select {
	case r.shared.calls <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if r.lease != nil && !r.lease.valid() { // it ran out meanwhile
		r.shared.turned()
		r.fail(errFenced)
		r.lease.lost(errFenced)
		return errFenced
	}
	return nil
}

// turned lets another call begin.
func (s *sharing) turned() { <-s.calls }
