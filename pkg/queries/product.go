package queries

import "github.com/b144f99b/orderflow/pkg/events"

// ProductList asks what can be ordered. It tells nothing of others: neither how much
// there is of a product nor who holds it.
var ProductList = Question[ProductFilter, ProductPage]{"query.products.list", "Products that can be ordered, by sku"}

// ProductFilter selects products; the zero one selects all that can be ordered.
type ProductFilter struct {
	Text string `json:"text,omitzero" jsonschema:"part of the sku or the name, in any case"`
	Paging
	ReadYourWrites
}

// ProductPage is a part of a list. NextCursor is empty on the last one.
type ProductPage struct {
	Products   []Product `json:"products"`
	NextCursor string    `json:"next_cursor,omitzero"`
}

// Product is one that is for sale. InStock tells that some of it is available now; an
// order of more than there is is rejected when it is submitted.
type Product struct {
	SKU     string       `json:"sku"`
	Name    string       `json:"name"`
	Price   events.Money `json:"price"`
	InStock bool         `json:"in_stock"`
}
