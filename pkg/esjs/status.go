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

	"github.com/go-json-experiment/json"
)

// SubscriptionStatus is what a bucket knows of a subscription.
type SubscriptionStatus struct {
	Name     string   `json:"name"`
	Owner    string   `json:"owner"` // of the lease; empty when nobody is active, several with ", " between them
	Position Position `json:"position"`
	Lag      uint64   `json:"lag"` // stream sequences behind the stream's last message
	// Behind is the age of the first message of the stream after Position, in
	// seconds, whether the subscription selects it or not; 0 without a lag.
	Behind float64 `json:"behind_seconds"`
	// Rate is how many commits a second the owner has finished, averaged over
	// about 10 s; 0 after a clean stop. Lag/Rate is a guess at the seconds until it has caught up.
	Rate    float64   `json:"rate"`
	Parked  []Parked  `json:"parked"`
	Renewed time.Time `json:"renewed"` // by the owner's clock; when the position was stored, the earliest of all partitions
}

// Parked is a key that was set aside.
type Parked struct {
	Key    string    `json:"key"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	Count  int       `json:"count"` // commits that wait; above 1000 others may not be counted
	// From is the first commit that waits; zero when none does yet. Of an instance of a
	// process that an entry without commits holds it is one that waits in another partition. A projection's
	// key that was parked before this was noted has none either.
	From Position `json:"from,omitzero"`
	// Released tells that the key was released and that the commits that wait
	// are not all handled yet.
	Released bool `json:"released,omitzero"`
}

// Subscriptions reads the state of all subscriptions of a bucket, ordered by
// name and with their parked keys. It is a snapshot for people and metrics:
// positions are up to a quarter of the lease old. It fails with [ErrConfig] when
// the bucket holds what is not a subscription's, and with what the connection says.
func Subscriptions(ctx context.Context, store *Store, bucketName string) ([]SubscriptionStatus, error) {
	leases, parked, err := readEntries(ctx, bucket{store: store, name: bucketName})
	if err != nil {
		return nil, err
	}
	ends := map[string]uint64{}
	all := map[string]SubscriptionStatus{}
	for _, e := range leases {
		name, partition := store.ofEntry(e.Subscription)
		s := SubscriptionStatus{Name: name, Owner: e.Owner, Position: e.Floor, Rate: e.Rate, Renewed: e.Renewed}
		reads := map[string]uint64{e.Stream: e.Floor.in(partition)}
		if name == e.Subscription && e.Stream == store.cfg.Stream { // a projection reads all partitions
			for _, part := range store.parts {
				reads[part.cfg.Stream] = e.Floor.in(part.partition)
			}
		}
		for stream, after := range reads {
			end, known := ends[stream]
			if !known {
				if end, err = store.lastSequence(ctx, stream); err != nil {
					return nil, err
				}
				ends[stream] = end
			}
			if end <= after {
				continue
			}
			s.Lag += end - after
			next, err := store.leaderNext(ctx, stream, after)
			switch {
			case err == nil:
				s.Behind = max(s.Behind, time.Since(next.stored).Seconds())
			case !errors.Is(err, errNoMessage): // of timers the last ones may be gone
				return nil, err
			}
		}
		if before, found := all[name]; found {
			s = before.with(s)
		} else {
			s.Parked = store.parkedOf(name, parked)
		}
		all[name] = s
	}
	return slices.SortedFunc(maps.Values(all), func(a, b SubscriptionStatus) int { return strings.Compare(a.Name, b.Name) }), nil
}

// with is the state of two partitions together.
func (s SubscriptionStatus) with(other SubscriptionStatus) SubscriptionStatus {
	owners := slices.DeleteFunc(append(strings.Split(s.Owner, ", "), other.Owner), func(owner string) bool { return owner == "" })
	slices.Sort(owners)
	s.Owner = strings.Join(slices.Compact(owners), ", ")
	s.Position = s.Position.Later(other.Position)
	s.Lag += other.Lag
	s.Behind = max(s.Behind, other.Behind)
	s.Rate += other.Rate
	if other.Renewed.Before(s.Renewed) {
		s.Renewed = other.Renewed
	}
	return s
}

// parkedOf lists the parked keys of a subscription in all partitions, ordered. A key that waits
// in one because it is parked in another is counted there; where it waits for none any more it goes on.
func (s *Store) parkedOf(subscription string, entries map[string]parkedEntry) []Parked {
	var parked []Parked
	follows := map[string]Parked{}
	for _, name := range slices.Sorted(maps.Keys(entries)) { // the same from call to call
		e := entries[name]
		name, partition := s.ofEntry(e.Subscription)
		switch p := e.status(partition); {
		case name != subscription:
		case e.Follows:
			p.Count += follows[p.Key].Count
			p.Released = true
			follows[p.Key] = p
		default:
			parked = append(parked, p)
		}
	}
	for i, p := range parked {
		parked[i].Count += follows[p.Key].Count
		if p.From.IsZero() {
			parked[i].From = follows[p.Key].From
		}
		delete(follows, p.Key)
	}
	parked = slices.AppendSeq(parked, maps.Values(follows))
	slices.SortFunc(parked, func(a, b Parked) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), cmp.Compare(a.From.partition, b.From.partition))
	})
	return parked
}

func (e parkedEntry) status(partition uint32) Parked {
	count := len(e.Sequences)
	if e.MoreFrom > 0 {
		count++
	}
	from := Position{}
	if first := e.first(); first > 0 {
		from = Position{partition: partition, sequence: first}
	}
	return Parked{Key: e.Key, Reason: e.Reason, Since: e.Since, Count: count, From: from, Released: e.Released}
}

// readEntries reads a bucket's leases and parked keys, by KV key.
func readEntries(ctx context.Context, b bucket) (leases map[string]leaseEntry, parked map[string]parkedEntry, err error) {
	leases, parked = map[string]leaseEntry{}, map[string]parkedEntry{}
	last, err := b.store.lastSequence(ctx, b.stream())
	if err != nil {
		return nil, nil, err
	}
	err = b.store.follow(ctx, b.source("sub.*", "parked.*.*"), 0, follower{
		deliver: func(m message) error {
			name := strings.TrimPrefix(m.subject, b.subject(""))
			var err error
			switch {
			case isDeleted(m):
				delete(leases, name)
				delete(parked, name)
			case strings.HasPrefix(name, "sub."):
				var e leaseEntry
				err = json.Unmarshal(m.data, &e)
				leases[name] = e
			default:
				var e parkedEntry
				err = json.Unmarshal(m.data, &e)
				parked[name] = e
			}
			if err != nil {
				return fmt.Errorf("%w: the entry %s of bucket %s does not decode: %w", ErrConfig, name, b.name, err)
			}
			return nil
		},
		// What is written meanwhile moves behind what was last: all is read when
		// nothing was written since.
		reached: func(sequence, _ uint64) error {
			if sequence < last {
				return nil
			}
			var err error
			if last, err = b.store.lastSequence(ctx, b.stream()); err != nil {
				return err
			}
			if sequence >= last {
				return errStopScan
			}
			return nil
		},
	})
	if !errors.Is(err, errStopScan) {
		return nil, nil, err
	}
	return leases, parked, nil
}
