// Package inventory is the inventory service: products, stock and reservations.
//
// It answers cmd.product.> and cmd.stock.>, and it follows ev.fulfilment.> and
// ev.refund.>: a reservation holds every line of an order or nothing, is released when
// the order falls through, and is committed when its goods leave the house. What a
// refund puts back is received again.
//
//	(none) ─reserve─▶ Held ─commit──▶ Committed
//	   │                ├───release─▶ Released
//	   │                └───expiry──▶ Expired      (fulfilment fell silent; never while it asks for the money)
//	   ├──reserve──▶ Rejected ─reserve again─▶ Held
//	   └──release──▶ Voided      (a late reserve finds it and holds nothing)
//
// Requests that wait are decided together in memory and stored as one atomic
// append, one commit for each touched sku and each reservation: a hot sku costs
// one commit for hundreds of orders.
package inventory
