package esjs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
	"github.com/go-json-experiment/json"
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
	bucket   bucket
	category string
	stays    time.Duration // how long the entry of an instance without events stays
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

// listedInstance is an instance as the list has it.
type listedInstance struct {
	key      string
	revision uint64 // of the entry; 0: there is none
	listed   time.Time
}

// listedStays: an entry is made before the append of the first event, which
// takes at most half of that.
const listedStays = time.Hour

func openInstances(ctx context.Context, store *Store, name, category string) (*instances, error) {
	if err := store.general.checkBucket(ctx, name); err != nil {
		return nil, fmt.Errorf("instances of %s: %w", category, err)
	}
	return &instances{bucket: bucket{store: store, name: name}, category: category, stays: listedStays}, nil
}

// put writes an instance's entry.
func (i *instances) put(ctx context.Context, key string, open openInstance) error {
	value, err := json.Marshal(open)
	if err != nil {
		return fmt.Errorf("esjs: open instance %s/%s: %w", i.category, key, err)
	}
	if err := i.bucket.set(ctx, i.entry(key), value); err != nil {
		return fmt.Errorf("esjs: open instance %s/%s: %w", i.category, key, err)
	}
	return nil
}

// remove takes an instance that has ended off the list.
func (i *instances) remove(ctx context.Context, key string) error {
	if err := i.bucket.set(ctx, i.entry(key), nil); err != nil {
		return fmt.Errorf("esjs: close instance %s/%s: %w", i.category, key, err)
	}
	return nil
}

// forget removes the entry of an instance that never came to be, unless it was
// written again.
func (i *instances) forget(ctx context.Context, open listedInstance) error {
	_, err := i.bucket.delete(ctx, i.entry(open.key), open.revision)
	if errors.Is(err, errChanged) {
		return nil
	}
	return err
}

// due returns the instances that a sweep that looks ahead to t must look at.
func (i *instances) due(ctx context.Context, t time.Time) ([]listedInstance, error) {
	return i.list(ctx, func(open openInstance) bool { return open.due(t) })
}

// list returns the instances whose entries are selected.
func (i *instances) list(ctx context.Context, selected func(openInstance) bool) ([]listedInstance, error) {
	last, err := i.bucket.store.lastSequence(ctx, i.bucket.stream())
	if err != nil {
		return nil, err
	}
	var list []listedInstance
	err = i.bucket.store.scan(ctx, i.bucket.source(i.category+".*"), 0, last, func(m message) error {
		if isDeleted(m) {
			return nil
		}
		var open openInstance
		if err := json.Unmarshal(m.data, &open); err != nil {
			open.Look = true // the entry is only a hint
		}
		if !selected(open) {
			return nil
		}
		key, err := wire.UnescapeKey(strings.TrimPrefix(m.subject, i.bucket.subject(i.category+".")))
		if err != nil {
			return fmt.Errorf("esjs: open instances of %s: %w", i.category, err)
		}
		list = append(list, listedInstance{key: key, revision: m.sequence, listed: m.stored})
		return nil
	})
	return list, err
}

// complete tells that the list was built once and has been kept since.
func (i *instances) complete(ctx context.Context) (bool, error) {
	value, _, err := i.bucket.get(ctx, i.category)
	if err != nil {
		return false, fmt.Errorf("esjs: open instances of %s: %w", i.category, err)
	}
	return value != nil, nil
}

// setComplete records that the list holds every open instance.
func (i *instances) setComplete(ctx context.Context) error {
	if err := i.bucket.set(ctx, i.category, []byte(`{"complete":true}`)); err != nil {
		return fmt.Errorf("esjs: open instances of %s: %w", i.category, err)
	}
	return nil
}

func (i *instances) entry(key string) string { return i.category + "." + wire.EscapeKey(key) }
