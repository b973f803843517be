package esjs_test

import (
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
