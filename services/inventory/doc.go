// Package inventory is the inventory service: products, stock and reservations.
//
// It answers cmd.product.> and cmd.stock.>, and it follows ev.fulfilment.>: a
// reservation holds every line of an order or nothing, is released when the
// order falls through, and is committed when its goods leave the house.
//
//	(none) ─reserve─▶ Held ─commit──▶ Committed
//	   │                └───release─▶ Released
//	   ├──reserve──▶ Rejected ─reserve again─▶ Held
//	   └──release──▶ Voided      (a late reserve finds it and holds nothing)
//
// Requests that wait are decided together in memory and stored as one atomic
// append, one commit for each touched sku and each reservation: a hot sku costs
// one commit for hundreds of orders.
package inventory

import (
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// codec decodes everything that the service reads and writes.
func codec() (*esjs.Codec[events.Event], error) {
	types := make([]esjs.EventType[events.Event], len(events.Types))
	for i, t := range events.Types {
		types[i] = esjs.EventType[events.Event](t)
	}
	return esjs.NewCodec(types...)
}
