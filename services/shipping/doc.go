// Package shipping sends goods: it turns the requests that fulfilment publishes
// into calls to the carrier, and what the carrier answers, or tells by webhook,
// into events of one aggregate per shipment.
//
//	fulfilment event ──▶ Ask ── known? ──────────────────▶ the same answer again
//	                      │ no
//	                HTTP to the carrier ──▶ Tell ── decide ──▶ ShipmentBooked, … Cancelled
//	carrier's webhook ───────────────────▶ News ── decide ──▶ ShipmentDispatched, … Lost
//
// The carrier knows a shipment by our id, so asking again books nothing twice,
// and a booking whose answer was lost is found again. A cancellation that comes
// before, or instead of, the booking leaves ShipmentVoided, with us and with
// the carrier: a booking that comes late is refused.
//
//	(none) ──▶ booked ──▶ dispatched ──▶ delivered
//	  │          │            │
//	  ▼          ▼            ▼
//	voided   cancelled       lost
package shipping
