package events_test

import (
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/events"
)

// What is stored must decode for ever: testdata holds an event of each type and
// version with every field set, as it was published first. ESJSTEST_REWRITE=1
// go test ./pkg/events writes the files of new types.
func TestEveryStoredVersionDecodesForEver(t *testing.T) {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		t.Fatal(err)
	}
	esjstest.CheckGolden(t, codec, "testdata", events.MustMoney("24.90", "EUR"))
}
