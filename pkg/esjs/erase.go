package esjs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
	"github.com/go-json-experiment/json"
)

// erasureCategory is the store's own category: no aggregate has it.
const erasureCategory = "erasure"

// PersonErased is the event that [Store.ErasePerson] stores when the person's key is
// gone, under the category "erasure" with the person as key. It is how projections
// and other programs are told: select the category beside their own, and
// remove what was derived from the person's events. Personal values that a store reads
// after it are erased ones. Subscriptions pass it over unless their codec has the type.
type PersonErased struct {
	Person string `json:"person"`
}

// EventType is the name that erasures are stored under.
func (PersonErased) EventType() string { return "esjs.PersonErased" }

// ErasePerson makes all [Personal] values of a person unreadable, for ever and
// everywhere: those stored before, those in snapshots, and those in backups of the event
// stream. It replaces the person's key by the note that the person was erased, lets the server
// overwrite the key in its files, and stores a [PersonErased]. A person without events
// can be erased as well; no key is ever made for them.
//
// Every store with keys hears of it at once, while it is connected, and at the latest
// after a minute: until then it may use a key that it has in memory. Appends of the person's
// values are then refused with an *[ErasedError].
//
// The erasure is complete when ErasePerson has returned nil, and not before: repeat it
// after an error. It can be repeated at any time. Errors: [ErrConfig] for a store without keys,
// [ErrInvalid], [ErrStoreFull], [ErrRefused], ctx's, and those of [Store.Append].
func (s *Store) ErasePerson(ctx context.Context, person string) error {
	if s.keys == nil {
		return fmt.Errorf("%w: the store was opened without keys", ErrConfig)
	}
	if err := wire.CheckKey(person); err != nil {
		return fmt.Errorf("%w: the person: %w", ErrInvalid, err)
	}
	if err := s.keys.erase(ctx, person); err != nil {
		return fmt.Errorf("erase the key of %s: %w", person, err)
	}
	id := StreamID{Category: erasureCategory, Key: person}
	s = s.of(id)
	c, err := s.encode(ctx, Write{
		Stream: id,
		Events: []Event{PersonErased{Person: person}},
	}, Revision{})
	if err != nil {
		return err
	}
	defer c.release()
	if _, err = s.publish(ctx, c); errors.Is(err, ErrConflict) {
		return nil // it was told before
	}
	return err
}

// erase replaces a person's key by a note, and removes the key.
func (k *keyStore) erase(ctx context.Context, person string) error {
	for {
		e, revision, err := k.read(ctx, person, 0)
		if err != nil && !errors.Is(err, ErrNoKey) && !errors.Is(err, ErrBrokenSeal) {
			return err
		}
		if err != nil || e.Erased.IsZero() {
			note, err := json.Marshal(keyEntry{Erased: time.Now().UTC()})
			if err != nil {
				return err
			}
			if revision, err = k.bucket.put(ctx, personEntry(person), note, revision); errors.Is(err, errChanged) {
				continue
			} else if err != nil {
				return err
			}
		}
		k.sawErased(person)
		return k.bucket.removeOlder(ctx, personEntry(person), revision)
	}
}
