package esjs

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
)

// ReleaseParked lets a parked key of a subscription go on where it stopped: the
// active instance, at once or when there is one again, reads the commits that
// wait from the stream and handles them in order, and then what came later. A
// commit that fails again parks the key again. It fails with [ErrNotFound] when
// the key is not parked; releasing a released key changes nothing.
func ReleaseParked(ctx context.Context, store *Store, bucketName, subscription, key string) error {
	b := bucket{store: store, name: bucketName}
	name := parkedKVKey(subscription, key)
	for {
		value, revision, err := b.get(ctx, name)
		if err != nil {
			return fmt.Errorf("esjs: release %q of %s: %w", key, subscription, err)
		}
		if value == nil {
			return fmt.Errorf("%w: the key %q of subscription %s is not parked", ErrNotFound, key, subscription)
		}
		var e parkedEntry
		if err := json.Unmarshal(value, &e); err != nil {
			return fmt.Errorf("%w: the entry of the parked key %q in bucket %s: %w", ErrConfig, key, bucketName, err)
		}
		if e.Released {
			return nil
		}
		e.Released = true
		if value, err = json.Marshal(e); err != nil {
			return err
		}
		if _, err = b.put(ctx, name, value, revision); !errors.Is(err, errChanged) {
			return err
		}
	}
}
