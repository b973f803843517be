package desk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/gateway/signin"
	"github.com/go-json-experiment/json"
)

// Verb is one command that may be sent.
type Verb struct {
	Category string
	Name     string
	Summary  string
	Body     reflect.Type // of the JSON that it takes
	State    reflect.Type // of what its reply shows
	Roles    []signin.Role
	// Creates: there is nothing to expect a version of.
	Creates bool
	// Replaces: it puts a value in place of one that another writer may just have
	// set, so its sender has to say which version he knows, or that he does not care.
	Replaces bool
}

// Reply is the answer to a command.
type Reply[S any] struct {
	Version  uint64   `json:"version"`
	Revision string   `json:"revision" jsonschema:"min_revision of a query that is to show what the command has done"`
	EventIDs []string `json:"event_ids"`
	State    S        `json:"state"`
}

func verb[B, S any](category, name, summary string, roles []signin.Role) Verb {
	return Verb{
		Category: category, Name: name, Summary: summary, Roles: roles,
		Body: reflect.TypeFor[B](), State: reflect.TypeFor[Reply[S]](),
	}
}

func (v Verb) creates() Verb  { v.Creates = true; return v }
func (v Verb) replaces() Verb { v.Replaces = true; return v }

// Find returns a verb; a *[esjs.Rejection] "unknown_verb", 404, lists those that exist.
func Find(category, name string) (Verb, error) {
	var known []string
	for _, v := range Verbs() {
		if v.Category == category && v.Name == name {
			return v, nil
		}
		if v.Category == category {
			known = append(known, v.Name)
		}
	}
	return Verb{}, &esjs.Rejection{
		Code:    "unknown_verb",
		Message: fmt.Sprintf("%s has no command %.60q; it has %s", category, name, strings.Join(known, ", ")),
		Status:  http.StatusNotFound,
	}
}

// Send sends a command in the name of the principal in ctx, who becomes its
// Actor, and returns the JSON of what he sees of its [Reply]. Who may not gets what [Ask] says, and
// a customer who would open an order for somebody else "forbidden", 403, or under
// an id that somebody else has taken "order_exists", 409; other errors are those of
// [Find] and [service.Client.Send].
//
// The correlation is an operator's to choose; what others send belongs to the order
// that it is sent to.
func (d *Desk) Send(ctx context.Context, cmd service.Command) ([]byte, error) {
	verb, err := Find(cmd.Category, cmd.Verb)
	if err != nil {
		return nil, err
	}
	p, err := Caller(ctx)
	if err != nil {
		return nil, err
	}
	if !p.Has(verb.Roles...) {
		return nil, forbidden(p)
	}
	cmd.Actor = p.Subject
	if p.Has(signin.Operator) {
		return d.client.Send(ctx, cmd)
	}
	cmd.CorrelationID = ""
	if err := d.ownCommand(ctx, p, verb, cmd); err != nil {
		return nil, err
	}
	reply, err := d.client.Send(ctx, cmd)
	if verb.Creates {
		err = d.withoutOthers(ctx, p, cmd.Key, err)
	}
	if err != nil {
		return nil, err
	}
	return seenBy[Reply[queries.OrderView]](p, reply)
}

// ownCommand refuses what a customer sends to an order of somebody else's.
func (d *Desk) ownCommand(ctx context.Context, p signin.Principal, verb Verb, cmd service.Command) error {
	if verb.Category != events.CategoryOrder {
		return forbidden(p)
	}
	if verb.Name == "request-refund" {
		var body RequestRefund
		if err := json.Unmarshal(cmd.Body, &body); err == nil && body.Restock { // what is not a body the order service refuses
			return &esjs.Rejection{
				Code: "forbidden", Message: `that goods are back in stock is for who has seen them to say; leave out "restock"`, Status: http.StatusForbidden,
			}
		}
	}
	if !verb.Creates {
		return d.own(ctx, p, cmd.Key)
	}
	var body struct {
		CustomerID string `json:"customer_id"`
	}
	if err := json.Unmarshal(cmd.Body, &body); err != nil {
		return &esjs.Rejection{Code: "bad_request", Message: `the body must be a JSON object whose "customer_id" is a string`, Status: http.StatusBadRequest}
	}
	if body.CustomerID != p.CustomerID {
		return &esjs.Rejection{
			Code:    "forbidden",
			Message: fmt.Sprintf(`the order would be for the customer %.60q; you are %q and order for yourself only: give that as "customer_id"`, body.CustomerID, p.CustomerID),
			Status:  http.StatusForbidden,
		}
	}
	return nil
}

// withoutOthers returns err, which a customer's create has come to, unless it tells
// of an order that is not known to be his own: then he learns that the id is taken,
// and neither what has become of that order nor its version.
func (d *Desk) withoutOthers(ctx context.Context, p signin.Principal, orderID string, err error) error {
	var refused *service.Problem
	if !errors.As(err, &refused) || refused.Status != http.StatusConflict {
		return err
	}
	if owner, unknown := d.Owner(ctx, orderID); unknown == nil && owner == p.CustomerID {
		return err
	}
	return &esjs.Rejection{Code: "order_exists", Message: fmt.Sprintf("there is an order %.60q already; choose another id", orderID), Status: http.StatusConflict}
}
