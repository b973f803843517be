package kvsink

import (
	"context"
	"fmt"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Tx is what a projection's Apply changes rows through, with [Update] and
// [Remove]. It belongs to one call and is not safe for concurrent use.
type Tx struct {
	bucket bucket
	name   string
	rows   map[string]*row // by key: read, and maybe changed
}

// row is a row in a transaction.
type row struct {
	entry    string // its KV key
	revision uint64 // as it was read; 0: there is none
	stored   storedRow
	dirty    bool

	place    esjs.Position // of the row as it was read
	last     esjs.Position // of the event whose version is stored; zero where that is not known
	own      bool          // an event at place came
	passed   esjs.Position // of an event before place; zero when none came
	passedOf esjs.StreamID // whose that event is
}

// storedRow is a row as it is stored.
type storedRow struct {
	Position esjs.Position  `json:"position"` // of the last event that changed it, in each partition that has some
	Version  uint64         `json:"version"`  // of the last event, in its aggregate
	State    jsontext.Value `json:"state,omitzero"`
}

// has tells that the row is at or behind the event, and takes note of where the event is
// from the row as it was read, both in the event's partition.
func (r *row) has(e esjs.Record) bool {
	partition := e.Position.Partition()
	switch place := r.place.In(partition); {
	case e.Position == place:
		r.own = true
	case e.Position.Before(place):
		r.passed, r.passedOf = e.Position, e.Stream
	}
	if e.Position == r.last {
		return e.Version <= r.stored.Version
	}
	return r.stored.Position.In(partition).Covers(e.Position)
}

// at moves the row behind the event, with a new state.
func (r *row) at(e esjs.Record, state jsontext.Value) {
	r.stored = storedRow{Position: r.stored.Position.Later(e.Position), Version: e.Version, State: state}
	r.last, r.dirty = e.Position, true
}

// Update folds an event into the row of a key: fold gets the row's state, the
// zero S when there is none, and returns the new one, which is stored as JSON.
// When the row has had the event, fold is not called. An error of fold is
// returned and leaves the row as it was; it is then the projection's to return.
func Update[S any](ctx context.Context, tx *Tx, key string, e esjs.Record, fold func(S) (S, error)) error {
	r, err := tx.row(ctx, key)
	if err != nil || r.has(e) {
		return err
	}
	var state S
	if len(r.stored.State) > 0 {
		if err := json.Unmarshal(r.stored.State, &state); err != nil {
			return fmt.Errorf("row %q of %s: %w", key, tx.name, err)
		}
	}
	if state, err = fold(state); err != nil {
		return err
	}
	encoded, err := json.Marshal(state, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("row %q of %s: %w", key, tx.name, err)
	}
	r.at(e, encoded)
	return nil
}

// Remove removes the row of a key because of an event: its state is gone, and its
// place stays, so that an event that comes again does not bring it back. A later
// Update starts from the zero state.
func Remove(ctx context.Context, tx *Tx, key string, e esjs.Record) error {
	r, err := tx.row(ctx, key)
	if err != nil || r.has(e) {
		return err
	}
	r.at(e, nil)
	return nil
}

// row reads a row once.
func (tx *Tx) row(ctx context.Context, key string) (*row, error) {
	if r, ok := tx.rows[key]; ok {
		return r, nil
	}
	r, err := tx.bucket.row(ctx, tx.name, key)
	if err != nil {
		return nil, err
	}
	tx.rows[key] = r
	return r, nil
}

// passedOver refuses a release that would leave an event out of a row, because the row has
// had later events of other keys. Where the row stands at an event of the release, an
// earlier call that was cut off has done it.
func (tx *Tx) passedOver() error {
	for key, r := range tx.rows {
		if !r.passed.IsZero() && !r.own {
			return fmt.Errorf("%w: the row %q of %s has had events after %s of %s, which it would leave out: a new version of the projection has all",
				esjs.ErrInvalid, key, tx.name, r.passed, r.passedOf)
		}
	}
	return nil
}

// Get reads the state of a row of the projection with that full name ("orders_v1")
// into state, and returns the position of the last event that changed it.
// [esjs.ErrNotFound] when there is no row. The bucket's leader answers, so what
// [esjs.Projector.WaitFor] has waited for is there.
func (s *Sink) Get(ctx context.Context, name, key string, state any) (esjs.Position, error) {
	if err := checkName(name); err != nil {
		return esjs.Position{}, err
	}
	r, err := s.bucket.row(ctx, name, key)
	if err != nil {
		return esjs.Position{}, err
	}
	if len(r.stored.State) == 0 {
		return esjs.Position{}, fmt.Errorf("%w: row %q of %s", esjs.ErrNotFound, key, name)
	}
	if err := json.Unmarshal(r.stored.State, state); err != nil {
		return esjs.Position{}, fmt.Errorf("row %q of %s: %w", key, name, err)
	}
	return r.stored.Position, nil
}

// row reads a row; one without a place when there is none.
func (b bucket) row(ctx context.Context, name, key string) (*row, error) {
	token, err := esjs.EscapeKey(key)
	if err != nil {
		return nil, fmt.Errorf("%w: row of %s: %w", esjs.ErrInvalid, name, err)
	}
	r := &row{entry: name + ".row." + token}
	value, revision, err := b.get(ctx, r.entry)
	if err != nil {
		return nil, err
	}
	r.revision = revision
	if len(value) > 0 {
		if err := json.Unmarshal(value, &r.stored); err != nil {
			return nil, fmt.Errorf("row %q of %s: %w", key, name, err)
		}
	}
	if r.place = r.stored.Position; r.place == r.place.In(r.place.Partition()) {
		r.last = r.place // one event, which the version is of
	}
	return r, nil
}
