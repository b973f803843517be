// Package stock is the view of what there is of every product and what moved it.
// It reads the events of stock and, for names and prices, of products, and tells
// buyers which of them are for sale.
package stock
