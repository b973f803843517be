// Package order is the order service: one aggregate from draft to delivery.
//
// It answers cmd.order.>, follows its order's fulfilment on ev.fulfilment.>,
// keeps a copy of the products' names and prices from ev.product.>, and answers
// how an order was at an earlier version or moment.
//
//	Draft ─submit─▶ Submitted ─▶ Reserved ─▶ Authorized ─▶ Confirmed ─▶ Paid ─▶ Dispatched ─▶ Completed
//	  │                 └────────────┴────────────┴────────────┤
//	  └──cancel──▶ Cancelled ◀─────────────────────────────────┴─▶ Rejected, Expired
//
// A draft is cancelled at once. From Submitted to Confirmed a cancellation is a
// request that fulfilment decides; while the order is Authorized the order
// itself is the arbiter between confirming and cancelling. From Paid on there
// are only refunds.
package order

import (
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// Aggregate is the order aggregate on the given codec.
func Aggregate(codec *esjs.Codec[events.Event]) esjs.Aggregate[State, Command, events.Event] {
	return esjs.Aggregate[State, Command, events.Event]{Category: events.CategoryOrder, Codec: codec, Apply: Apply, Decide: Decide}
}
