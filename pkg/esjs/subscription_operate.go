package esjs

import (
	"context"
	"fmt"
	"slices"
)

// Subscription names a subscription that has a bucket, or that of a process, for what operators do with it.
// Any program may do so that may write to the bucket, also while the subscription runs.
type Subscription struct {
	Store  *Store
	Bucket string // that the subscription's configuration names
	Name   string
}

func (s Subscription) bucket() bucket { return bucket{store: s.Store, name: s.Bucket} }

func (s Subscription) notFound() error {
	return fmt.Errorf("%w: the bucket %s has no subscription %q", ErrNotFound, s.Bucket, s.Name)
}

// Status is that of the subscription among all of its bucket, see [Subscriptions]. It fails with
// [ErrNotFound] when the bucket has none of that name.
func (s Subscription) Status(ctx context.Context) (SubscriptionStatus, error) {
	all, err := Subscriptions(ctx, s.Store, s.Bucket)
	if err != nil {
		return SubscriptionStatus{}, err
	}
	i := slices.IndexFunc(all, func(of SubscriptionStatus) bool { return of.Name == s.Name })
	if i < 0 {
		return SubscriptionStatus{}, s.notFound()
	}
	return all[i], nil
}
