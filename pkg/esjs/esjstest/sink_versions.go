package esjstest

import (
	"context"
	"errors"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// testVersions are the clauses of [TestSink] on versions of a projection.
func testVersions[T any](clause func(sentence string, test func(t *testing.T, s *sinkSuite[T]))) {
	clause("what was not opened is not found, and is not created by being asked for", func(t *testing.T, s *sinkSuite[T]) {
		sink := s.Open(t)
		notFound := func() {
			t.Helper()
			_, loadErr := sink.Load(t.Context(), "view_v1")
			_, liveErr := sink.Live(t.Context(), "view")
			for _, err := range []error{loadErr, liveErr, sink.Drop(t.Context(), "view_v1", nil)} {
				if !errors.Is(err, esjs.ErrNotFound) {
					t.Fatalf("got %v, want ErrNotFound", err)
				}
			}
		}
		notFound()
		if _, err := sink.Open(t.Context(), "other_v1", nil); err != nil {
			t.Fatal(err)
		}
		notFound()
		if err := s.commit(t, sink, checkpoint(1)); !errors.Is(err, esjs.ErrNotFound) {
			t.Fatalf("commit returned %v, want ErrNotFound", err)
		}
	})

	clause("the first version that is opened is live, and a later one is not", func(t *testing.T, s *sinkSuite[T]) {
		sink := s.Open(t)
		for _, name := range []string{"view_v2", "view_v1", "view_v3", "viewer_v1"} {
			if _, err := sink.Open(t.Context(), name, nil); err != nil {
				t.Fatal(err)
			}
		}
		s.wantLive(t, "view_v2", esjs.Position{}, "view_v1", "view_v3")
		s.wantLive(t, "viewer_v1", esjs.Position{})
	})

	clause("promotion makes another version live, since where effects have happened", func(t *testing.T, s *sinkSuite[T]) {
		sink := s.versions(t)
		if err := sink.Promote(t.Context(), "view_v1", "view_v2"); err != nil {
			t.Fatal(err)
		}
		s.wantLive(t, "view_v2", checkpoint(5).Position, "view_v1")
		if err := s.commit(t, sink, checkpoint(6)); err != nil {
			t.Fatal(err)
		}
		if err := sink.Promote(t.Context(), "view_v2", "view_v1"); err != nil {
			t.Fatal(err)
		}
		// It has not come to where its own effects would have begun.
		s.wantLive(t, "view_v1", checkpoint(5).Position, "view_v2")
	})

	clause("promotion over a version that is not live is refused", func(t *testing.T, s *sinkSuite[T]) {
		sink := s.versions(t)
		if err := sink.Promote(t.Context(), "view_v2", "view_v1"); !errors.Is(err, esjs.ErrConflict) {
			t.Fatalf("promote returned %v, want ErrConflict", err)
		}
		if err := sink.Promote(t.Context(), "view_v1", "view_v3"); !errors.Is(err, esjs.ErrNotFound) {
			t.Fatalf("promoting a version that was not opened: %v, want ErrNotFound", err)
		}
		s.wantLive(t, "view_v1", esjs.Position{}, "view_v2")
	})

	clause("a commit changes nothing in which version is live", func(t *testing.T, s *sinkSuite[T]) {
		sink := s.versions(t)
		to := checkpoint(6)
		to.Since = checkpoint(1).Position // and not Live
		if err := s.commit(t, sink, to); err != nil {
			t.Fatal(err)
		}
		s.wantLive(t, "view_v1", esjs.Position{}, "view_v2")
	})

	clause("the live version cannot be dropped", func(t *testing.T, s *sinkSuite[T]) {
		sink := s.versions(t)
		err := sink.Drop(t.Context(), "view_v1", func(context.Context, T) error {
			t.Error("drop was called")
			return nil
		})
		if !errors.Is(err, esjs.ErrInvalid) {
			t.Fatalf("drop returned %v, want ErrInvalid", err)
		}
		s.wantLive(t, "view_v1", esjs.Position{}, "view_v2")
		s.wantRows(t, "a", "1")
	})

	clause("a drop that fails changes nothing", func(t *testing.T, s *sinkSuite[T]) {
		sink, broken := s.versions(t), errors.New("broken")
		err := sink.Drop(t.Context(), "view_v2", func(ctx context.Context, tx T) error {
			return errors.Join(s.Put(ctx, tx, "a", "2"), broken)
		})
		if !errors.Is(err, broken) {
			t.Fatalf("drop returned %v, want its error", err)
		}
		s.wantLive(t, "view_v1", esjs.Position{}, "view_v2")
		s.wantRows(t, "a", "1")
	})

	clause("a dropped version is forgotten, and begins anew when it is opened", func(t *testing.T, s *sinkSuite[T]) {
		sink := s.versions(t)
		if err := sink.Promote(t.Context(), "view_v1", "view_v2"); err != nil {
			t.Fatal(err)
		}
		called := 0
		if err := sink.Drop(t.Context(), "view_v1", func(context.Context, T) error { called++; return nil }); err != nil || called != 1 {
			t.Fatalf("drop returned %v after %d calls of drop", err, called)
		}
		if _, err := s.Open(t).Load(t.Context(), "view_v1"); !errors.Is(err, esjs.ErrNotFound) {
			t.Fatalf("load returned %v, want ErrNotFound", err)
		}
		if err := s.commit(t, sink, checkpoint(9)); !errors.Is(err, esjs.ErrNotFound) {
			t.Fatalf("commit returned %v, want ErrNotFound", err)
		}
		inits := 0
		c, err := sink.Open(t.Context(), "view_v1", func(context.Context, T) error { inits++; return nil })
		if err != nil || !c.Position.IsZero() || inits != 1 {
			t.Fatalf("opened again it is at %s after %d calls of init, %v", c.Position, inits, err)
		}
		s.wantLive(t, "view_v2", checkpoint(5).Position, "view_v1")
	})
}

// versions opens two versions of the view, the first one at 5 and live.
func (s *sinkSuite[T]) versions(t *testing.T) esjs.Sink[T] {
	t.Helper()
	sink := s.started(t)
	if err := s.commit(t, sink, checkpoint(5), "a", "1"); err != nil {
		t.Fatal(err)
	}
	if _, err := sink.Open(t.Context(), "view_v2", nil); err != nil {
		t.Fatal(err)
	}
	return sink
}

// wantLive compares what another instance finds.
func (s *sinkSuite[T]) wantLive(t *testing.T, live string, since esjs.Position, others ...string) {
	t.Helper()
	sink := s.Open(t)
	projection, _, err := esjs.SplitFullName(live)
	if err != nil {
		t.Fatal(err)
	}
	if name, err := sink.Live(t.Context(), projection); name != live || err != nil {
		t.Fatalf("live is %q, %v; want %q", name, err, live)
	}
	if c, err := sink.Load(t.Context(), live); !c.Live || c.Since != since || err != nil {
		t.Fatalf("%s is %+v, %v; want it live since %s", live, c, err, since)
	}
	for _, name := range others {
		if c, err := sink.Load(t.Context(), name); c.Live || err != nil {
			t.Fatalf("%s is %+v, %v; want it not live", name, c, err)
		}
	}
}
