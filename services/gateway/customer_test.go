package gateway_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/gateway"
	"github.com/b144f99b/orderflow/services/gateway/signin"
	"github.com/b144f99b/orderflow/services/gateway/signin/signintest"
)

// serveOwners answers query.orders.at: whose an order is, by its id. A blank one is refused, as the order service does.
func (r *rig) serveOwners(owners map[string]string) {
	env := r.Env("history")
	env.Health.AwaitEndpoints("history")
	r.Run(func(ctx context.Context) error {
		return env.ServeQueries(ctx, service.Queries{Name: "history", Handlers: map[string]service.Query{
			queries.OrderAt.Subject: service.Answering(func(_ context.Context, q queries.OrderAtRequest) (queries.OrderMoment, error) {
				if strings.TrimSpace(q.OrderID) == "" {
					return queries.OrderMoment{}, &esjs.Rejection{Code: "field_required", Message: "the field must not be empty", Status: http.StatusUnprocessableEntity}
				}
				owner, known := owners[q.OrderID]
				if !known {
					return queries.OrderMoment{}, &esjs.Rejection{Code: "order_not_found", Message: "there is no such order", Status: http.StatusNotFound}
				}
				return queries.OrderMoment{Version: 1, State: queries.OrderView{OrderID: q.OrderID, CustomerID: owner}}, nil
			}),
		}})
	})
	r.Ready(env)
}

// Who signs in after another one in the same browser is not shown what it has kept for that one.
func TestWhatIsKeptIsForWhoAsked(t *testing.T) {
	issuer := signintest.New(t)
	r := newRig(t, gateway.Config{SignIn: issuer.Config()})
	r.serveOwners(map[string]string{"mine": "c-1"})
	for _, token := range []string{issuer.Token("op-1", signin.Operator), issuer.Token("c-1", signin.Customer)} {
		for _, known := range []string{`"0"`, `"1"`} {
			a := r.do(t, "GET", "/v1/orders/mine?at_version=1", "", "Authorization", "Bearer "+token, "If-None-Match", known)
			if a.Header.Get("Etag") != `"1"` || a.Header.Get("Vary") != "Authorization, Cookie" {
				t.Errorf("%d %v", a.StatusCode, a.Header)
			}
		}
	}
}

// What has become of an id that somebody else has taken is not told to who tries it.
func TestACustomerLearnsNothingOfOthersByCreating(t *testing.T) {
	issuer := signintest.New(t)
	r := newRig(t, gateway.Config{SignIn: issuer.Config()})
	r.serveOwners(map[string]string{"mine": "c-1", "theirs": "c-2"})
	r.serveOrders(t, func(cmd service.Command) (service.Reply, error) {
		switch {
		case cmd.Key == "free":
			return created(cmd)
		case cmd.ExpectedVersion != nil:
			return service.Reply{}, &esjs.ConflictError{Stream: esjs.StreamID{Category: "order", Key: cmd.Key}, Expected: 0, Actual: 7}
		}
		return service.Reply{}, &esjs.Rejection{Code: "order_exists", Message: "it exists already, as Paid", Status: http.StatusConflict}
	})
	customer, operator := issuer.Token("c-1", signin.Customer), issuer.Token("op-1", signin.Operator)
	for _, c := range []struct {
		name, token, id string
		header          []string
		status          int
		code, says      string
	}{
		{name: "an id that is free", token: customer, id: "free", status: 200},
		{name: "his own", token: customer, id: "mine", status: 409, code: "order_exists", says: "as Paid"},
		{name: "his own, if nothing is there", token: customer, id: "mine", header: []string{"If-None-Match", "*"}, status: 412, code: "conflict", says: "at version 7"},
		{name: "another's", token: customer, id: "theirs", status: 409, code: "order_exists", says: "choose another id"},
		{name: "another's, if nothing is there", token: customer, id: "theirs", header: []string{"If-None-Match", "*"}, status: 409, code: "order_exists", says: "choose another id"},
		{name: "one whose owner nobody knows", token: customer, id: "erased", status: 409, code: "order_exists", says: "choose another id"},
		{name: "anybody's, to an operator", token: operator, id: "theirs", status: 409, code: "order_exists", says: "as Paid"},
	} {
		a := r.do(t, "POST", "/v1/orders/"+c.id+"/create", `{"customer_id":"c-1"}`, append(c.header, "Authorization", "Bearer "+c.token)...)
		if a.StatusCode != c.status || a.problem.Code != c.code || !strings.Contains(a.problem.Detail, c.says) {
			t.Errorf("%s: %d %s, want %d %s saying %q", c.name, a.StatusCode, a.body, c.status, c.code, c.says)
		}
		if c.says == "choose another id" && (strings.Contains(a.body, "Paid") || strings.Contains(a.body, "version")) {
			t.Errorf("%s: he is told %s", c.name, a.body)
		}
		<-r.received
	}
}

func TestACorrelationIsForOperatorsToChoose(t *testing.T) {
	issuer := signintest.New(t)
	r := newRig(t, gateway.Config{SignIn: issuer.Config()})
	r.serveOrders(t, created)
	for role, want := range map[signin.Role]string{signin.Customer: "", signin.Operator: "o-of-another"} {
		a := r.do(t, "POST", "/v1/orders/o-1/create", `{"customer_id":"c-1"}`,
			"Authorization", "Bearer "+issuer.Token("c-1", role), "X-Correlation-Id", "o-of-another")
		if a.StatusCode != 200 {
			t.Fatalf("%s: %d %s", role, a.StatusCode, a.body)
		}
		if got := (<-r.received).CorrelationID; got != want {
			t.Errorf("%s: the service got the correlation %q, want %q", role, got, want)
		}
	}
}

// Goods are back in stock when somebody has seen them, and not when a customer says so.
func TestRestockingIsForOperatorsToSay(t *testing.T) {
	issuer := signintest.New(t)
	r := newRig(t, gateway.Config{SignIn: issuer.Config()})
	r.serveOrders(t, created)
	body := `{"lines":[{"line_id":"l1","quantity":1}],"restock":true}`
	for role, want := range map[signin.Role]int{signin.Customer: 403, signin.Operator: 404} { // 404 is the service's own: it has no such verb here
		a := r.do(t, "POST", "/v1/orders/o-1/request-refund", body, "Authorization", "Bearer "+issuer.Token("c-1", role))
		if a.StatusCode != want || want == 403 && !strings.Contains(a.body, `leave out \"restock\"`) {
			t.Errorf("%s: %d %s", role, a.StatusCode, a.body)
		}
	}
}

// An ETag is given only where nothing else changes while the version does not.
func TestAStockHasNoETag(t *testing.T) {
	r := newRig(t, gateway.Config{})
	env := r.Env("projector")
	env.Health.AwaitEndpoints("projector")
	answers := map[string]service.Query{}
	for _, subject := range []string{queries.StockGet.Subject, queries.SagaGet.Subject, queries.PaymentGet.Subject} {
		answers[subject] = func(context.Context, []byte) (any, error) { return map[string]any{"version": 7}, nil }
	}
	r.Run(func(ctx context.Context) error {
		return env.ServeQueries(ctx, service.Queries{Name: "projector", Handlers: answers})
	})
	r.Ready(env)
	for path, tag := range map[string]string{"/v1/stock/beans": "", "/v1/sagas/o-1": "", "/v1/payments/p-1": `"7"`} {
		if a := r.do(t, "GET", path, ""); a.StatusCode != http.StatusOK || a.Header.Get("ETag") != tag {
			t.Errorf("%s: %d %s with the ETag %q, want %q", path, a.StatusCode, a.body, a.Header.Get("ETag"), tag)
		}
		want := map[bool]int{true: http.StatusOK, false: http.StatusNotModified}[tag == ""]
		if a := r.do(t, "GET", path, "", "If-None-Match", `"7"`); a.StatusCode != want {
			t.Errorf("%s, of which the client has version 7: %d, want %d", path, a.StatusCode, want)
		}
	}
}
