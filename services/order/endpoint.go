package order

import (
	"context"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

type handler = esjs.CommandHandler[State, Command, events.Event]

// desk takes what customers and operators send, on cmd.order.> and query.orders.>.
type desk struct {
	store    *esjs.Store
	orders   *handler
	products *catalog
}

// verbs are the commands of an order, each with the JSON that it takes.
func (d desk) verbs() map[string]service.Answer {
	return map[string]service.Answer{
		"create": verb(d, func(_ context.Context, request service.Command, body struct {
			CustomerID string `json:"customer_id" required:"of 1 to 200 bytes"`
			Currency   string `json:"currency" required:"with the code of a currency, such as EUR"`
			Channel    string `json:"channel"`
		}) (Command, error) {
			return Create{OrderID: request.Key, CustomerID: body.CustomerID, Currency: body.Currency, Channel: body.Channel}, nil
		}),
		"add-item": verb(d, func(ctx context.Context, _ service.Command, body struct {
			SKU      string `json:"sku" required:"with the sku of a product that is listed"`
			Quantity int    `json:"quantity" required:"from 1 to 9999"`
		}) (Command, error) {
			product, err := d.products.product(ctx, body.SKU)
			return AddItem{SKU: body.SKU, Quantity: body.Quantity, Product: product}, err
		}),
		"change-quantity": verb(d, func(_ context.Context, _ service.Command, body struct {
			LineID   string `json:"line_id" required:"with the id of a line, such as l1"`
			Quantity int    `json:"quantity" required:"from 0 to 9999; 0 removes the line"`
		}) (Command, error) {
			return ChangeQuantity(body), nil
		}),
		"remove-item": verb(d, func(_ context.Context, _ service.Command, body struct {
			LineID string `json:"line_id" required:"with the id of a line, such as l1"`
		}) (Command, error) {
			return RemoveItem(body), nil
		}),
		"set-shipping": verb(d, func(_ context.Context, _ service.Command, body struct {
			AddressRef string `json:"address_ref" required:"of 1 to 200 bytes"`
			Country    string `json:"country" required:"of two capital letters, such as DE"`
		}) (Command, error) {
			return SetShipping(body), nil
		}),
		"set-payment-method": verb(d, func(_ context.Context, _ service.Command, body struct {
			MethodRef string `json:"method_ref" required:"of 1 to 200 bytes"`
		}) (Command, error) {
			return SetPaymentMethod{MethodRef: body.MethodRef, At: time.Now()}, nil
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
			Lines    []refundLine `json:"lines"`
			Amount   string       `json:"amount"`
			Currency string       `json:"currency"`
			Reason   string       `json:"reason"`
			Restock  bool         `json:"restock"`
		}) (Command, error) {
			c := RequestRefund{Amount: body.Amount, Currency: body.Currency, Reason: body.Reason, Restock: body.Restock}
			for _, l := range body.Lines {
				c.Lines = append(c.Lines, events.RefundLine(l))
			}
			return c, nil
		}),
	}
}

type refundLine struct {
	LineID   string `json:"line_id" required:"with the id of a line, such as l1"`
	Quantity int    `json:"quantity" required:"above 0"`
}

// verb is a command of an order that answers with the order as it is then.
func verb[B any](d desk, command func(ctx context.Context, request service.Command, body B) (Command, error)) service.Answer {
	return service.Verb(d.orders, func(_ string, s State) any { return viewOf(s) }, command)
}
