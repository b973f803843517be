package order

import (
	"context"
	"net/http"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

type handler = esjs.CommandHandler[State, Command, events.Event]

// desk takes what customers and operators send, on cmd.order.> and query.orders.>.
type desk struct {
	orders   *handler
	products *catalog
}

type answer = func(context.Context, service.Command) (service.Reply, error)

// verbs are the commands of an order, each with the JSON that it takes.
func (d desk) verbs() map[string]answer {
	return map[string]answer{
		"create": verb(d, func(_ context.Context, id string, body struct {
			CustomerID string `json:"customer_id"`
			Currency   string `json:"currency"`
			Channel    string `json:"channel"`
		}) (Command, error) {
			return Create{OrderID: id, CustomerID: body.CustomerID, Currency: body.Currency, Channel: body.Channel}, nil
		}),
		"add-item": verb(d, func(ctx context.Context, _ string, body struct {
			SKU      string `json:"sku"`
			Quantity int    `json:"quantity"`
		}) (Command, error) {
			product, err := d.products.product(ctx, body.SKU)
			return AddItem{SKU: body.SKU, Quantity: body.Quantity, Product: product}, err
		}),
		"change-quantity": verb(d, func(_ context.Context, _ string, body struct {
			LineID   string `json:"line_id"`
			Quantity *int   `json:"quantity"`
		}) (Command, error) {
			if body.Quantity == nil {
				return nil, reject(http.StatusUnprocessableEntity, "field_required", `the field "quantity" must be given, from 0 (which removes the line) to %d`, MaxQuantity)
			}
			return ChangeQuantity{LineID: body.LineID, Quantity: *body.Quantity}, nil
		}),
		"remove-item": verb(d, func(_ context.Context, _ string, body struct {
			LineID string `json:"line_id"`
		}) (Command, error) {
			return RemoveItem(body), nil
		}),
		"set-shipping": verb(d, func(_ context.Context, _ string, body struct {
			AddressRef string `json:"address_ref"`
			Country    string `json:"country"`
		}) (Command, error) {
			return SetShipping(body), nil
		}),
		"set-payment-method": verb(d, func(_ context.Context, _ string, body struct {
			MethodRef string `json:"method_ref"`
		}) (Command, error) {
			return SetPaymentMethod(body), nil
		}),
		"submit": verb(d, func(context.Context, string, struct{}) (Command, error) {
			return Submit{}, nil
		}),
		"cancel": d.cancel,
		"request-refund": verb(d, func(_ context.Context, _ string, body struct {
			Lines    []events.RefundLine `json:"lines"`
			Amount   string              `json:"amount"`
			Currency string              `json:"currency"`
			Reason   string              `json:"reason"`
		}) (Command, error) {
			return RequestRefund(body), nil
		}),
	}
}

// cancel is a verb that records who asked.
func (d desk) cancel(ctx context.Context, cmd service.Command) (service.Reply, error) {
	return verb(d, func(_ context.Context, _ string, body struct {
		Reason string `json:"reason"`
	}) (Command, error) {
		return Cancel{Reason: body.Reason, By: cmd.Actor}, nil
	})(ctx, cmd)
}

// verb decodes the body of a command on the order id, makes the command of it
// and handles that.
func verb[B any](d desk, command func(ctx context.Context, id string, body B) (Command, error)) answer {
	return func(ctx context.Context, cmd service.Command) (service.Reply, error) {
		var body B
		if err := cmd.Decode(&body); err != nil {
			return service.Reply{}, err
		}
		c, err := command(ctx, cmd.Key, body)
		if err != nil {
			return service.Reply{}, err
		}
		result, err := d.orders.Handle(ctx, cmd.Key, c, cmd.Options(cmd.Key)...)
		if err != nil {
			return service.Reply{}, err
		}
		return service.ReplyTo(result, viewOf(result.State)), nil
	}
}
