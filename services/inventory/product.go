package inventory

import (
	"net/http"

	"github.com/b144f99b/orderflow/pkg/events"
)

// Product is what is known of a sku that is, or was, for sale.
type Product struct {
	Listed bool         `json:"listed"`
	Name   string       `json:"name"`
	Price  events.Money `json:"price"`
}

// ProductCommand is a command to one product.
type ProductCommand interface {
	decide(Product) ([]events.Event, error)
}

// List offers the product for sale, for the first time or again.
type List struct {
	Name  string
	Price events.Money
}

// Reprice changes the price of new lines.
type Reprice struct {
	Price events.Money
}

// Delist takes the product off sale.
type Delist struct {
	Reason string
}

// ApplyProduct folds one event of a product.
func ApplyProduct(p Product, e events.Event) Product {
	switch e := e.(type) {
	case events.ProductListed:
		return Product{Listed: true, Name: e.Name, Price: e.Price}
	case events.ProductPriceChanged:
		p.Price = e.Price
	case events.ProductDelisted:
		p.Listed = false
	}
	return p
}

// DecideProduct decides a command to one product.
func DecideProduct(p Product, c ProductCommand) ([]events.Event, error) { return c.decide(p) }

func (c List) decide(p Product) ([]events.Event, error) {
	if c.Name == "" {
		return nil, reject(http.StatusUnprocessableEntity, "field_required", `the field "name" must not be empty`)
	}
	if err := short("name", c.Name); err != nil {
		return nil, err
	}
	if err := positive(c.Price); err != nil {
		return nil, err
	}
	listed := Product{Listed: true, Name: c.Name, Price: c.Price}
	switch {
	case p == listed:
		return nil, nil
	case p.Listed:
		return nil, reject(http.StatusConflict, "already_listed", "it is listed as %q for %s; change its price with reprice, or delist it first", p.Name, p.Price)
	}
	return []events.Event{events.ProductListed{Name: c.Name, Price: c.Price}}, nil
}

func (c Reprice) decide(p Product) ([]events.Event, error) {
	if err := positive(c.Price); err != nil {
		return nil, err
	}
	switch {
	case !p.Listed:
		return nil, reject(http.StatusNotFound, "product_not_listed", "there is no such product for sale; offer it with list")
	case c.Price.Currency() != p.Price.Currency():
		return nil, reject(http.StatusUnprocessableEntity, "currency_mismatch", "its price is in %s; a price in %s needs it delisted and listed again", p.Price.Currency(), c.Price.Currency())
	case c.Price == p.Price:
		return nil, nil
	}
	return []events.Event{events.ProductPriceChanged{Price: c.Price}}, nil
}

func (c Delist) decide(p Product) ([]events.Event, error) {
	if !p.Listed {
		return nil, nil
	}
	return []events.Event{events.ProductDelisted{Reason: c.Reason}}, nil
}

func positive(price events.Money) error {
	if price.Minor() <= 0 {
		return reject(http.StatusUnprocessableEntity, "price_not_positive", "the price is %s; it must be above zero", price)
	}
	return nil
}
