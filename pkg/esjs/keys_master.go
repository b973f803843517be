package esjs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
	"github.com/go-json-experiment/json"
)

// mastersEntry lists the ids of the master keys that may have wrapped entries.
const mastersEntry = "masters"

type masterList struct {
	Masters []string `json:"masters"`
}

// joinMasters checks that all master keys in use are known, and adds ours. A
// process whose key is wrong does not get as far as to use it.
func (k *keyStore) joinMasters(ctx context.Context) error {
	for {
		list, revision, err := k.masterList(ctx)
		if err != nil {
			return err
		}
		for _, id := range list.Masters {
			if k.masters[id] == nil {
				return fmt.Errorf("%w: keys in the bucket %s are wrapped by %s, which is not configured; configured is %s",
					ErrMasterKey, k.bucket.name, id, strings.Join(k.masterIDs(), ", "))
			}
		}
		if slices.Contains(list.Masters, k.master.ID()) {
			return nil
		}
		list.Masters = append(list.Masters, k.master.ID())
		if err := k.putMasters(ctx, list, revision); !errors.Is(err, errChanged) {
			return err
		}
	}
}

func (k *keyStore) masterIDs() []string {
	ids := make([]string, 0, len(k.masters))
	for id := range k.masters {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (k *keyStore) masterList(ctx context.Context) (list masterList, revision uint64, err error) {
	value, revision, err := k.bucket.get(ctx, mastersEntry)
	if err != nil || value == nil {
		return list, revision, err
	}
	if err := json.Unmarshal(value, &list); err != nil {
		return list, revision, fmt.Errorf("%w: the entry %s of the bucket %s: %w", ErrConfig, mastersEntry, k.bucket.name, err)
	}
	return list, revision, nil
}

func (k *keyStore) putMasters(ctx context.Context, list masterList, revision uint64) error {
	value, err := json.Marshal(list)
	if err != nil {
		return err
	}
	_, err = k.bucket.put(ctx, mastersEntry, value, revision)
	return err
}

// checkRetired finds out whether our master key is still one that others know.
func (k *keyStore) checkRetired(ctx context.Context) {
	list, _, err := k.masterList(ctx)
	if err != nil {
		return // ctx ended, or it is looked at again at the next change
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.retired = !slices.Contains(list.Masters, k.master.ID())
}

func (k *keyStore) isRetired() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.retired
}

// RotateMasterKey wraps the keys of all persons anew that another master key than
// [KeyConfig].Master has wrapped, and returns how many there were. Afterwards stores
// that do not know this Master, or still wrap by another, are refused the bucket. Personal
// values themselves are not touched. It can be repeated, and goes on where it was cut off.
//
// A rotation has four steps: every process gets the new key as one of Previous;
// then as Master with the old one as one of Previous; then one of them calls
// RotateMasterKey, until it returns 0; then the old key can be destroyed. What disks
// and backups still hold of the old entries, those of erased persons among them,
// is of no use without it.
//
// Errors: [ErrMasterKey] where a key was wrapped by a master key that is not configured,
// [ErrBrokenSeal], [ErrConfig] without keys, [ErrStoreFull], ctx's, and what the
// server refuses. What was done before it stays done.
func (s *Store) RotateMasterKey(ctx context.Context) (rewrapped int, err error) {
	k := s.keys
	if k == nil {
		return 0, fmt.Errorf("%w: the store was opened without keys", ErrConfig)
	}
	list, revision, err := k.masterList(ctx)
	if err != nil {
		return 0, err
	}
	last, err := s.lastSequence(ctx, k.bucket.stream())
	if err != nil {
		return 0, err
	}
	err = s.scan(ctx, k.bucket.source(k.personEntriesAll()), 0, last, func(m message) error {
		person, err := wire.UnescapeKey(strings.TrimPrefix(m.subject, k.bucket.subject(personEntries)))
		if err != nil {
			return fmt.Errorf("%w: the entry %s: %w", ErrBrokenSeal, m.subject, err)
		}
		changed, err := k.rewrap(ctx, person, m.sequence)
		if changed {
			rewrapped++
		}
		return err
	})
	if err != nil {
		return rewrapped, err
	}
	if len(list.Masters) == 1 && list.Masters[0] == k.master.ID() {
		return rewrapped, nil
	}
	err = k.putMasters(ctx, masterList{Masters: []string{k.master.ID()}}, revision)
	if errors.Is(err, errChanged) {
		return rewrapped, fmt.Errorf("%w: a store with another master key was opened meanwhile; rotate again", ErrMasterKey)
	}
	return rewrapped, err
}

func (k *keyStore) personEntriesAll() string { return personEntries + ">" }

// rewrap wraps a person's key, whose entry was stored at the revision from or later, by our master key, and removes what there was before.
func (k *keyStore) rewrap(ctx context.Context, person string, from uint64) (changed bool, err error) {
	for {
		e, revision, err := k.read(ctx, person, from)
		switch {
		case errors.Is(err, ErrNoKey): // removed by others than esjs
			return changed, nil
		case err != nil:
			return changed, err
		case !e.Erased.IsZero() || e.Master == k.master.ID():
			return changed, k.bucket.removeOlder(ctx, personEntry(person), revision)
		}
		key, err := k.unwrap(person, e)
		if err != nil {
			return false, err
		}
		value, err := k.wrapped(person, key)
		if err != nil {
			return false, err
		}
		switch now, err := k.bucket.put(ctx, personEntry(person), value, revision); {
		case err == nil:
			changed, from = true, now
		case !errors.Is(err, errChanged):
			return false, err
		}
	}
}
