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

// verbs are the commands of an order, each with the JSON that it takes.
func (d desk) verbs() map[string]service.Answer {
	return map[string]service.Answer{
		"create": verb(d, func(_ context.Context, request service.Command, body struct {
			CustomerID string `json:"customer_id"`
			Currency   string `json:"currency"`
			Channel    string `json:"channel"`
		}) (Command, error) {
			return Create{OrderID: request.Key, CustomerID: body.CustomerID, Currency: body.Currency, Channel: body.Channel}, nil
		}),
		"add-item": verb(d, func(ctx context.Context, _ service.Command, body struct {
			SKU      string `json:"sku"`
			Quantity int    `json:"quantity"`
		}) (Command, error) {
			product, err := d.products.product(ctx, body.SKU)
			return AddItem{SKU: body.SKU, Quantity: body.Quantity, Product: product}, err
		}),
		"change-quantity": verb(d, func(_ context.Context, _ service.Command, body struct {
			LineID   string `json:"line_id"`
			Quantity *int   `json:"quantity"`
		}) (Command, error) {
			if body.Quantity == nil {
				return nil, reject(http.StatusUnprocessableEntity, "field_required", `the field "quantity" must be given, from 0 (which removes the line) to %d`, MaxQuantity)
			}
			return ChangeQuantity{LineID: body.LineID, Quantity: *body.Quantity}, nil
		}),
		"remove-item": verb(d, func(_ context.Context, _ service.Command, body struct {
			LineID string `json:"line_id"`
		}) (Command, error) {
			return RemoveItem(body), nil
		}),
		"set-shipping": verb(d, func(_ context.Context, _ service.Command, body struct {
			AddressRef string `json:"address_ref"`
			Country    string `json:"country"`
		}) (Command, error) {
			return SetShipping(body), nil
		}),
		"set-payment-method": verb(d, func(_ context.Context, _ service.Command, body struct {
			MethodRef string `json:"method_ref"`
		}) (Command, error) {
			return SetPaymentMethod(body), nil
		}),
		"submit": verb(d, func(context.Context, service.Command, struct{}) (Command, error) {
			return Submit{}, nil
		}),
		"cancel": verb(d, func(_ context.Context, request service.Command, body struct {
			Reason string `json:"reason"`
		}) (Command, error) {
			return Cancel{Reason: body.Reason, By: request.Actor}, nil
		}),
		"request-refund": verb(d, func(_ context.Context, _ service.Command, body struct {
			Lines    []events.RefundLine `json:"lines"`
			Amount   string              `json:"amount"`
			Currency string              `json:"currency"`
			Reason   string              `json:"reason"`
		}) (Command, error) {
			return RequestRefund(body), nil
		}),
	}
}

// verb is a command of an order that answers with the order as it is then.
func verb[B any](d desk, command func(ctx context.Context, request service.Command, body B) (Command, error)) service.Answer {
	return service.Verb(d.orders, func(_ string, s State) any { return viewOf(s) }, command)
}
