package inventory

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"unicode"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// maxText bounds a name, a reference or a reason, in bytes.
const maxText = 200

// price is how a command names an amount of money.
type price struct {
	Price    string `json:"price" required:"with the currency's decimals, such as 24.90"`
	Currency string `json:"currency" required:"with the code of a currency, such as EUR"`
}

func (p price) money() (events.Money, error) {
	m, err := events.ParseMoney(p.Price, p.Currency)
	if err != nil {
		return m, reject(http.StatusUnprocessableEntity, "price_invalid", "the price is not valid: %v", err)
	}
	return m, nil
}

// StockView is what a reply shows of a sku's level.
type StockView struct {
	SKU       string `json:"sku"`
	OnHand    int    `json:"on_hand"`
	Reserved  int    `json:"reserved"`
	Available int    `json:"available"`
}

func stockView(sku string, s Stock) any {
	return StockView{SKU: sku, OnHand: s.OnHand, Reserved: s.Reserved, Available: s.Available()}
}

// ProductView is what a reply shows of a product.
type ProductView struct {
	SKU string `json:"sku"`
	Product
}

func productView(sku string, p Product) any { return ProductView{sku, p} }

// productVerbs are the commands of a product, each with the JSON that it takes.
func productVerbs(products *esjs.CommandHandler[Product, ProductCommand, events.Event]) map[string]service.Answer {
	return map[string]service.Answer{
		"list": service.Verb(products, productView, func(_ context.Context, _ service.Command, body struct {
			Name string `json:"name" required:"of 1 to 200 bytes"`
			price
		}) (ProductCommand, error) {
			m, err := body.money()
			return List{Name: body.Name, Price: m}, err
		}),
		"reprice": service.Verb(products, productView, func(_ context.Context, _ service.Command, body price) (ProductCommand, error) {
			m, err := body.money()
			return Reprice{Price: m}, err
		}),
		"delist": service.Verb(products, productView, func(_ context.Context, _ service.Command, body struct {
			Reason string `json:"reason"`
		}) (ProductCommand, error) {
			return Delist{Reason: body.Reason}, short("reason", body.Reason)
		}),
	}
}

// stockVerbs are the commands of a sku's stock, each with the JSON that it takes.
func stockVerbs(stocks *esjs.CommandHandler[Stock, StockCommand, events.Event]) map[string]service.Answer {
	return map[string]service.Answer{
		"register": service.Verb(stocks, stockView, func(context.Context, service.Command, struct{}) (StockCommand, error) {
			return Register{}, nil
		}),
		"receive": service.Verb(stocks, stockView, func(_ context.Context, _ service.Command, body struct {
			Quantity  int    `json:"quantity" required:"above 0"`
			Reference string `json:"reference"`
		}) (StockCommand, error) {
			return Receive{Quantity: body.Quantity, Reference: body.Reference}, short("reference", body.Reference)
		}),
		"adjust": service.Verb(stocks, stockView, func(_ context.Context, request service.Command, body struct {
			Delta  int    `json:"delta" required:"that is negative when goods are missing"`
			Reason string `json:"reason" required:"of 1 to 200 bytes"`
		}) (StockCommand, error) {
			by, err := request.Decider()
			if err != nil {
				return nil, err
			}
			return Adjust{Delta: body.Delta, Reason: body.Reason, By: by}, short("reason", body.Reason)
		}),
	}
}

// short refuses a long or unprintable value of a field.
func short(field, value string) error {
	if len(value) > maxText {
		return reject(http.StatusUnprocessableEntity, "field_too_long", "the field %q has %d bytes; at most %d are allowed", field, len(value), maxText)
	}
	if strings.ContainsFunc(value, unicode.IsControl) {
		return reject(http.StatusUnprocessableEntity, "field_invalid", "the field %q has control characters; only printable text is allowed", field)
	}
	return nil
}

func reject(status int, code, format string, args ...any) error {
	return &esjs.Rejection{Code: code, Message: fmt.Sprintf(format, args...), Status: status}
}
