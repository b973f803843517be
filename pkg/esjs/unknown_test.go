package esjs_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// depositedLater is what a newer program stores.
type depositedLater struct {
	Cents int `json:"cents"`
}

func (depositedLater) EventType() string  { return "Deposited" }
func (depositedLater) SchemaVersion() int { return 2 }

// garbled is stored under a known name and is something else.
type garbled struct {
	Amount string `json:"amount"`
}

func (garbled) EventType() string { return "Deposited" }

// A program that does not know all of an aggregate's events decides nothing.
func TestNothingIsDecidedOnAnEventThatDoesNotDecode(t *testing.T) {
	t.Parallel()
	d := esjstest.Server(t)
	store := d.Store(t)
	h := newHandler(t, d, store, esjs.HandlerConfig[balance]{})
	for name, c := range map[string]struct {
		event   esjs.Event
		unknown bool
	}{
		"unknown": {noted{1}, true},
		"newer":   {depositedLater{100}, true},
		"garbled": {garbled{"much"}, false},
	} {
		id := account(name)
		if _, err := store.Append(testContext(t), id, esjs.NoStream(), deposited{Amount: 1}, c.event); err != nil {
			t.Fatal(err)
		}
		_, err := h.Handle(testContext(t), name, deposit(5))
		var decoding *esjs.DecodeError
		if !errors.As(err, &decoding) || decoding.Unknown != c.unknown || decoding.Stream != id || decoding.Version != 2 || decoding.Type != c.event.EventType() {
			t.Errorf("%s: got %v", name, err)
		}
		got, err := versions(store.Read(context.Background(), id, 1, 0))
		if err != nil || len(got) != 2 {
			t.Errorf("%s: the events are %v, %v, want the two that were there", name, got, err)
		}
	}
	// What is read without a codec is there, whoever knows it.
	for r, err := range store.Read(testContext(t), account("newer"), 2, 2) {
		if err != nil || r.SchemaVersion != 2 || !json.Valid(r.Data) {
			t.Errorf("got %+v, %v", r, err)
		}
	}
}
