package esjstest

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
)

func happened(id string) esjs.Recorded[esjs.Event] {
	return esjs.Recorded[esjs.Event]{Record: esjs.Record{ID: id, Stream: hall}}
}

func TestRewound(t *testing.T) {
	var handled []string
	broken := errors.New("broken")
	fails := 0
	handle := Rewound(2, func(_ context.Context, e esjs.Recorded[esjs.Event]) error {
		if e.ID == "b" && fails > 0 {
			fails--
			return broken
		}
		handled = append(handled, e.ID)
		return nil
	})
	for _, id := range []string{"a", "b", "c"} {
		if err := handle(t.Context(), happened(id)); err != nil {
			t.Fatal(err)
		}
	}
	other := happened("x")
	other.Stream = cellar
	if err := handle(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b", "a", "b", "c", "x"}; !slices.Equal(handled, want) {
		t.Errorf("handled were %v, want %v", handled, want)
	}
	// A failure is the subscription's to try again.
	handled, fails = nil, 1
	if err := handle(t.Context(), happened("b")); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if err := handle(t.Context(), happened("b")); err != nil {
		t.Fatal(err)
	}
	if want := []string{"b", "c", "b"}; !slices.Equal(handled, want) {
		t.Errorf("after a failure handled were %v, want %v", handled, want)
	}
}

// A sink that rolls back and loses answers still has the rows and the
// checkpoint of one that does not.
func TestUnreliable(t *testing.T) {
	db := database(t)
	sink := Unreliable(sqlsink.New(db))
	p := lastOpened(t, func() {})
	if _, err := sink.Open(t.Context(), p.FullName(), p.Init); err != nil {
		t.Fatal(err)
	}
	to := checkpoint(3)
	applied, from := 0, esjs.Position{}
	commit := func() error {
		return sink.Commit(t.Context(), p.FullName(), func(_ context.Context, _ *sql.Tx, now esjs.Checkpoint) (esjs.Checkpoint, error) {
			applied, from = applied+1, now.Position
			return to, nil
		})
	}
	if err := commit(); !errors.Is(err, esjs.ErrUnavailable) || applied != 1 {
		t.Fatalf("the first time %v", err)
	}
	if stored, err := sink.Open(t.Context(), p.FullName(), p.Init); err != nil || stored.Position == to.Position {
		t.Errorf("what was rolled back is stored: %v", err)
	}
	if err := commit(); !errors.Is(err, esjs.ErrUnavailable) || applied != 2 {
		t.Fatalf("the second time %v", err)
	}
	if stored, err := sink.Open(t.Context(), p.FullName(), p.Init); err != nil || stored.Position != to.Position {
		t.Errorf("what was committed is at %s, %v", stored.Position, err)
	}
	if err := commit(); err != nil || from != to.Position {
		t.Errorf("the third time %v, from %s", err, from)
	}
	refused := errors.New("refused")
	err := sink.Commit(t.Context(), p.FullName(), func(_ context.Context, _ *sql.Tx, now esjs.Checkpoint) (esjs.Checkpoint, error) {
		return now, refused
	})
	if !errors.Is(err, refused) || errors.Is(err, esjs.ErrUnavailable) {
		t.Errorf("an event that cannot be applied: %v", err)
	}
}
