package esjs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/seal"
	"github.com/go-json-experiment/json"
)

// persons are those whose values a state was folded from. It is immutable.
type persons struct {
	ids     []string  // sorted
	checked time.Time // none of them was erased then
}

func (p persons) with(person string) persons {
	i, found := slices.BinarySearch(p.ids, person)
	if found {
		return p
	}
	p.ids = slices.Insert(slices.Clone(p.ids), i, person)
	return p
}

// since is p as it was folded from what was read after a time.
func (p persons) since(t time.Time) persons {
	if len(p.ids) > 0 && p.checked.IsZero() {
		p.checked = t
	}
	return p
}

// withPersons is f after a commit of these events, which were sealed.
func withPersons[S any, E Event](f folded[S], events []E) folded[S] {
	for _, e := range events {
		if person, personal := personOf(e); personal {
			f.persons = f.persons.with(person).since(time.Now())
		}
	}
	return f
}

// readable returns the cached state, or nil when a person was erased whose
// values it was folded from.
func (h *CommandHandler[S, C, E]) readable(ctx context.Context, id StreamID, f *folded[S]) (*folded[S], error) {
	if len(f.persons.ids) == 0 {
		return f, nil
	}
	now := time.Now()
	if now.Sub(f.persons.checked) < h.store.keys.life {
		return f, nil
	}
	for _, person := range f.persons.ids {
		_, err := h.store.keys.known(ctx, person)
		if errors.As(err, new(*ErasedError)) {
			h.cache.Remove(id.Key)
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	checked := *f
	checked.persons.checked = now
	h.remembering.Lock()
	defer h.remembering.Unlock()
	if cached, ok := h.cache.Peek(id.Key); ok && cached == f { // and was neither replaced nor removed meanwhile
		h.cache.Add(id.Key, &checked)
	}
	return &checked, nil
}

// cached returns the aggregate from the cache, nil when it is not there.
func (h *CommandHandler[S, C, E]) cached(ctx context.Context, id StreamID) (*folded[S], error) {
	f, ok := h.cache.Get(id.Key)
	if !ok {
		return nil, nil
	}
	return h.readable(ctx, id, f)
}

// forgetPerson drops what was folded from a person's values.
func (h *CommandHandler[S, C, E]) forgetPerson(person string) {
	for _, key := range h.cache.Keys() {
		if f, ok := h.cache.Peek(key); ok && slices.Contains(f.persons.ids, person) {
			h.cache.Remove(key)
		}
	}
}

const (
	// sealedForm is the form of a snapshot whose state is sealed under the keys
	// of all persons whose values it was folded from: it is lost with each of them.
	sealedForm = 2
	// maxSealedBy bounds those persons; a state of more is not stored.
	maxSealedBy = 256
)

// seal moves a snapshot's state to its sealed form. It fails for a person who was erased.
func (s *snapshotter[S]) seal(ctx context.Context, id StreamID, body *snapshotBody[S], by []string) error {
	key, err := s.sealKey(ctx, by)
	if err != nil {
		return err
	}
	state, err := MarshalInClear(body.State)
	if err != nil {
		return err
	}
	var none S
	body.Form, body.Persons, body.State = sealedForm, by, none
	body.Sealed = key.SealState(state, id.Category, id.Key, s.policy.Bucket)
	return nil
}

// open opens a sealed snapshot; nil when it cannot be used.
func (s *snapshotter[S]) open(ctx context.Context, id StreamID, f *folded[S]) *folded[S] {
	f.persons = f.persons.since(time.Now())
	key, err := s.sealKey(ctx, f.persons.ids)
	if err != nil {
		return nil
	}
	state, err := key.OpenState(f.sealed, id.Category, id.Key, s.policy.Bucket)
	if err != nil || json.Unmarshal(state, &f.state) != nil {
		return nil
	}
	f.sealed = nil
	return f
}

func (s *snapshotter[S]) sealKey(ctx context.Context, by []string) (*seal.Key, error) {
	switch {
	case s.store.keys == nil:
		return nil, errors.New("esjs: the state has personal values, and the store no keys to seal them")
	case len(by) > maxSealedBy:
		return nil, fmt.Errorf("esjs: the state has values of %d persons, and at most %d can seal it", len(by), maxSealedBy)
	}
	keys := make([]*seal.Key, len(by))
	for i, person := range by {
		var err error
		if keys[i], err = s.store.keys.known(ctx, person); err != nil {
			return nil, err
		}
	}
	return seal.Together(keys)
}
