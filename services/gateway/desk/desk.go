// Package desk asks and orders in the name of the principal who has signed in,
// and gives him what he may see: it is the one place that knows who may do what.
// The HTTP API and the console both go through it.
//
// An auditor asks everything, an operator also sends every command. A customer
// asks what can be ordered, and asks about, and commands, the orders that are his own;
// those of others are to him as if they were not there. Of his own he sees what is
// listed for him: see [CustomerEvent].
package desk

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/gateway/signin"
	"github.com/go-json-experiment/json"
	lru "github.com/hashicorp/golang-lru/v2"
)

// rememberedOwners bounds how many orders' customers are kept in memory.
const rememberedOwners = 10_000

// Desk is safe for concurrent use.
type Desk struct {
	client service.Client
	owners *lru.Cache[string, string] // customer by order; it never changes
}

// New makes a desk that asks by client.
func New(client service.Client) *Desk {
	owners, _ := lru.New[string, string](rememberedOwners) // fails only for a size below 1
	return &Desk{client: client, owners: owners}
}

// Ask asks a question and returns the JSON of what the principal sees of the answer; see
// [Answered] for a value.
// Who may not ask gets a *[esjs.Rejection] "forbidden", 403, or "order_not_found",
// 404, for another customer's order; other errors are those of [service.Client.Ask].
func Ask[Q, A any](ctx context.Context, d *Desk, question queries.Question[Q, A], request Q) ([]byte, error) {
	p, err := d.admit(ctx, &request)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(request, json.Deterministic(true))
	if err != nil { // text that is not UTF-8
		return nil, &esjs.Rejection{Code: "bad_request", Message: "the request is not UTF-8 throughout", Status: http.StatusBadRequest}
	}
	answer, err := d.client.Ask(ctx, question.Subject, body)
	if err != nil {
		return nil, err
	}
	return seenBy[A](p, answer)
}

// Answered is [Ask] with the answer as a value. What a newer service has added to
// the answer is left out.
func Answered[Q, A any](ctx context.Context, d *Desk, question queries.Question[Q, A], request Q) (A, error) {
	var answer A
	body, err := Ask(ctx, d, question, request)
	if err == nil {
		err = json.Unmarshal(body, &answer)
	}
	return answer, err
}

// admit decides whether the principal, whom it returns, may ask request, and narrows it
// to what he may see.
func (d *Desk) admit(ctx context.Context, request any) (signin.Principal, error) {
	p, err := Caller(ctx)
	if err != nil || oversees(p) {
		return p, err
	}
	scope, ofCustomers := scopeOf(request)
	switch {
	case !ofCustomers || !p.Has(signin.Customer):
		return p, forbidden(p)
	case scope.shop:
		return p, nil
	case scope.customer == nil:
		return p, d.own(ctx, p, scope.order)
	case *scope.customer == "":
		*scope.customer = p.CustomerID
	case *scope.customer != p.CustomerID:
		return p, &esjs.Rejection{Code: "forbidden", Message: "you may see your own orders only; leave out whose", Status: http.StatusForbidden}
	}
	return p, nil
}

// scope is what a customer's question is about: an order, the orders of a customer,
// or what the shop tells everybody who buys.
type scope struct {
	order    string
	customer *string
	shop     bool
}

// scopeOf tells what a request, given by its address, is about when customers may ask it.
func scopeOf(request any) (s scope, ofCustomers bool) {
	switch r := request.(type) {
	case *queries.OrderRequest:
		return scope{order: r.OrderID}, true
	case *queries.OrderFilter:
		return scope{customer: &r.CustomerID}, true
	case *queries.CustomerRequest:
		return scope{customer: &r.CustomerID}, true
	case *queries.TimelineRequest:
		return scope{order: r.OrderID}, true
	case *queries.OrderAtRequest:
		return scope{order: r.OrderID}, true
	case *queries.OrderDiffRequest:
		return scope{order: r.OrderID}, true
	case *queries.OrderEventsRequest:
		return scope{order: r.OrderID}, true
	case *queries.ProductFilter:
		return scope{shop: true}, true
	}
	return scope{}, false
}

// Readers returns the roles that may ask questions with requests of type Q.
func Readers[Q any]() []signin.Role {
	if _, ofCustomers := scopeOf(new(Q)); ofCustomers {
		return signin.Roles()
	}
	return Overseers()
}

// Overseers returns the roles that see what is everybody's.
func Overseers() []signin.Role { return []signin.Role{signin.Operator, signin.Auditor} }

// Admit refuses a principal who has none of the roles.
func Admit(ctx context.Context, roles ...signin.Role) error {
	p, err := Caller(ctx)
	if err == nil && !p.Has(roles...) {
		err = forbidden(p)
	}
	return err
}

// SeeOrder refuses a principal who may not see an order: see [Ask].
func (d *Desk) SeeOrder(ctx context.Context, orderID string) error {
	_, err := d.admit(ctx, &queries.OrderRequest{OrderID: orderID})
	return err
}

// SeeCustomer returns whose orders a principal sees who asks for those of a customer,
// or refuses him: see [Ask].
func (d *Desk) SeeCustomer(ctx context.Context, customerID string) (string, error) {
	request := queries.CustomerRequest{CustomerID: customerID}
	_, err := d.admit(ctx, &request)
	return request.CustomerID, err
}

// Reached returns the position up to which every view that answers has applied the
// events. Everybody may know it: live streams tell where the store is with each event.
func (d *Desk) Reached(ctx context.Context) (position string, err error) {
	body, err := d.client.Ask(ctx, queries.ProjectionList.Subject, []byte("{}"))
	if err != nil {
		return "", err
	}
	var all queries.ProjectionStatuses
	if err := json.Unmarshal(body, &all); err != nil {
		return "", fmt.Errorf("how far the views are: %w", err)
	}
	var first uint64
	for _, p := range all.Projections {
		at, err := esjs.ParsePosition(p.Position)
		if p.State != queries.ProjectionLive || err != nil {
			continue
		}
		if position == "" || at.Sequence() < first {
			position, first = p.Position, at.Sequence()
		}
	}
	return position, nil
}

// Caller returns the principal of ctx, or "sign_in_required", 401.
func Caller(ctx context.Context) (signin.Principal, error) {
	p, ok := signin.From(ctx)
	if !ok {
		return p, &esjs.Rejection{Code: "sign_in_required", Message: "nobody has signed in", Status: http.StatusUnauthorized}
	}
	return p, nil
}

// own refuses an order that is not p's, in the words for one that is not there.
func (d *Desk) own(ctx context.Context, p signin.Principal, orderID string) error {
	owner, err := d.Owner(ctx, orderID)
	if err != nil {
		return err
	}
	if owner != p.CustomerID {
		return notFound(orderID)
	}
	return nil
}

// Owner returns whose an order is, or "order_not_found", 404. Its first version says so:
// the order service knows it as soon as the order exists, and it never changes.
func (d *Desk) Owner(ctx context.Context, orderID string) (string, error) {
	if owner, known := d.owners.Get(orderID); known {
		return owner, nil
	}
	first := uint64(1)
	body, err := json.Marshal(queries.OrderAtRequest{OrderID: orderID, Version: &first})
	if err != nil {
		return "", notFound(orderID) // not UTF-8: no order has such an id
	}
	answer, err := d.client.Ask(ctx, queries.OrderAt.Subject, body)
	var p *service.Problem
	if errors.As(err, &p) && p.Status == http.StatusNotFound {
		return "", notFound(orderID)
	}
	if err != nil {
		return "", err
	}
	var moment queries.OrderMoment
	if err := json.Unmarshal(answer, &moment); err != nil {
		return "", fmt.Errorf("whose order %q is: %w", orderID, err)
	}
	d.owners.Add(orderID, moment.State.CustomerID)
	return moment.State.CustomerID, nil
}

func notFound(orderID string) error {
	return &esjs.Rejection{Code: "order_not_found", Message: fmt.Sprintf("there is no order %.60q", orderID), Status: http.StatusNotFound}
}

func forbidden(p signin.Principal) error {
	roles := "no role"
	if len(p.Roles) > 0 {
		roles = fmt.Sprintf("the roles %v", p.Roles)
	}
	return &esjs.Rejection{Code: "forbidden", Message: fmt.Sprintf("you have %s, and none that may do this", roles), Status: http.StatusForbidden}
}
