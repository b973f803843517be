package esjs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"
)

// instances is the list of a process's open instances with their next
// deadlines, in a KV bucket. It exists so that lost timers can be armed again
// without reading every instance that ever was, and nothing is decided by it:
// an entry is a hint to look at the instance's own events.
//
// An entry's deadline is never later than the instance's next timer was when the entry
// was written, and it is moved only when the sweep looks or the deadline
// becomes an earlier one: most steps of an instance write nothing here.
type instances struct {
	store    *Store
	kv       jetstream.KeyValue
	category string
}

// openInstance is an entry.
type openInstance struct {
	Deadline time.Time `json:"deadline,omitzero"` // zero: no timer
	Look     bool      `json:"look,omitzero"`     // the next sweep looks, whatever the deadline
}

// due tells that a sweep that looks ahead to t must look at the instance.
func (o openInstance) due(t time.Time) bool {
	return o.Look || !o.Deadline.IsZero() && !o.Deadline.After(t)
}

func openInstances(ctx context.Context, store *Store, bucket, category string) (*instances, error) {
	js, err := jetstream.New(store.Conn())
	if err != nil {
		return nil, err
	}
	kv, err := js.KeyValue(ctx, bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) || errors.Is(err, jetstream.ErrInvalidBucketName) {
		return nil, fmt.Errorf("%w: instances of %s: bucket %q: %w", ErrConfig, category, bucket, err)
	}
	if err != nil {
		return nil, fmt.Errorf("esjs: instances of %s: bucket %q: %w", category, bucket, err)
	}
	return &instances{store: store, kv: kv, category: category}, nil
}

// put writes an instance's entry.
func (i *instances) put(ctx context.Context, key string, open openInstance) error {
	value, err := json.Marshal(open)
	if err != nil {
		return fmt.Errorf("esjs: open instance %s/%s: %w", i.category, key, err)
	}
	if _, err := i.kv.Put(ctx, i.entry(key), value); err != nil {
		return fmt.Errorf("esjs: open instance %s/%s: %w", i.category, key, err)
	}
	return nil
}

// remove takes an instance that has ended off the list.
func (i *instances) remove(ctx context.Context, key string) error {
	if err := i.kv.Purge(ctx, i.entry(key), jetstream.PurgeTTL(markerStays)); err != nil {
		return fmt.Errorf("esjs: close instance %s/%s: %w", i.category, key, err)
	}
	return nil
}

// due returns the keys of the instances that a sweep that looks ahead to t must
// look at.
func (i *instances) due(ctx context.Context, t time.Time) ([]string, error) {
	entries := bucket{store: i.store, name: i.kv.Bucket()}
	last, err := i.store.lastSequence(ctx, entries.stream())
	if err != nil {
		return nil, err
	}
	var keys []string
	err = i.store.scan(ctx, entries.source(i.category+".*"), 0, last, func(m message) error {
		if isDeleted(m) {
			return nil
		}
		var open openInstance
		if err := json.Unmarshal(m.data, &open); err != nil {
			open.Look = true // the entry is only a hint
		}
		if !open.due(t) {
			return nil
		}
		key, err := wire.UnescapeKey(strings.TrimPrefix(m.subject, entries.subject(i.category+".")))
		if err != nil {
			return fmt.Errorf("esjs: open instances of %s: %w", i.category, err)
		}
		keys = append(keys, key)
		return nil
	})
	return keys, err
}

// complete tells that the list was built once and has been kept since.
func (i *instances) complete(ctx context.Context) (bool, error) {
	_, err := i.kv.Get(ctx, i.category)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("esjs: open instances of %s: %w", i.category, err)
	}
	return true, nil
}

// setComplete records that the list holds every open instance.
func (i *instances) setComplete(ctx context.Context) error {
	if _, err := i.kv.Put(ctx, i.category, []byte(`{"complete":true}`)); err != nil {
		return fmt.Errorf("esjs: open instances of %s: %w", i.category, err)
	}
	return nil
}

func (i *instances) entry(key string) string { return i.category + "." + wire.EscapeKey(key) }
