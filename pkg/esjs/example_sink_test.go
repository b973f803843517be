package esjs_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// memory is a sink whose rows are in a map: a transaction is a copy that takes its place. A sink of
// one's own is as small where the storage has transactions.
type memory struct {
	mu          sync.Mutex
	rows        map[string]string
	checkpoints map[string]esjs.Checkpoint
	live        map[string]string // the full name of the live version, by projection
}

func newMemory() *memory {
	return &memory{rows: map[string]string{}, checkpoints: map[string]esjs.Checkpoint{}, live: map[string]string{}}
}

var _ esjs.Sink[map[string]string] = (*memory)(nil)

// transact calls step with rows of its own, and keeps them when it has not failed.
func (m *memory) transact(step func(rows map[string]string) error) error {
	rows := maps.Clone(m.rows)
	err := step(rows)
	if err == nil {
		m.rows = rows
	}
	return err
}

func (m *memory) Open(ctx context.Context, name string, init func(context.Context, map[string]string) error) (esjs.Checkpoint, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	projection, _, err := esjs.SplitFullName(name)
	if err != nil {
		return esjs.Checkpoint{}, err
	}
	if _, opened := m.checkpoints[name]; !opened {
		if init != nil {
			if err := m.transact(func(rows map[string]string) error { return init(ctx, rows) }); err != nil {
				return esjs.Checkpoint{}, err
			}
		}
		first := m.live[projection] == ""
		if first {
			m.live[projection] = name
		}
		m.checkpoints[name] = esjs.Checkpoint{Live: first}
	}
	return m.checkpoints[name], nil
}

func (m *memory) Commit(ctx context.Context, name string, step func(context.Context, map[string]string, esjs.Checkpoint) (esjs.Checkpoint, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, err := m.load(name)
	if err != nil {
		return err
	}
	return m.transact(func(rows map[string]string) error {
		to, err := step(ctx, rows, now)
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			to.Live, to.Since = now.Live, now.Since
			m.checkpoints[name] = to
		}
		return err
	})
}

func (m *memory) load(name string) (esjs.Checkpoint, error) {
	c, opened := m.checkpoints[name]
	if !opened {
		return c, fmt.Errorf("%w: %s was not opened", esjs.ErrNotFound, name)
	}
	return c, nil
}

func (m *memory) Load(_ context.Context, name string) (esjs.Checkpoint, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.load(name)
}

func (m *memory) Live(_ context.Context, projection string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.live[projection] == "" {
		return "", fmt.Errorf("%w: no version of %s is live", esjs.ErrNotFound, projection)
	}
	return m.live[projection], nil
}

func (m *memory) Promote(_ context.Context, from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	projection, _, err := esjs.SplitFullName(from)
	if err != nil {
		return err
	}
	if m.live[projection] != from {
		return fmt.Errorf("%w: %s is not live", esjs.ErrConflict, from)
	}
	next, err := m.load(to)
	if err != nil {
		return err
	}
	retired := m.checkpoints[from]
	next.Live, next.Since = true, retired.Position
	if retired.Position.Before(retired.Since) {
		next.Since = retired.Since
	}
	retired.Live, retired.Since = false, esjs.Position{}
	m.checkpoints[from], m.checkpoints[to], m.live[projection] = retired, next, to
	return nil
}

func (m *memory) Drop(ctx context.Context, name string, drop func(context.Context, map[string]string) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.load(name)
	switch {
	case err != nil:
		return err
	case c.Live:
		return fmt.Errorf("%w: %s is live", esjs.ErrInvalid, name)
	}
	return m.transact(func(rows map[string]string) error {
		if drop != nil {
			if err := drop(ctx, rows); err != nil {
				return err
			}
		}
		delete(m.checkpoints, name)
		return nil
	})
}

// place stands for the table that a projection creates.
const place = "the place for rows"

// TestMemoryIsASink proves that the sink keeps the contract, sentence by sentence.
func TestMemoryIsASink(t *testing.T) {
	esjstest.TestSink(t, func(*testing.T) esjstest.SinkRig[map[string]string] {
		storage := newMemory()
		return esjstest.SinkRig[map[string]string]{
			Open: func(*testing.T) esjs.Sink[map[string]string] { return storage },
			Init: func(_ context.Context, rows map[string]string) error {
				if _, exists := rows[place]; exists {
					return fmt.Errorf("%s exists", place)
				}
				rows[place] = ""
				return nil
			},
			Put: func(_ context.Context, rows map[string]string, key, value string) error {
				rows[key] = value
				return nil
			},
			Rows: func(*testing.T) map[string]string {
				storage.mu.Lock()
				defer storage.mu.Unlock()
				rows := maps.Clone(storage.rows)
				delete(rows, place)
				return rows
			},
		}
	})
}

// A projection runs on whatever is a Sink.
func ExampleSink() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		stored, err := store.Append(ctx, esjs.StreamID{Category: "giftcard", Key: "card-1"}, esjs.NoStream(), CardIssued{Cents: 50_00})
		if err != nil {
			return err
		}
		codec, err := cardCodec()
		if err != nil {
			return err
		}
		sink := newMemory()
		projector := esjs.NewProjector(store, sink, esjs.Projection[map[string]string, esjs.Event]{
			Name: "cards", Version: 1, Codec: codec,
			Apply: func(_ context.Context, rows map[string]string, e esjs.Recorded[esjs.Event]) error {
				rows[e.Stream.Key] = e.Type
				return nil
			},
		}, esjs.ProjectionConfig{})
		running, stop := context.WithCancel(ctx)
		defer stop()
		ended := make(chan error, 1)
		go func() { ended <- projector.Run(running) }()
		if err := projector.WaitFor(ctx, stored.Revision.Position()); err != nil {
			return err
		}
		stop()
		if err := <-ended; err != nil {
			return err
		}
		checkpoint, err := sink.Load(ctx, "cards_v1")
		fmt.Println(checkpoint.Live, checkpoint.Position, sink.rows["card-1"])
		return err
	})
	// Output: true 0-1 CardIssued
}
