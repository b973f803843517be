package esjs

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
)

// Release lets a parked key go on where it stopped: the active instance, at once or
// when there is one again, reads the commits that wait from the stream and handles
// them in order, and then what came later. A commit that fails again parks the key
// again. It fails with [ErrNotFound] when the key is not parked; releasing a released
// key changes nothing.
func (s Subscription) Release(ctx context.Context, key string) error {
	parked := false
	for _, entry := range s.Store.entriesOf(s.Name) {
		err := changeParked(ctx, s.bucket(), entry, key, func(e *parkedEntry, found bool) (bool, error) {
			changed := found && !e.Released
			parked, e.Released = parked || found, true
			return changed, nil
		})
		if err != nil {
			return err
		}
	}
	if !parked {
		return fmt.Errorf("%w: the key %q of subscription %s is not parked", ErrNotFound, key, s.Name)
	}
	return nil
}

// ReleaseAll is [Subscription.Release] for every key that is parked when it is
// called. It returns how many it has released; with an error the others wait, and
// it may be called again.
func (s Subscription) ReleaseAll(ctx context.Context) (int, error) {
	_, parked, err := readEntries(ctx, s.bucket())
	if err != nil {
		return 0, err
	}
	keys := slices.CompactFunc(s.Store.parkedOf(s.Name, parked), func(a, b Parked) bool { return a.Key == b.Key })
	n := 0
	for _, p := range keys {
		err := s.Release(ctx, p.Key)
		switch {
		case err == nil:
			n++
		case !errors.Is(err, ErrNotFound): // another released it, and it has gone on
			return n, err
		}
	}
	return n, nil
}

// DropParked gives up the first commit of a parked key that waits, which is at from (see
// [Parked]), and lets the key go on with what came after it, as Release does. The commit
// stays in the store; the subscription does not handle it, unless it reads it again after
// a crash within a moment of the parking, and then the key is parked again. An instance of a process that
// another partition holds, too, goes on when that lets it.
//
// It fails with [ErrNotFound] when the key is not parked, or goes on already, and with
// [ErrInvalid] when another commit waits first, or more than 1,000 wait and those
// that are listed are done: release the key then. An error changes nothing.
func (s Subscription) DropParked(ctx context.Context, key string, from Position) error {
	if err := s.Store.checkPosition(from); err != nil {
		return err
	}
	entry := entryOf(s.Name, from.Partition(), len(s.Store.parts))
	if entry != s.Name {
		switch e, _, err := readParked(ctx, s.bucket(), entry, key, 0); {
		case err != nil:
			return err
		case e == nil: // it may be one that does not read the partitions
			entry = s.Name
		}
	}
	return changeParked(ctx, s.bucket(), entry, key, func(e *parkedEntry, found bool) (bool, error) {
		switch {
		case !found:
			return false, fmt.Errorf("%w: the key %q of subscription %s is not parked", ErrNotFound, key, s.Name)
		case e.Released:
			return false, fmt.Errorf("%w: the key %q of subscription %s is parked no more: it was released and goes on", ErrNotFound, key, s.Name)
		case len(e.Sequences) == 0:
			return false, fmt.Errorf("%w: of the key %q of subscription %s nothing that waits is listed", ErrInvalid, key, s.Name)
		case e.first() != from.sequence:
			first := from
			first.sequence = e.first()
			return false, fmt.Errorf("%w: of the key %q of subscription %s the commit at %s waits first, not that at %s",
				ErrInvalid, key, s.Name, first, from)
		}
		e.Sequences, e.Released = e.Sequences[1:], true
		return true, nil
	})
}

// readParked reads the entry of a key, and the revision at which it may be
// written; nil when the key is not parked. For from see [bucket.getFrom].
func readParked(ctx context.Context, b bucket, subscription, key string, from uint64) (*parkedEntry, uint64, error) {
	value, revision, err := b.getFrom(ctx, parkedKVKey(subscription, key), from)
	if err != nil {
		return nil, 0, fmt.Errorf("esjs: the parked key %q of %s: %w", key, subscription, err)
	}
	if value == nil {
		return nil, revision, nil
	}
	e := &parkedEntry{}
	if err := json.Unmarshal(value, e); err != nil {
		return nil, 0, fmt.Errorf("%w: the entry of the parked key %q in bucket %s: %w", ErrConfig, key, b.name, err)
	}
	return e, revision, nil
}

// changeParked changes the entry of a key, or makes it, until no other writer
// is faster. change tells whether there is anything to write.
func changeParked(ctx context.Context, b bucket, subscription, key string, change func(e *parkedEntry, found bool) (bool, error)) error {
	for {
		e, revision, err := readParked(ctx, b, subscription, key, 0)
		if err != nil {
			return err
		}
		found := e != nil
		if !found {
			e = &parkedEntry{Subscription: subscription, Key: key}
		}
		if changed, err := change(e, found); err != nil || !changed {
			return err
		}
		value, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if _, err = b.put(ctx, parkedKVKey(subscription, key), value, revision); !errors.Is(err, errChanged) {
			return err
		}
	}
}
