package esjstest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// ProjectionScenario is a projection at work on a real sink. R is what its rows
// are read as.
//
//	sales := esjstest.GivenProjection(t, store, sqlsink.New(db), salesPerShop(), readSales)
//	sales.Given(north, Sold{Cents: 300}).Then(map[string]int{"north": 300})
//
// The projector is the real one, and the sink is [Unreliable]: every transaction
// is rolled back once and its outcome is lost once, so that an Apply that does
// more than change rows is found out.
type ProjectionScenario[T any, E esjs.Event, R any] struct {
	t         testing.TB
	store     *esjs.Store
	projector *esjs.Projector[T, E]
	rows      func(context.Context) (R, error)
	at        time.Time
	last      esjs.Position
	caughtUp  chan struct{} // closed when the sink is open and has what was stored before
	ended     chan struct{} // closed when the projector ended, with err
	err       error
}

// GivenProjection starts the projection on an empty sink; it ends with the test.
// rows reads what there is.
func GivenProjection[T any, E esjs.Event, R any](t testing.TB, store *esjs.Store, sink esjs.Sink[T],
	p esjs.Projection[T, E], rows func(context.Context) (R, error)) *ProjectionScenario[T, E, R] {
	t.Helper()
	s := &ProjectionScenario[T, E, R]{t: t, store: store, rows: rows, caughtUp: make(chan struct{}), ended: make(chan struct{})}
	s.projector = esjs.NewProjector(store, Unreliable(sink), p, esjs.ProjectionConfig{
		Retry:      esjs.Backoff{First: time.Millisecond, Max: time.Millisecond, Attempts: 2},
		OnCaughtUp: func() { close(s.caughtUp) },
	})
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		defer close(s.ended)
		s.err = s.projector.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-s.ended
		if s.err != nil {
			t.Errorf("the projector ended with %v", s.err)
		}
	})
	return s
}

// At gives the commits that follow a time; without it they happen now.
func (s *ProjectionScenario[T, E, R]) At(when time.Time) *ProjectionScenario[T, E, R] {
	s.at = when
	return s
}

// Given stores events of an aggregate as one commit. They may be of types that
// the projection does not read.
func (s *ProjectionScenario[T, E, R]) Given(id esjs.StreamID, events ...esjs.Event) *ProjectionScenario[T, E, R] {
	s.t.Helper()
	stored, err := s.store.AppendWrite(s.t.Context(), esjs.Write{Stream: id, Expect: esjs.Any(), Events: events, Time: s.at})
	if err != nil {
		s.t.Fatalf("store what is given: %v", err)
	}
	s.last = stored.Revision.Position()
	return s
}

// Then demands the rows after everything that was given.
func (s *ProjectionScenario[T, E, R]) Then(want R) *ProjectionScenario[T, E, R] {
	s.t.Helper()
	s.wait()
	got, err := s.rows(s.t.Context())
	if err != nil {
		s.t.Fatalf("read the rows: %v", err)
	}
	wantEqual(s.t, "the rows", got, want)
	return s
}

// ThenParked demands that the events of exactly these aggregates could not be
// applied and were set aside.
func (s *ProjectionScenario[T, E, R]) ThenParked(want ...esjs.StreamID) *ProjectionScenario[T, E, R] {
	s.t.Helper()
	s.wait()
	keys := make([]string, len(want))
	for i, id := range want {
		keys[i] = id.String()
	}
	slices.Sort(keys)
	var parked []string
	for _, p := range s.projector.Progress().Parked {
		parked = append(parked, p.Key)
	}
	if !slices.Equal(parked, keys) {
		s.t.Errorf("parked are %v, want %v: %+v", parked, keys, s.projector.Progress().Parked)
	}
	return s
}

// wait returns when the projection has passed what was given.
func (s *ProjectionScenario[T, E, R]) wait() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	go func() {
		select {
		case <-s.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	select {
	case <-s.caughtUp:
	case <-ctx.Done():
	}
	if err := s.projector.WaitFor(ctx, s.last); err != nil || ctx.Err() != nil {
		s.t.Fatalf("the projection does not come to %s: %v; it is at %+v", s.last, ctx.Err(), s.projector.Progress())
	}
}
