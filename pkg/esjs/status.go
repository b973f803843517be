package esjs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// SubscriptionStatus is what a bucket knows of a subscription.
type SubscriptionStatus struct {
	Name     string    `json:"name"`
	Owner    string    `json:"owner"` // of the lease; empty when nobody is active
	Position Position  `json:"position"`
	Lag      uint64    `json:"lag"` // stream sequences behind the stream's last message
	Parked   []Parked  `json:"parked"`
	Renewed  time.Time `json:"renewed"` // by the owner's clock; when the position was stored
}

// Parked is a key that was set aside.
type Parked struct {
	Key    string    `json:"key"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	Count  int       `json:"count"` // commits that wait; above 1000 others may not be counted
}

// Subscriptions reads the state of all subscriptions of a bucket, ordered by
// name and with their parked keys. It is a snapshot for people and metrics:
// positions are up to a quarter of the lease old.
func Subscriptions(ctx context.Context, store *Store, bucketName string) ([]SubscriptionStatus, error) {
	b := bucket{store: store, name: bucketName}
	found := map[string]*SubscriptionStatus{}
	of := func(name string) *SubscriptionStatus {
		if found[name] == nil {
			found[name] = &SubscriptionStatus{Name: name}
		}
		return found[name]
	}
	streams := map[string]string{}
	last, err := store.lastSequence(ctx, b.stream())
	if err != nil {
		return nil, err
	}
	err = store.scan(ctx, b.source("sub.*", "parked.*.*"), 0, last, func(m message) error {
		if isDeleted(m) {
			return nil
		}
		name := strings.TrimPrefix(m.subject, b.subject(""))
		if strings.HasPrefix(name, "sub.") {
			var e leaseEntry
			if err := json.Unmarshal(m.data, &e); err != nil {
				return fmt.Errorf("%w: the entry %s of bucket %s is not a lease: %w", ErrConfig, name, bucketName, err)
			}
			s := of(e.Subscription)
			s.Owner, s.Position, s.Renewed = e.Owner, e.Floor, e.Renewed
			streams[e.Subscription] = e.Stream
			return nil
		}
		var e parkedEntry
		if err := json.Unmarshal(m.data, &e); err != nil {
			return fmt.Errorf("%w: the entry %s of bucket %s is not a parked key: %w", ErrConfig, name, bucketName, err)
		}
		count := len(e.Sequences)
		if e.MoreFrom > 0 {
			count++
		}
		s := of(e.Subscription)
		s.Parked = append(s.Parked, Parked{Key: e.Key, Reason: e.Reason, Since: e.Since, Count: count})
		return nil
	})
	if err != nil {
		return nil, err
	}
	ends := map[string]uint64{}
	all := make([]SubscriptionStatus, 0, len(found))
	for name, s := range found {
		stream := streams[name]
		if _, known := ends[stream]; !known && stream != "" {
			if ends[stream], err = store.lastSequence(ctx, stream); err != nil {
				return nil, err
			}
		}
		if end := ends[stream]; end > s.Position.sequence {
			s.Lag = end - s.Position.sequence
		}
		slices.SortFunc(s.Parked, func(a, b Parked) int { return strings.Compare(a.Key, b.Key) })
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b SubscriptionStatus) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}
