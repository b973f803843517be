package esjs

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
)

// Rewind moves the subscription to a position, back or forward. Everything after it is handled,
// also what was handled before. What is up to it is not handled any more, except what waits
// for a parked key. In a store of several partitions, to is a place in each of them, and the
// beginning of one that it does not name, as [SubscriptionConfig].From is.
//
// If an instance is active, it goes on from there within a quarter of its lease, or as soon as it
// finishes something. It first cancels the calls of its handlers and waits for them, so that the
// events of a key stay in order. If none is active, the next one begins there. A process
// gives its instances their inputs again, and what is not after the newest input that has caused a commit of the
// instance changes nothing: a React that wrongly returned nothing is not made good by it. A command to the
// instance does that, see [ProcessRunner.Handle].
//
// Parked keys stay parked, until [Subscription.Release], with the reasons that they have. If the first commit
// that waits for a key is after to, all that the key has after to waits then.
//
// It fails with [ErrNotFound] if no instance of the subscription was ever active: it begins at
// its From. It fails with [ErrInvalid] if to is beyond the end of the store, or if the
// subscription has its position elsewhere: that of a projection is in its sink, and that of fired timers
// is in another stream. In a store of several partitions, an error may come after some were
// rewound; call it again.
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

// waitAgain changes the parked keys for which the first commit that waits is after the start: all that
// they have after the start waits then. It is delivered again, and added to the empty list of the
// entry. Of a key that is being released, what is stored so far is read again instead, and passed
// over when it is delivered. It returns false if the handling ended meanwhile.
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
