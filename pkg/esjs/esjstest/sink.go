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
		to.Parked = map[string]esjs.Parked{
			"order/o 1": {Key: "order/o 1", Reason: "no such \"column\"", Since: time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC), Count: 3},
		}
		if err := s.commit(t, sink, esjs.Checkpoint{}, to, "a", "1", "b", "2"); err != nil {
			t.Fatal(err)
		}
		s.wantRows(t, "a", "1", "b", "2")
		s.wantCheckpoint(t, s.Open(t), to)
	})

	clause("an error of apply is returned, and rows and checkpoint stay as they were", func(t *testing.T, s *sinkSuite[T]) {
		sink, refused := s.started(t), errors.New("refused")
		if err := s.commit(t, sink, esjs.Checkpoint{}, checkpoint(1), "a", "1"); err != nil {
			t.Fatal(err)
		}
		err := sink.Commit(t.Context(), "view_v1", checkpoint(1), checkpoint(2), func(ctx context.Context, tx T) error {
			return errors.Join(s.Put(ctx, tx, "a", "2"), s.Put(ctx, tx, "b", "2"), refused)
		})
		if !errors.Is(err, refused) || errors.Is(err, esjs.ErrUnavailable) || errors.Is(err, esjs.ErrConflict) {
			t.Fatalf("commit returned %v, want the error of apply as it is", err)
		}
		s.wantRows(t, "a", "1")
		s.wantCheckpoint(t, sink, checkpoint(1))
	})

	clause("a panic of apply leaves rows and checkpoint as they were, and the sink usable", func(t *testing.T, s *sinkSuite[T]) {
		sink := s.started(t)
		func() {
			defer func() { _ = recover() }()
			_ = sink.Commit(t.Context(), "view_v1", esjs.Checkpoint{}, checkpoint(1), func(ctx context.Context, tx T) error {
				_ = s.Put(ctx, tx, "a", "1")
				panic("apply")
			})
		}()
		s.wantRows(t)
		s.wantCheckpoint(t, sink, esjs.Checkpoint{})
		if err := s.commit(t, sink, esjs.Checkpoint{}, checkpoint(1), "a", "2"); err != nil {
			t.Fatal(err)
		}
		s.wantRows(t, "a", "2")
	})

	clause("an ended context stores nothing", func(t *testing.T, s *sinkSuite[T]) {
		sink := s.started(t)
		ctx, cancel := context.WithCancel(t.Context())
		err := sink.Commit(ctx, "view_v1", esjs.Checkpoint{}, checkpoint(1), func(ctx context.Context, tx T) error {
			err := s.Put(ctx, tx, "a", "1")
			cancel()
			return err
		})
		if err == nil {
			t.Fatal("commit succeeded although its context had ended")
		}
		s.wantRows(t)
		s.wantCheckpoint(t, sink, esjs.Checkpoint{})
	})

	clause("a checkpoint that has moved refuses a second projector, and none of its rows are stored", func(t *testing.T, s *sinkSuite[T]) {
		first, second := s.started(t), s.Open(t)
		if err := s.commit(t, first, esjs.Checkpoint{}, checkpoint(5), "a", "first"); err != nil {
			t.Fatal(err)
		}
		for _, stale := range []esjs.Checkpoint{{}, checkpoint(4), checkpoint(6)} {
			if err := s.commit(t, second, stale, checkpoint(9), "a", "second"); !errors.Is(err, esjs.ErrConflict) {
				t.Fatalf("commit from %s returned %v, want ErrConflict", stale.Position, err)
			}
		}
		s.wantRows(t, "a", "first")
		s.wantCheckpoint(t, second, checkpoint(5))
	})

	clause("of projectors that commit the same events at once exactly one succeeds", func(t *testing.T, s *sinkSuite[T]) {
		const projectors = 4
		s.started(t)
		errs := make([]error, projectors)
		var wg sync.WaitGroup
		for i := range projectors {
			sink := s.Open(t)
			wg.Go(func() { errs[i] = s.commit(t, sink, esjs.Checkpoint{}, checkpoint(1), "by", fmt.Sprint(i)) })
		}
		wg.Wait()
		winners := 0
		for i, err := range errs {
			switch {
			case err == nil:
				winners++
				s.wantRows(t, "by", fmt.Sprint(i))
			case !errors.Is(err, esjs.ErrConflict):
				t.Errorf("projector %d: %v, want ErrConflict", i, err)
			}
		}
		if winners != 1 {
			t.Fatalf("%d projectors succeeded, want one", winners)
		}
	})

	clause("projections of one sink have checkpoints of their own and commit side by side", func(t *testing.T, s *sinkSuite[T]) {
		const projections, commits = 3, 20
		sink := s.started(t)
		var wg sync.WaitGroup
		for i := range projections {
			name := fmt.Sprintf("other%d_v1", i)
			wg.Go(func() {
				now, err := sink.Open(t.Context(), name, nil)
				for n := 1; n <= commits && err == nil; n++ {
					err = sink.Commit(t.Context(), name, now, checkpoint(n), func(ctx context.Context, tx T) error {
						return s.Put(ctx, tx, name, fmt.Sprint(n))
					})
					now = checkpoint(n)
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

func (s *sinkSuite[T]) commit(t *testing.T, sink esjs.Sink[T], from, to esjs.Checkpoint, pairs ...string) error {
	return sink.Commit(t.Context(), "view_v1", from, to, func(ctx context.Context, tx T) error {
		for i := 0; i < len(pairs); i += 2 {
			if err := s.Put(ctx, tx, pairs[i], pairs[i+1]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *sinkSuite[T]) wantCheckpoint(t *testing.T, sink esjs.Sink[T], want esjs.Checkpoint) {
	t.Helper()
	got, err := sink.Open(t.Context(), "view_v1", func(ctx context.Context, tx T) error {
		s.inits++
		return s.Init(ctx, tx)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Position != want.Position || !got.Time.Equal(want.Time) || !maps.Equal(got.Parked, want.Parked) {
		t.Fatalf("the checkpoint is %+v, want %+v", got, want)
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
