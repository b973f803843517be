package payment_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/payment"
)

// garbled is stored as a request, and is none that can be decoded.
type garbled struct {
	Amount string `json:"amount"`
}

func (garbled) EventType() string { return "AuthorizationRequested" }

// A request that cannot be read sets its order aside. An operator may try again, or give
// the request up, with a reason and a name; what came after it is then done, in order.
func TestAnOperatorDecidesAboutWhatIsParked(t *testing.T) {
	w := newWorld(t)
	env := w.Env("payment")
	w.Run(w.service(env, payment.Config{}).Run)
	w.Ready(env)
	_, err := w.Store.Append(t.Context(), esjs.StreamID{Category: events.CategoryFulfilment, Key: "o"}, esjs.Any(), garbled{Amount: "much"})
	w.Check(err)
	w.request(events.AuthorizationRequested{Request: req("a1"), PaymentID: "p", Amount: eur("24.90"), MethodRef: "card-ok"})
	parked := func(since time.Time, count int) (found esjs.Parked) {
		t.Helper()
		w.Until("the order is set aside", func() bool {
			all, err := esjs.Subscriptions(t.Context(), w.Store, payment.BucketSubscriptions)
			w.Check(err)
			for _, s := range all {
				for _, p := range s.Parked {
					if s.Name == "payment" && p.Since.After(since) && p.Count == count && !p.Released {
						found = p
					}
				}
			}
			return found.Key != ""
		})
		return found
	}
	decide := func(verb, body, actor string) string {
		t.Helper()
		_, err := service.Client{Conn: w.NC}.Send(t.Context(), service.Command{
			Category: "subscription.payment", Key: "payment", Verb: verb, Body: []byte(body), Actor: actor,
		})
		var p *service.Problem
		if err != nil && !errors.As(err, &p) {
			t.Fatal(err)
		}
		if p != nil {
			return p.Code
		}
		return ""
	}
	first := parked(time.Time{}, 2)
	if first.Key != "fulfilment/o" || !strings.Contains(first.Reason, "AuthorizationRequested") {
		t.Errorf("parked is %+v", first)
	}
	drop := fmt.Sprintf(`{"key":"fulfilment/o","from":%q,"reason":"it was never meant"}`, first.From)
	for _, refused := range []struct{ verb, body, actor, code string }{
		{"release", `{"key":"fulfilment/o"}`, "alice", "field_required"},
		{"release", `{"key":"fulfilment/o","reason":"x"}`, "", "actor_required"},
		{"release", `{"key":"fulfilment/other","reason":"x"}`, "alice", "not_found"},
		{"drop", `{"key":"fulfilment/o","reason":"x"}`, "alice", "field_required"},
		{"drop", `{"key":"fulfilment/o","from":"somewhere","reason":"x"}`, "alice", "bad_request"},
		{"drop", `{"key":"fulfilment/o","from":"0-1000","reason":"x"}`, "alice", "another_waits"},
		{"drop", drop, "", "actor_required"},
		{"rewind", `{"to":"0-0"}`, "alice", "field_required"},
		{"rewind", `{"to":"the beginning","reason":"x"}`, "alice", "bad_request"},
		{"rewind", `{"to":"0-1000","reason":"x"}`, "alice", "invalid"},
		{"rewind", `{"to":"0-0","reason":"x"}`, "", "actor_required"},
	} {
		if code := decide(refused.verb, refused.body, refused.actor); code != refused.code {
			t.Errorf("%s %s by %q is answered %q, not %s", refused.verb, refused.body, refused.actor, code, refused.code)
		}
	}
	if code := decide("release", `{"key":"fulfilment/o","reason":"it may work now"}`, "alice"); code != "" {
		t.Fatalf("the release is refused with %s", code)
	}
	if again := parked(first.Since, 2); again.From != first.From {
		t.Errorf("released before the repair, it waits at %s, not at %s", again.From, first.From)
	}
	if code := decide("drop", drop, "alice"); code != "" {
		t.Fatalf("the drop is refused with %s", code)
	}
	servicetest.As[events.PaymentAuthorized](t, w.await("a1"))
	// From the beginning it comes to the same request again.
	if code := decide("rewind", `{"to":"0-0","reason":"which were those?"}`, "alice"); code != "" {
		t.Fatalf("the rewind is refused with %s", code)
	}
	if again := parked(first.Since, 2); again.From != first.From {
		t.Errorf("rewound, it waits at %s, not at %s", again.From, first.From)
	}
}
