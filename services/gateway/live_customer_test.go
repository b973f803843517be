package gateway_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
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
	for _, order := range []string{"theirs", "nobody's", " ", "mine"} { // a blank one was stored before they were refused
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

// What operators say and what providers call things is on no customer's stream or page,
// and on an auditor's.
func TestACustomerIsNotToldWhatOperatorsSay(t *testing.T) {
	issuer := signintest.New(t)
	r := newRig(t, gateway.Config{SignIn: issuer.Config()})
	r.serveOwners(map[string]string{"mine": "c-1"})
	env := r.Env("projector")
	env.Health.AwaitEndpoints("projector")
	secret := "the customer is a nuisance"
	r.Run(func(ctx context.Context) error {
		return env.ServeQueries(ctx, service.Queries{Name: "projector", Handlers: map[string]service.Query{
			queries.OrderTimeline.Subject: service.Answering(func(context.Context, queries.TimelineRequest) (queries.Timeline, error) {
				return queries.Timeline{OrderID: "mine", Entries: []queries.TimelineEntry{
					{Category: "order", Key: "mine", Version: 1, Type: "OrderCancelled", Actor: "op-1", What: secret, Data: []byte(`{"reason":"` + secret + `","by":"op-1"}`)},
					{Category: "fulfilment", Key: "mine", Version: 1, Type: "OperatorIntervened", Actor: "op-1", What: secret, Data: []byte(`{"order_id":"mine","by":"op-1","reason":"` + secret + `"}`)},
				}}, nil
			}),
		}})
	})
	r.Ready(env)
	mine := []string{"Authorization", "Bearer " + issuer.Token("c-1", signin.Customer)}
	theirs := []string{"Authorization", "Bearer " + issuer.Token("a-1", signin.Auditor)}

	if a := r.do(t, "GET", "/v1/orders/mine/timeline", "", mine...); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "The order is cancelled.") ||
		strings.Contains(a.body, secret) || strings.Contains(a.body, "op-1") || strings.Contains(a.body, "OperatorIntervened") {
		t.Errorf("the customer's timeline is %d %s", a.StatusCode, a.body)
	}
	if a := r.do(t, "GET", "/v1/orders/mine/timeline", "", theirs...); strings.Count(a.body, secret) != 4 || !strings.Contains(a.body, "OperatorIntervened") {
		t.Errorf("the auditor's timeline is %d %s", a.StatusCode, a.body)
	}

	var streams []*stream
	for _, who := range [][]string{mine, theirs} {
		s, _ := r.live(t, "/v1/orders/mine/live", who...)
		s.beat()
		streams = append(streams, s)
	}
	r.Append("fulfilment", "mine", events.OperatorIntervened{OrderID: "mine", Action: "retry", By: "op-1", Reason: secret})
	r.Append("payment", "p-1", events.PaymentCaptured{OrderID: "mine", CaptureID: "psp-capture-77", Amount: events.MustMoney("24.90", "EUR")})
	r.Append("order", "mine", events.OrderCancelled{Reason: secret, By: "op-1"}, events.OrderRefundRequested{RefundID: "r-1", Reason: secret})
	for _, want := range []string{"PaymentCaptured", "OrderCancelled", "OrderRefundRequested"} {
		e := streams[0].next()
		if data := string(e.Data); e.Type != want || strings.Contains(data, secret) || strings.Contains(data, "op-1") || strings.Contains(data, "psp-capture") || e.Actor != "" {
			t.Errorf("the customer is told %s %s by %q, want %s", e.Type, data, e.Actor, want)
		}
	}
	for _, want := range []string{secret, "psp-capture-77", secret, secret} {
		if e := streams[1].next(); !strings.Contains(string(e.Data), want) {
			t.Errorf("the auditor is told %s %s, want %q", e.Type, e.Data, want)
		}
	}
}
