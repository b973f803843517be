// Package orders is the view of one order as it is now, with its lines,
// amounts, state and tracking, and of lists of orders. It reads the order's own
// events alone; an order is one row with one JSON document, folded by [Fold].
package orders
