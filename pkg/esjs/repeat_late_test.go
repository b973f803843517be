package esjs_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// A command that comes again after 128 others is decided again. That it has the
// event ids of the first time is what Verify says then.
func TestACommandThatIsRepeatedTooLateHasTheIDsOfTheFirstTime(t *testing.T) {
	t.Parallel()
	d := esjstest.Server(t)
	store := d.Store(t)
	h := newHandler(t, d, store, esjs.HandlerConfig[balance]{})
	give := func(id string) esjs.Result[balance] {
		t.Helper()
		result, err := h.Handle(testContext(t), "a", 1, esjs.WithMetadata(esjs.Metadata{CommandID: id}))
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	first := give("first")
	for i := range 127 {
		give(fmt.Sprint("other ", i))
	}
	if again := give("first"); !again.Repeated || again.Version != 1 {
		t.Errorf("after 127 others it is %+v", again)
	}
	give("other 127")
	again := give("first")
	if again.Repeated || again.Version != 130 || !slices.Equal(again.EventIDs, first.EventIDs) {
		t.Errorf("after 128 others it is %+v, the first time it was %+v", again, first)
	}
	r, err := esjs.Verify[esjs.Event](testContext(t), store, accountAggregate(t).Codec, esjs.VerifyConfig{})
	if err != nil || len(r.Findings) != 1 || r.Findings[0].Version != 130 {
		t.Errorf("verified is %+v, %v", r.Findings, err)
	}
}

// A batch that is repeated answers as the first time also where what it guards has changed since, and the revision that it was
// decided on is one that was parsed. One that was not stored is a conflict.
func TestARepeatedBatchOutlivesWhatItGuards(t *testing.T) {
	t.Parallel()
	store := esjstest.Server(t, esjstest.Partitions(1)).Store(t)
	given, err := store.Append(testContext(t), account("b"), esjs.NoStream(), deposited{Amount: 1})
	if err != nil {
		t.Fatal(err)
	}
	since, err := esjs.ParseRevision(given.Revision.String())
	if err != nil {
		t.Fatal(err)
	}
	give := func(id string) ([]esjs.Appended, error) {
		w := put(account(id), esjs.NoStream(), 1)
		w.Metadata.CommandID = id
		return store.AppendAll(testContext(t), w, esjs.Unchanged(account("b"), since))
	}
	first, err := give("first")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Append(testContext(t), account("b"), esjs.ExpectVersion(1), deposited{Amount: 1}); err != nil {
		t.Fatal(err)
	}
	again, err := give("first")
	if err != nil || !slices.Equal(again[0].EventIDs, first[0].EventIDs) || again[0].Revision.String() != first[0].Revision.String() {
		t.Errorf("it is repeated with %+v, %v; the first time it was %+v", again, err, first)
	}
	var conflict *esjs.ConflictError
	if _, err := give("late"); !errors.As(err, &conflict) || conflict.Stream != account("b") || conflict.Expected != 1 || conflict.Actual != 2 {
		t.Errorf("another one: %v", err)
	}
}
