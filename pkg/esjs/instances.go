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
// becomes an earlier one: most steps of an instance write nothing here. While something may be
// appended that no state shows yet, every sweep looks.
type instances struct {
	bucket   bucket
	category string
	stays    time.Duration // how long the entry of an instance without events stays
}

// openInstance is an entry.
type openInstance struct {
	Deadline time.Time `json:"deadline,omitzero"` // zero: no timer
	// LookUntil is set before something is appended whose timers nobody may be there to arm: sweeps
	// look whatever the deadline is, and whoever writes the entry before that time keeps it.
	LookUntil time.Time `json:"look_until,omitzero"`
	Look      bool      `json:"look,omitzero"` // the same of earlier programs, without a time
}

// due tells that a sweep that looks ahead to t must look at the instance; also once after
// LookUntil has passed, which takes it away.
func (o openInstance) due(t time.Time) bool {
	return o.Look || !o.LookUntil.IsZero() || !o.Deadline.IsZero() && !o.Deadline.After(t)
}

// kept is the entry as who writes it at a time must leave it, but for its deadline.
func (o openInstance) kept(now time.Time) openInstance {
	switch {
	case o.Look:
		o.Look, o.LookUntil = false, now.Add(listedStays)
	case !o.LookUntil.After(now):
		o.LookUntil = time.Time{}
	}
	return o
}

// listedInstance is an instance as the list has it.
type listedInstance struct {
	key      string
	revision uint64 // of the entry; 0: there is none
	listed   time.Time
}

// listedStays: an entry is made, or says that sweeps are to look, before an append, which takes at most half
// of that.
const listedStays = time.Hour

func openInstances(ctx context.Context, store *Store, name, category string) (*instances, error) {
	if err := store.general.checkBucket(ctx, name); err != nil {
		return nil, fmt.Errorf("instances of %s: %w", category, err)
	}
	return &instances{bucket: bucket{store: store, name: name}, category: category, stays: listedStays}, nil
}

// look lets sweeps look at an instance until a time.
func (i *instances) look(ctx context.Context, key string, until time.Time) error {
	return i.change(ctx, key, func(open *openInstance) bool {
		if open.LookUntil.Before(until) {
			open.LookUntil = until
		}
		return true
	})
}

// put lists an instance with its next deadline, zero where it has no timer.
func (i *instances) put(ctx context.Context, key string, deadline time.Time) error {
	return i.change(ctx, key, func(open *openInstance) bool {
		open.Deadline = deadline
		return true
	})
}

// remove takes an instance that has ended off the list, where no sweep is to look at it.
func (i *instances) remove(ctx context.Context, key string) error {
	return i.change(ctx, key, func(open *openInstance) bool {
		open.Deadline = time.Time{}
		return !open.LookUntil.IsZero()
	})
}

// change changes an instance's entry, or makes or removes it, as change says, until no other writer is faster.
func (i *instances) change(ctx context.Context, key string, change func(*openInstance) (listed bool)) error {
	for {
		value, revision, err := i.bucket.get(ctx, i.entry(key))
		if err == nil {
			err = i.write(ctx, key, revision, value, change)
		}
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, errChanged):
			return fmt.Errorf("esjs: open instance %s/%s: %w", i.category, key, err)
		}
	}
}

func (i *instances) write(ctx context.Context, key string, revision uint64, value []byte, change func(*openInstance) (listed bool)) error {
	var open openInstance
	if value != nil {
		open = openOf(value).kept(time.Now())
	}
	if !change(&open) {
		_, err := i.bucket.delete(ctx, i.entry(key), revision)
		return err
	}
	value, err := json.Marshal(open)
	if err != nil {
		return err
	}
	_, err = i.bucket.put(ctx, i.entry(key), value, revision)
	return err
}

// openOf reads an entry. It is only a hint: one that cannot be read lets a sweep look.
func openOf(value []byte) (open openInstance) {
	if err := json.Unmarshal(value, &open); err != nil {
		return openInstance{Look: true}
	}
	return open
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
		if !selected(openOf(m.data)) {
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
