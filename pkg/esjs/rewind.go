package esjs

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
)

// Rewind lets the subscription go on after to, forward as well as back: what comes after it is
// handled, again where it was before, and what is up to it is not, unless it waits for a parked
// key. In a store of several partitions to is a place in each, and in one that it does not name
// the beginning, as in [SubscriptionConfig].From.
//
// The active instance goes on there within a quarter of its lease, and sooner when it finishes
// something; it ends the calls of its handlers first, so that events of one key stay in order. Where no
// instance is active the next one begins there. A process gives its instances such inputs again,
// and those that have caused a commit of theirs change nothing.
//
// Keys that are parked stay parked, with their reasons: of one whose first commit that waits is after to
// all waits that comes after to, until [Subscription.Release].
//
// It fails with [ErrNotFound] when no instance of the subscription has ever been active (it starts at its
// From), and with [ErrInvalid] when to is beyond the store's end, and for what has its position
// elsewhere: projections, whose sinks have it, and fired timers. In a store of several
// partitions an error may come after some were rewound; call it again.
func (s Subscription) Rewind(ctx context.Context, to Position) error {
	if err := s.Store.checkPosition(to); err != nil {
		return err
	}
	if strings.HasPrefix(s.Name, projectionEntry) {
		return fmt.Errorf("%w: the position of the %s is in its sink: a new version of it begins anew", ErrInvalid, s.Name)
	}
	end, err := s.Store.Last(ctx)
	if err != nil {
		return err
	}
	if !end.Covers(to) {
		return fmt.Errorf("%w: the store ends at %s, before %s", ErrInvalid, end, to)
	}
	for _, part := range s.Store.parts {
		if err := s.rewind(ctx, part, to.only(part.partition)); err != nil {
			return fmt.Errorf("rewind subscription %s: %w", s.Name, err)
		}
	}
	return nil
}

// rewind changes the entry of one partition. Its lease stays with who has it: that one's next
// renewal finds another revision than its own, so that it stops, and takes the lease of its own
// token at once; for all others it has been renewed.
func (s Subscription) rewind(ctx context.Context, part *Store, to Position) error {
	key := leaseKey(entryOf(s.Name, int(part.partition), len(s.Store.parts)))
	for {
		value, revision, err := s.bucket().get(ctx, key)
		if err != nil {
			return err
		}
		if value == nil {
			return s.notFound()
		}
		var e leaseEntry
		if err := e.decode(value); err != nil {
			return fmt.Errorf("%w: the entry %s of bucket %s is not a lease: %w", ErrConfig, key, s.Bucket, err)
		}
		if e.Stream != part.cfg.Stream {
			return fmt.Errorf("%w: its position is in the stream %s, and not in %s", ErrInvalid, e.Stream, part.cfg.Stream)
		}
		e.place = place{Floor: to, Newest: e.Newest, Rewound: true}
		if value, err = json.Marshal(e); err != nil {
			return err
		}
		if _, err = s.bucket().put(ctx, key, value, revision); !errors.Is(err, errChanged) {
			return err
		}
	}
}

// errRewound ends the work of an owner whose subscription is to go on elsewhere.
var errRewound = errors.New("esjs: the subscription was rewound")

// waitAgain lets a parked key whose first commit that waits is after the start wait for all that comes after the start:
// it is delivered again, to be added to the entry. Of a key that is being released what is
// stored so far is read again instead. It returns false when the handling ended meanwhile.
func (r *running[T]) waitAgain(ctx context.Context) bool {
	floor := r.start.Floor.sequence
	for _, k := range r.parking.own() {
		for !k.gone && k.entry.first() > floor {
			e := k.entry
			e.Sequences, e.MoreFrom, e.MoreTo = nil, 0, 0
			if e.Released {
				e.MoreFrom, e.MoreTo = floor+1, r.target
			}
			err := r.parking.store(r.handlers, e.Key, e, k.revision)
			if err == nil {
				break
			}
			if !errors.Is(err, errChanged) && !sleep(ctx, parkPause) {
				return false
			}
			k = r.parking.get(e.Key)
		}
	}
	r.rewound.Store(false)
	return true
}
