package esjs_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go"
)

// A server answers a subject that does not fit its control line by closing the
// connection for good; it is refused before it is sent.
func TestSubjectThatIsTooLongIsRefusedAndTheConnectionStays(t *testing.T) {
	t.Parallel()
	r := newRig(t, esjstest.Server(t))
	for _, n := range []int{4050, 5000} { // the first fits without the rest of the subject
		if _, err := esjs.Subscriptions(within(t), r.store, strings.Repeat("B", n)); !errors.Is(err, nats.ErrBadSubject) {
			t.Errorf("a bucket's name of %d bytes: %v", n, err)
		}
	}
	if _, err := r.store.Last(within(t)); err != nil || !r.store.Conn().IsConnected() {
		t.Errorf("the store afterwards: %v", err)
	}
}
