package main

import "github.com/b144f99b/orderflow/pkg/queries"

// scenario is an order of the demo: what its customer does, how it must end,
// and which events must, and must not, have happened on the way.
type scenario struct {
	name     string
	story    string // one sentence for who watches
	quantity int    // of the product, of which the shop has [demoStock]
	method   string // payment method; the partners' scripts know it by name
	cancelOn string // the order's event upon which the customer cancels
	outage   bool   // the payment provider is away when it is asked for the money, and when it is asked what became of that
	ends     queries.OrderState
	happens  []string
	never    []string
}

const demoStock = 40

func scenarios() []scenario {
	return []scenario{
		{
			name: "completed", story: "Two bags of coffee, a good card: paid, shipped, completed.",
			quantity: 2, method: "card-ok", ends: queries.Completed,
			happens: []string{"ReservationConfirmed", "PaymentAuthorized", "ShipmentBooked", "PaymentCaptured", "ShipmentDispatched", "FulfilmentCompleted"},
			never:   []string{"CompensationStarted"},
		},
		{
			name: "out-of-stock", story: "More bags than there are: rejected, and nothing is held.",
			quantity: demoStock + 1, method: "card-ok", ends: queries.Rejected,
			happens: []string{"ReservationRejected", "CompensationStarted", "FulfilmentCompensated"},
			never:   []string{"ReservationConfirmed", "AuthorizationAttempted", "PaymentCaptured"},
		},
		{
			name: "declined", story: "The bank declines the card: the stock is given back and the order rejected.",
			quantity: 1, method: "card-declined", ends: queries.Rejected,
			happens: []string{"ReservationConfirmed", "PaymentDeclined", "ReservationReleased", "FulfilmentCompensated"},
			never:   []string{"PaymentCaptured", "ShipmentBooked"},
		},
		{
			name: "cancelled", story: "The customer changes her mind while a slow bank is being asked: everything is undone.",
			quantity: 1, method: "card-slow", cancelOn: "OrderReserved", ends: queries.Cancelled,
			happens: []string{"OrderCancellationRequested", "PaymentVoided", "ReservationReleased", "FulfilmentCompensated"},
			never:   []string{"PaymentCaptured", "OrderConfirmed"},
		},
		{
			name: "psp-outage", story: "The payment provider is away for some seconds: nobody knows whether the card was charged, so it is asked again until it answers.",
			quantity: 1, method: "card-ok", outage: true, ends: queries.Completed,
			happens: []string{"PaymentOutcomeUnknown", "PaymentAuthorized", "PaymentCaptured", "FulfilmentCompleted"},
			never:   []string{"CompensationStarted"},
		},
	}
}
