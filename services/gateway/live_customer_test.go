package gateway_test

import (
	"net/http"
	"testing"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/gateway"
	"github.com/b144f99b/orderflow/services/gateway/signin"
	"github.com/b144f99b/orderflow/services/gateway/signin/signintest"
)

// A customer follows his own orders, from now on and from where he broke off, and
// nothing of others; nobody guesses whose an order is.
func TestACustomerFollowsHisOrders(t *testing.T) {
	issuer := signintest.New(t)
	r := newRig(t, gateway.Config{SignIn: issuer.Config()})
	const path = "/v1/customers/c-1/live"
	mine := []string{"Authorization", "Bearer " + issuer.Token("c-1", signin.Customer)}
	if s, answer := r.live(t, path, "Authorization", "Bearer "+issuer.Token("c-2", signin.Customer)); s != nil || answer.StatusCode != http.StatusForbidden {
		t.Fatalf("another customer is answered %s", answer.Status)
	}
	happen := func(order string) { r.Append("order", order, events.OrderCancelled{Reason: order}) }

	// While nobody answers whose an order is, the stream ends where he can come back.
	s, _ := r.live(t, path, mine...)
	begun := s.beat()
	happen("mine")
	s.end()
	r.serveOwners(map[string]string{"mine": "c-1", "theirs": "c-2"})
	s, _ = r.live(t, path, append(mine, "Last-Event-ID", begun)...)
	if e := s.next(); e.Key != "mine" || e.Version != 1 {
		t.Errorf("after the interruption comes %+v", e)
	}
	for _, order := range []string{"theirs", "nobody's", "mine"} {
		happen(order)
	}
	r.Append("fulfilment", "mine", events.FulfilmentCompleted{OrderID: "mine"})
	happen("theirs")
	happen("mine")
	for version := uint64(2); version <= 3; version++ {
		if e := s.next(); e.Category != "order" || e.Key != "mine" || e.Version != version {
			t.Errorf("version %d is seen as %+v", version, e)
		}
	}
	overseer, _ := r.live(t, path, "Authorization", "Bearer "+issuer.Token("a-1", signin.Auditor), "Last-Event-ID", "0-0")
	for version := uint64(1); version <= 3; version++ {
		if e := overseer.next(); e.Key != "mine" || e.Version != version {
			t.Errorf("an auditor sees version %d as %+v", version, e)
		}
	}
}
