package esjs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/seal"
	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
	"github.com/go-json-experiment/json"
	lru "github.com/hashicorp/golang-lru/v2"
)

// KeyConfig says where a store finds the keys of persons, and how they are wrapped.
type KeyConfig struct {
	Bucket string // KV bucket of the keys; see [ProvisionKeys]
	// Master is the key that wraps the keys of persons: 32 random bytes. It is
	// nowhere in the server. Who loses it loses all personal values.
	Master []byte
	// Previous are master keys that wrap, or will wrap, others' keys; see
	// [Store.RotateMasterKey].
	Previous [][]byte
	// Cache is how many persons' keys are kept in memory; default 10,000.
	Cache int
}

const (
	defaultKeyCache = 10_000
	// keyLife is how long a key is used without asking the leader again whether
	// its person was erased, and a state that was made with it without looking for the
	// key again: a minute in all.
	keyLife = 30 * time.Second
	// keyWatchPause is how long a watch waits that was refused.
	keyWatchPause = time.Second
)

// keyStore holds one key for each person in a KV bucket, wrapped by a master
// key, and some of them in memory.
type keyStore struct {
	bucket  bucket
	master  *seal.Key
	masters map[string]*seal.Key // by id, the previous ones included

	cache *lru.Cache[string, cachedKey]
	life  time.Duration
	mu    sync.Mutex
	// forgotten counts calls of forget: what was read before one is not cached after it.
	forgotten uint64
	retired   bool // others no longer know the master key
	listeners map[int]func(person string)
	listened  int

	cancel context.CancelFunc
	done   chan struct{}
}

// cachedKey is a person's key, or that the person was erased, which is final.
type cachedKey struct {
	key   *seal.Key // nil: erased
	since time.Time // it was not erased then
}

// keyEntry is a person's entry in the bucket: a wrapped key, or when the person was erased.
type keyEntry struct {
	Master string    `json:"master,omitzero"` // id of the key that wraps
	Key    []byte    `json:"key,omitzero"`
	Erased time.Time `json:"erased,omitzero"`
}

const personEntries = "person."

func personEntry(person string) string { return personEntries + wire.EscapeKey(person) }

// openKeys checks the bucket and the master keys, and begins to watch for erasures.
func openKeys(ctx context.Context, store *Store, cfg KeyConfig) (*keyStore, error) {
	size := cfg.Cache
	if size <= 0 {
		size = defaultKeyCache
	}
	cache, err := lru.New[string, cachedKey](size)
	if err != nil {
		return nil, err
	}
	k := &keyStore{
		bucket:    bucket{store: store, name: cfg.Bucket},
		masters:   make(map[string]*seal.Key, 1+len(cfg.Previous)),
		cache:     cache,
		life:      keyLife,
		listeners: make(map[int]func(string)),
		done:      make(chan struct{}),
	}
	for i, b := range append([][]byte{cfg.Master}, cfg.Previous...) {
		key, err := seal.KeyFrom(b)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMasterKey, err)
		}
		if i == 0 {
			k.master = key
		}
		k.masters[key.ID()] = key
	}
	if err := k.bucket.verifyKeys(ctx); err != nil {
		return nil, err
	}
	if err := k.joinMasters(ctx); err != nil {
		return nil, err
	}
	last, err := store.lastSequence(ctx, k.bucket.stream())
	if err != nil {
		return nil, err
	}
	watching, cancel := context.WithCancel(context.Background())
	k.cancel = cancel
	go k.watch(watching, last)
	return k, nil
}

// close ends the watch; the connection may be closed after it, and wait returns then.
func (k *keyStore) close() { k.cancel() }
func (k *keyStore) wait()  { <-k.done }

// known returns the key of a person of whom something was sealed, so that it was stored: that there
// is none is the word of a leader that leads indeed. See get.
func (k *keyStore) known(ctx context.Context, person string) (*seal.Key, error) {
	return k.get(ctx, person, 1)
}

// get returns a person's key, not older than [keyLife], whose entry was stored at the revision from or
// later, 0 where it may never have been. It asks the leader until ctx ends. Errors: *[ErasedError], [ErrNoKey],
// [ErrMasterKey], [ErrBrokenSeal], and what the connection says.
func (k *keyStore) get(ctx context.Context, person string, from uint64) (*seal.Key, error) {
	now := time.Now()
	if c, ok := k.cache.Get(person); ok && (c.key == nil || now.Sub(c.since) < k.life) {
		return c.answer(person)
	}
	k.mu.Lock()
	forgotten := k.forgotten
	k.mu.Unlock()
	e, _, err := k.read(ctx, person, from)
	if err != nil {
		return nil, err
	}
	c := cachedKey{since: now}
	if e.Erased.IsZero() {
		if c.key, err = k.unwrap(person, e); err != nil {
			return nil, err
		}
	}
	k.mu.Lock()
	if c.key == nil || forgotten == k.forgotten {
		k.cache.Add(person, c)
	}
	k.mu.Unlock()
	return c.answer(person)
}

func (c cachedKey) answer(person string) (*seal.Key, error) {
	if c.key == nil {
		return nil, &ErasedError{Person: person}
	}
	return c.key, nil
}

// read returns a person's entry and its revision as the leader has them; [ErrNoKey] when there is none.
// For from see [bucket.getFrom].
func (k *keyStore) read(ctx context.Context, person string, from uint64) (e keyEntry, revision uint64, err error) {
	value, revision, err := k.bucket.getFrom(ctx, personEntry(person), from)
	switch {
	case err != nil:
		return e, 0, fmt.Errorf("esjs: read the key of %s: %w", person, err)
	case value == nil:
		return e, revision, fmt.Errorf("%w: %s", ErrNoKey, person)
	}
	if err := json.Unmarshal(value, &e); err != nil {
		return e, revision, fmt.Errorf("%w: the entry of %s: %w", ErrBrokenSeal, person, err)
	}
	return e, revision, nil
}

func (k *keyStore) unwrap(person string, e keyEntry) (*seal.Key, error) {
	master, ok := k.masters[e.Master]
	if !ok {
		return nil, fmt.Errorf("%w: the key of %s is wrapped by %s, which is not configured", ErrMasterKey, person, e.Master)
	}
	key, err := master.Unwrap(person, e.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: the key of %s: %w", ErrBrokenSeal, person, err)
	}
	return key, nil
}

// wrapped is the entry of a person's key.
func (k *keyStore) wrapped(person string, key *seal.Key) ([]byte, error) {
	return json.Marshal(keyEntry{Master: k.master.ID(), Key: k.master.Wrap(person, key)})
}

// toSeal returns the key of a person, who gets one when there is none; see get.
func (k *keyStore) toSeal(ctx context.Context, person string) (*seal.Key, error) {
	if err := wire.CheckKey(person); err != nil {
		return nil, fmt.Errorf("%w: the PersonID: %w", ErrInvalid, err)
	}
	for {
		key, err := k.get(ctx, person, 0) // an old "none" does no harm: create finds out
		if !errors.Is(err, ErrNoKey) {
			return key, err
		}
		if err := k.create(ctx, person); err != nil && !errors.Is(err, errChanged) {
			return nil, err
		}
	}
}

// create gives a person a first key; errChanged when there is an entry now. An entry
// that was removed by others than esjs is not replaced: values may depend on it.
func (k *keyStore) create(ctx context.Context, person string) error {
	if k.isRetired() {
		return fmt.Errorf("%w: no new keys are wrapped by %s, which others no longer know", ErrMasterKey, k.master.ID())
	}
	_, revision, err := k.read(ctx, person, 0)
	switch {
	case err == nil:
		return errChanged
	case !errors.Is(err, ErrNoKey) || revision != 0:
		return err
	}
	value, err := k.wrapped(person, seal.NewKey())
	if err != nil {
		return err
	}
	_, err = k.bucket.put(ctx, personEntry(person), value, 0)
	return err
}

// forget drops from memory what is known of a person: the leader is asked next time.
func (k *keyStore) forget(person string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forgotten++
	k.cache.Remove(person)
}

// noteErased takes note that a person was erased.
func (k *keyStore) noteErased(person string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forgotten++
	k.cache.Add(person, cachedKey{})
}

// sawErased takes note that a person was erased and tells it.
func (k *keyStore) sawErased(person string) {
	k.noteErased(person)
	k.mu.Lock()
	listeners := slices.Collect(maps.Values(k.listeners))
	k.mu.Unlock()
	for _, l := range listeners {
		l(person)
	}
}

// listen lets f be told of every erasure until stop is called.
func (k *keyStore) listen(f func(person string)) (stop func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.listened++
	n := k.listened
	k.listeners[n] = f
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.listeners, n)
	}
}

func (s *Store) checkPersonal(personal bool) error {
	if personal && s.keys == nil {
		return fmt.Errorf("%w: the codec has personal values, and the store was opened without keys", ErrConfig)
	}
	return nil
}
