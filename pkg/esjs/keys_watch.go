package esjs

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
	"github.com/go-json-experiment/json"
)

// watch follows the bucket for erasures, and drops what has grown old, until ctx
// ends. While it cannot read, no key is used for longer than [keyLife].
func (k *keyStore) watch(ctx context.Context, after uint64) {
	defer close(k.done)
	swept := make(chan struct{})
	go func() {
		defer close(swept)
		k.sweep(ctx)
	}()
	for {
		err := k.bucket.store.follow(ctx, k.bucket.source(), after, follower{deliver: func(m message) error {
			after = m.sequence
			k.changed(ctx, m)
			return nil
		}})
		if errors.As(err, new(*CorruptError)) {
			after = 0 // another bucket of the same name
		}
		if !sleep(ctx, keyWatchPause) {
			break
		}
	}
	<-swept
}

// changed takes note of a new entry.
func (k *keyStore) changed(ctx context.Context, m message) {
	entry := strings.TrimPrefix(m.subject, k.bucket.subject(""))
	if entry == mastersEntry {
		k.checkRetired(ctx)
		return
	}
	token, ok := strings.CutPrefix(entry, personEntries)
	if !ok {
		return
	}
	person, err := wire.UnescapeKey(token)
	if err != nil {
		return
	}
	var e keyEntry
	if err := json.Unmarshal(m.data, &e); err == nil && !e.Erased.IsZero() {
		k.sawErased(person)
	}
}

// sweep removes from memory what is too old to be used.
func (k *keyStore) sweep(ctx context.Context) {
	for sleep(ctx, keyLife) {
		for _, person := range k.cache.Keys() {
			if c, ok := k.cache.Peek(person); ok && c.key != nil && time.Since(c.since) >= k.life {
				k.cache.Remove(person)
			}
		}
	}
}
