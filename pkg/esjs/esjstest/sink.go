package esjstest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// SinkRig is what [TestSink] needs to know of a sink whose transaction is a T.
type SinkRig[T any] struct {
	// Open returns a sink on the rig's storage. Every call opens the same
	// storage, as another instance or a restarted program does.
	Open func(t *testing.T) esjs.Sink[T]
	// Init creates the place for rows; it fails when the place exists.
	Init func(ctx context.Context, tx T) error
	// Put stores one row; another value for a key replaces the first one.
	Put func(ctx context.Context, tx T, key, value string) error
	// Rows returns all stored rows; none when there is no place for rows.
	Rows func(t *testing.T) map[string]string
}

// TestSink proves the contract of [esjs.Sink]; each clause is a subtest and
// gets a rig with empty storage.
func TestSink[T any](t *testing.T, newRig func(t *testing.T) SinkRig[T]) {
	clause := func(sentence string, test func(t *testing.T, s *sinkSuite[T])) {
		t.Run(sentence, func(t *testing.T) { test(t, &sinkSuite[T]{SinkRig: newRig(t)}) })
	}

	clause("a new sink calls init once and starts at the zero checkpoint", func(t *testing.T, s *sinkSuite[T]) {
		sink := s.Open(t)
		s.wantCheckpoint(t, sink, esjs.Checkpoint{})
		s.wantCheckpoint(t, sink, esjs.Checkpoint{})
		s.wantCheckpoint(t, s.Open(t), esjs.Checkpoint{})
		if s.inits != 1 {
			t.Fatalf("init was called %d times, want once", s.inits)
		}
	})

	clause("a failed init leaves nothing behind and is called again", func(t *testing.T, s *sinkSuite[T]) {
		sink, broken := s.Open(t), errors.New("broken")
		_, err := sink.Open(t.Context(), "view_v1", func(ctx context.Context, tx T) error {
			if err := s.Init(ctx, tx); err != nil {
				return err
			}
			return broken
		})
		if !errors.Is(err, broken) {
			t.Fatalf("open returned %v, want the error of init", err)
		}
		s.wantCheckpoint(t, sink, esjs.Checkpoint{})
		if s.inits != 1 {
			t.Fatalf("init was called %d times after it failed, want once", s.inits)
		}
	})

	clause("rows and checkpoint are stored together and found by another instance", func(t *testing.T, s *sinkSuite[T]) {
		sink := s.started(t)
		to := checkpoint(7)
		to.Newest = esjs.CommitRef{Sequence: 6, ID: "the commit's \"id\""}
		to.NewestIn = map[int]esjs.CommitRef{0: {Sequence: 5, ID: "its \"id\""}, 12: {Sequence: 6, ID: "another"}}
		to.Parked = map[string]esjs.Parked{
			"order/o 1": {
				Key: "order/o 1", Reason: "no such \"column\"", Since: time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC), Count: 3,
				From: checkpoint(4).Position,
			},
		}
		if err := s.commit(t, sink, to, "a", "1", "b", "2"); err != nil {
			t.Fatal(err)
		}
		s.wantRows(t, "a", "1", "b", "2")
		s.wantCheckpoint(t, s.Open(t), to)
	})

	clause("a step gets what the one before has stored", func(t *testing.T, s *sinkSuite[T]) {
		sink := s.started(t)
		for n := 1; n <= 3; n++ {
			err := s.Open(t).Commit(t.Context(), "view_v1", func(_ context.Context, _ T, now esjs.Checkpoint) (esjs.Checkpoint, error) {
				if want := checkpoint(n - 1); now.Position != want.Position || !now.Live {
					t.Errorf("step %d gets %+v, want the live version at %s", n, now, want.Position)
				}
				return checkpoint(n), nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		s.wantCheckpoint(t, sink, checkpoint(3))
	})

	clause("an error of a step is returned, and rows and checkpoint stay as they were", func(t *testing.T, s *sinkSuite[T]) {
		sink, refused := s.started(t), errors.New("refused")
		if err := s.commit(t, sink, checkpoint(1), "a", "1"); err != nil {
			t.Fatal(err)
		}
		err := sink.Commit(t.Context(), "view_v1", func(ctx context.Context, tx T, now esjs.Checkpoint) (esjs.Checkpoint, error) {
			return checkpoint(2), errors.Join(s.Put(ctx, tx, "a", "2"), s.Put(ctx, tx, "b", "2"), refused)
		})
		if !errors.Is(err, refused) || errors.Is(err, esjs.ErrUnavailable) || errors.Is(err, esjs.ErrConflict) {
			t.Fatalf("commit returned %v, want the error of the step as it is", err)
		}
		s.wantRows(t, "a", "1")
		s.wantCheckpoint(t, sink, checkpoint(1))
	})

	clause("a panic of a step leaves rows and checkpoint as they were, and the sink usable", func(t *testing.T, s *sinkSuite[T]) {
		sink := s.started(t)
		func() {
			defer func() { _ = recover() }()
			_ = sink.Commit(t.Context(), "view_v1", func(ctx context.Context, tx T, now esjs.Checkpoint) (esjs.Checkpoint, error) {
				_ = s.Put(ctx, tx, "a", "1")
				panic("step")
			})
		}()
		s.wantRows(t)
		s.wantCheckpoint(t, sink, esjs.Checkpoint{})
		if err := s.commit(t, sink, checkpoint(1), "a", "2"); err != nil {
			t.Fatal(err)
		}
		s.wantRows(t, "a", "2")
	})

	clause("an ended context stores nothing", func(t *testing.T, s *sinkSuite[T]) {
		sink := s.started(t)
		ctx, cancel := context.WithCancel(t.Context())
		err := sink.Commit(ctx, "view_v1", func(ctx context.Context, tx T, now esjs.Checkpoint) (esjs.Checkpoint, error) {
			err := s.Put(ctx, tx, "a", "1")
			cancel()
			return checkpoint(1), err
		})
		if err == nil {
			t.Fatal("commit succeeded although its context had ended")
		}
		s.wantRows(t)
		s.wantCheckpoint(t, sink, esjs.Checkpoint{})
	})

	clause("of commits at the same time each sees the ones before it, or is refused and stores nothing", func(t *testing.T, s *sinkSuite[T]) {
		const writers = 4
		s.started(t)
		errs := make([]error, writers)
		var wg sync.WaitGroup
		for i := range writers {
			sink := s.Open(t)
			wg.Go(func() {
				errs[i] = sink.Commit(t.Context(), "view_v1", func(ctx context.Context, tx T, now esjs.Checkpoint) (esjs.Checkpoint, error) {
					n := int(now.Position.Sequence()) + 1
					return checkpoint(n), s.Put(ctx, tx, fmt.Sprint(n), fmt.Sprint(i))
				})
			})
		}
		wg.Wait()
		var pairs []string
		rows := s.Rows(t)
		for i, err := range errs {
			switch {
			case err == nil:
				n := fmt.Sprint(len(pairs)/2 + 1)
				pairs = append(pairs, n, rows[n])
			case !errors.Is(err, esjs.ErrConflict):
				t.Errorf("writer %d: %v, want ErrConflict", i, err)
			}
		}
		if len(pairs) == 0 {
			t.Fatal("no writer succeeded")
		}
		s.wantRows(t, pairs...)
		s.wantCheckpoint(t, s.Open(t), checkpoint(len(pairs)/2))
	})

	clause("projections of one sink have checkpoints of their own and commit side by side", func(t *testing.T, s *sinkSuite[T]) {
		const projections, commits = 3, 20
		sink := s.started(t)
		var wg sync.WaitGroup
		for i := range projections {
			name := fmt.Sprintf("other%d_v1", i)
			wg.Go(func() {
				_, err := sink.Open(t.Context(), name, nil)
				for n := 1; n <= commits && err == nil; n++ {
					err = sink.Commit(t.Context(), name, func(ctx context.Context, tx T, now esjs.Checkpoint) (esjs.Checkpoint, error) {
						return checkpoint(n), s.Put(ctx, tx, name, fmt.Sprint(n))
					})
				}
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		wg.Wait()
		s.wantRows(t, "other0_v1", "20", "other1_v1", "20", "other2_v1", "20")
		s.wantCheckpoint(t, sink, esjs.Checkpoint{})
	})

	testVersions(clause)
}

type sinkSuite[T any] struct {
	SinkRig[T]
	inits int
}

func (s *sinkSuite[T]) started(t *testing.T) esjs.Sink[T] {
	t.Helper()
	sink := s.Open(t)
	s.wantCheckpoint(t, sink, esjs.Checkpoint{})
	return sink
}

// commit stores rows and the checkpoint to of the view's first version.
func (s *sinkSuite[T]) commit(t *testing.T, sink esjs.Sink[T], to esjs.Checkpoint, pairs ...string) error {
	return sink.Commit(t.Context(), "view_v1", func(ctx context.Context, tx T, now esjs.Checkpoint) (esjs.Checkpoint, error) {
		for i := 0; i < len(pairs); i += 2 {
			if err := s.Put(ctx, tx, pairs[i], pairs[i+1]); err != nil {
				return now, err
			}
		}
		return to, nil
	})
}

// wantCheckpoint opens the view's first version; which one is live is not compared.
func (s *sinkSuite[T]) wantCheckpoint(t *testing.T, sink esjs.Sink[T], want esjs.Checkpoint) {
	t.Helper()
	got, err := sink.Open(t.Context(), "view_v1", func(ctx context.Context, tx T) error {
		s.inits++
		return s.Init(ctx, tx)
	})
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := sink.Load(t.Context(), "view_v1")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []esjs.Checkpoint{got, loaded} {
		if c.Position != want.Position || !c.Time.Equal(want.Time) || !maps.Equal(c.Parked, want.Parked) || c.Newest != want.Newest || !maps.Equal(c.NewestIn, want.NewestIn) {
			t.Fatalf("the checkpoint is %+v, want %+v", c, want)
		}
	}
}

func (s *sinkSuite[T]) wantRows(t *testing.T, pairs ...string) {
	t.Helper()
	want := make(map[string]string)
	for i := 0; i < len(pairs); i += 2 {
		want[pairs[i]] = pairs[i+1]
	}
	if got := s.Rows(t); !maps.Equal(got, want) {
		t.Fatalf("the rows are %v, want %v", got, want)
	}
}

func checkpoint(n int) esjs.Checkpoint {
	position, err := esjs.ParsePosition(fmt.Sprintf("0-%d", n))
	if err != nil {
		panic(err)
	}
	return esjs.Checkpoint{Position: position, Time: time.Date(2026, 1, 2, 3, 4, n, 6, time.UTC)}
}
