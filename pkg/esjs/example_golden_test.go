package esjs_test

import (
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// TestTicketEvents fails when what was published once is no longer read as it was.
func TestTicketEvents(t *testing.T) {
	codec, err := ticketCodec()
	if err != nil {
		t.Fatal(err)
	}
	esjstest.CheckGolden(t, codec, "testdata/ticket")
}
