package esjstest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

var door1 = esjs.StreamID{Category: "door", Key: "d-1"}

// faulty opens a store behind faults, and one beside them on the same server.
func faulty(t *testing.T) (*Faults, *esjs.Store, *esjs.Store) {
	t.Helper()
	d := Server(t)
	beside, f := d.Store(t), d.Faults()
	store, err := esjs.Open(t.Context(), f.Dial(), d.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return f, store, beside
}

func ids(t *testing.T, store *esjs.Store) (all []string) {
	t.Helper()
	for r, err := range store.Read(t.Context(), door1, 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r.ID)
	}
	return all
}

func TestAppendsSurviveLostAnswersAndRefusals(t *testing.T) {
	t.Parallel()
	f, store, beside := faulty(t)
	var want []string
	for _, arm := range []func(int){f.LoseAcks, f.LoseAppends, f.RefuseAppends} {
		arm(1)
		stored, err := store.Append(t.Context(), door1, esjs.ExpectVersion(uint64(len(want))), opened{"a"})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, stored.EventIDs...)
	}
	if got := ids(t, beside); !slices.Equal(got, want) {
		t.Errorf("stored are %v, the answers were %v", got, want)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for what, n := range f.armed {
		if n != 0 {
			t.Errorf("fault %d did not happen", what)
		}
	}
}

// A server that was not started here has faults by its URL alone.
func TestFaultsOnTheWayToAServerElsewhere(t *testing.T) {
	t.Parallel()
	d := Server(t)
	beside, f := d.Store(t), NewFaults(d.URL())
	store, err := esjs.Open(t.Context(), f.Dial(), d.Config())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	f.LoseAcks(1)
	stored, err := store.Append(t.Context(), door1, esjs.NoStream(), opened{"a"})
	if err != nil || f.Armed() != 0 {
		t.Fatalf("got %v, and %d faults did not happen", err, f.Armed())
	}
	if got := ids(t, beside); !slices.Equal(got, stored.EventIDs) {
		t.Errorf("stored are %v, the answer was %v", got, stored.EventIDs)
	}
}

func TestBatchesSurviveLostAnswers(t *testing.T) {
	t.Parallel()
	f, store, beside := faulty(t)
	door2 := esjs.StreamID{Category: "door", Key: "d-2"}
	f.LoseAcks(1)
	stored, err := store.AppendAll(t.Context(),
		esjs.Write{Stream: door1, Events: []esjs.Event{opened{"a"}}}, esjs.Write{Stream: door2, Events: []esjs.Event{opened{"b"}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(t, beside); !slices.Equal(got, stored[0].EventIDs) {
		t.Errorf("stored are %v, the answer was %v", got, stored[0].EventIDs)
	}
}

func TestAConflictAtTheWorstMoment(t *testing.T) {
	t.Parallel()
	f, store, beside := faulty(t)
	f.BeforeAppend(func() {
		if _, err := beside.Append(context.Background(), door1, esjs.NoStream(), opened{"theirs"}); err != nil {
			t.Error(err)
		}
	})
	_, err := store.Append(t.Context(), door1, esjs.NoStream(), opened{"mine"}, closed{})
	var conflict *esjs.ConflictError
	if !errors.As(err, &conflict) || conflict.Expected != 0 || conflict.Actual != 1 {
		t.Errorf("got %v", err)
	}
	if got := ids(t, beside); len(got) != 1 {
		t.Errorf("stored are %v", got)
	}
}

func TestStaleReads(t *testing.T) {
	t.Parallel()
	f, store, beside := faulty(t)
	if _, err := beside.Append(t.Context(), door1, esjs.NoStream(), opened{"a"}); err != nil {
		t.Fatal(err)
	}
	f.StaleReads(1)
	if got := ids(t, store); len(got) != 1 {
		t.Errorf("a replica without the aggregate was believed: %v", got)
	}
	if f.Armed() != 0 {
		t.Error("no read was stale")
	}
	if _, err := beside.Append(t.Context(), door1, esjs.ExpectVersion(1), closed{}); err != nil {
		t.Fatal(err)
	}
	f.StaleReads(1)
	if got := ids(t, store); len(got) != 1 {
		t.Errorf("a replica that is one commit behind gives %v", got)
	}
	if got := ids(t, store); len(got) != 2 {
		t.Errorf("then it gives %v", got)
	}
	f.StaleReads(1)
	if got := ids(t, store); len(got) != 2 {
		t.Errorf("the store was told less than it knew, and gives %v", got)
	}
}

func TestHandlersTwiceAndLate(t *testing.T) {
	var handled []string
	handle := func(_ context.Context, e esjs.Recorded[esjs.Event]) error {
		handled = append(handled, e.ID)
		return nil
	}
	event := func(id string) esjs.Recorded[esjs.Event] {
		return esjs.Recorded[esjs.Event]{Record: esjs.Record{ID: id}}
	}
	twice, late := Twice(handle), Late(1, handle)
	if err := twice(t.Context(), event("a")); err != nil {
		t.Fatal(err)
	}
	if err := late(t.Context(), event("b")); !errors.Is(err, ErrLate) {
		t.Errorf("the first time: %v", err)
	}
	if err := late(t.Context(), event("b")); err != nil {
		t.Errorf("the second time: %v", err)
	}
	if !slices.Equal(handled, []string{"a", "a", "b"}) {
		t.Errorf("handled are %v", handled)
	}
	broken := errors.New("broken")
	if err := Twice(func(context.Context, esjs.Recorded[esjs.Event]) error { return broken })(t.Context(), event("c")); !errors.Is(err, broken) {
		t.Errorf("a handler that fails: %v", err)
	}
}
