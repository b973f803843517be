package fulfilment

import "slices"

func undoRows() []Row {
	rows := []Row{
		// Shipment.
		{ID: "C1a", States: in(CompShipment), Inputs: on("ShipmentCancelled", "ShipmentVoided"), Guard: notCaptured,
			Facts: facts(shipmentCancellationConfirmed, voidRequested), Next: CompPayment},
		{ID: "C1b", States: in(CompShipment), Inputs: on("ShipmentCancelled", "ShipmentVoided"), Guard: captured,
			Facts: facts(shipmentCancellationConfirmed, refundRequested), Next: CompPayment},
		{ID: "C2", States: in(CompShipment), Inputs: on("ShipmentBooked"), Facts: facts(shipmentCancellationRequested), Remark: "it came late"},
		{ID: "C3a", States: in(CompShipment), Inputs: on("ShipmentCancellationRefused"), Guard: both(notCaptured, unseen(attentionGoodsUnpaid)),
			Facts: facts(attentionRequired(attentionGoodsUnpaid))},
		{ID: "C3b", States: in(CompShipment), Inputs: on("ShipmentCancellationRefused"), Guard: both(captured, unseen(attentionGoodsPaid)),
			Facts: facts(attentionRequired(attentionGoodsPaid)), Remark: "when the shipment is resolved, the money goes back"},

		{ID: "C3c", States: in(CompShipment), Inputs: on("ShipmentDispatched", "ShipmentLost"), Guard: both(notCaptured, unseen(attentionGoodsUnpaid)),
			Facts: facts(attentionRequired(attentionGoodsUnpaid))},
		{ID: "C3d", States: in(CompShipment), Inputs: on("ShipmentDispatched", "ShipmentLost"), Guard: both(captured, unseen(attentionGoodsPaid)),
			Facts: facts(attentionRequired(attentionGoodsPaid))},

		// Payment.
		{ID: "C4a", States: in(CompPayment), Inputs: on("PaymentVoided", "AuthorizationExpired", "PaymentDeclined"), Guard: refundUnasked,
			Facts: facts(voidConfirmed, releaseRequested), Next: CompStock},
		{ID: "C4b", States: in(CompPayment), Inputs: on("PaymentNotFound"), Guard: both(nothingAuthorized, both(askedOnce(authorize), refundUnasked)),
			Facts: facts(voidConfirmed, releaseRequested), Next: CompStock, Remark: "otherwise the void's own answer is awaited"},
		{ID: "C5", States: in(CompPayment), Inputs: on("PaymentAuthorized"), Guard: refundUnasked,
			Facts: facts(voidRequested), Remark: "it came late"},
		{ID: "C6a", States: in(CompPayment), Inputs: on("PaymentCaptured"), Guard: refundUnasked, Facts: facts(refundRequested)},
		{ID: "C6b", States: in(CompPayment), Inputs: on("PaymentVoidFailed"), Guard: voidTooLate, Facts: facts(refundRequested)},
		{ID: "C6c", States: in(CompPayment), Inputs: on("PaymentVoidFailed", "PaymentRefundFailed", "PaymentOutcomeUnknown"),
			Remark: "the step timer asks again"},
		{ID: "C6d", States: in(CompShipment), Inputs: on("PaymentCaptured"), Guard: notCaptured,
			Facts: facts(lateEffectDetected, when(goodsLeftUnpaid, attentionRequired(attentionGoodsPaid))), Remark: "C1b gives it back"},
		{ID: "C7", States: in(CompPayment), Inputs: on("PaymentRefunded"), Guard: refundedInFull,
			Facts: facts(refundConfirmed, releaseRequested), Next: CompStock},

		// Stock.
		{ID: "C8", States: in(CompStock), Inputs: on("ReservationReleased", "ReservationVoided", "ReservationExpired"),
			Facts: facts(releaseConfirmed, outcomeDecided), Next: CompOrder},
		{ID: "C9", States: in(CompStock), Inputs: on("ReservationConfirmed"), Facts: facts(releaseRequested), Remark: "it came late"},
		{ID: "C9a", States: in(CompStock), Inputs: on("ReservationRejected"), Remark: "the release is answered next"},

		// Order.
		{ID: "C10", States: in(CompOrder), Inputs: on("OrderRejected", "OrderCancelled", "OrderExpired"), Guard: everythingUndone,
			Facts: facts(fulfilmentCompensated, when(refundedTwice, refundedTwiceSeen),
				when(lateEffectUnseen, attentionRequired(attentionLateEffect))), Next: Compensated,
			Remark: "for a late effect that has no refund"},
	}

	// Every step back is repeated, at first often and then slowly.
	for i, s := range compensating {
		letter := string(rune('a' + i))
		repeat := slices.Concat(facts(stepTimedOut), stepsBack[s])
		rows = append(rows,
			Row{ID: "C11" + letter, States: in(s), Inputs: on(TimerStep), Guard: attemptsLeft, Facts: repeat},
			Row{ID: "C12" + letter, States: in(s), Inputs: on(TimerStep), Guard: needsAttention,
				Facts: facts(stepTimedOut, attentionAndAgain)},
			Row{ID: "C12" + letter + "'", States: in(s), Inputs: on(TimerStep), Guard: both(attemptsUsedUp, attention), Facts: repeat},
		)
	}
	return append(rows, Row{ID: "C13", States: compensating, Inputs: on("OrderCancellationRequested"),
		Facts: facts(cancellationAccepted), Remark: "no effect"})
}

// stepsBack is what each state of a compensation asks for.
var stepsBack = map[Status][]Fact{
	CompShipment: facts(shipmentCancellationRequested),
	CompPayment:  facts(when(refundUnasked, voidRequested), when(refundOpen, refundRequested)),
	CompStock:    facts(releaseRequested),
	CompOrder:    facts(outcomeDecided),
}

// lateEffectAfterTheEnd asks for people at once.
var lateEffectAfterTheEnd = facts(lateEffectDetected, when(noAttention, attentionRequired(attentionLateEffect)))

func lateRows() []Row {
	return []Row{
		{ID: "L1a", States: in(CompStock, CompOrder, Compensated), Inputs: on("PaymentAuthorized", "PaymentCaptured"), Guard: refundUnasked,
			Facts: facts(lateEffectRefunded), Remark: "the refund voids, or gives back"},
		{ID: "L1b", States: in(CompStock, CompOrder, Compensated), Inputs: on("PaymentAuthorized", "PaymentCaptured"), Guard: refundOpen,
			Remark: "told twice: C6 gave it back"},
		{ID: "L2a", States: in(Completing), Inputs: on("PaymentDisputed", "ShipmentLost", "ShipmentCancelled"), Facts: facts(lateEffectDetected),
			Remark: "F41 asks for attention"},
		{ID: "L2c", States: in(Dispatching), Inputs: on("PaymentDisputed"), Facts: facts(lateEffectDetected, moneyBackWarned),
			Remark: "F41 asks for attention; before the goods have left, people are warned"},
		{ID: "L2b", States: in(Completed), Inputs: on("PaymentDisputed", "ShipmentLost", "ShipmentCancelled"), Facts: lateEffectAfterTheEnd},
		{ID: "L2d", States: in(Dispatching, Completing), Inputs: on("PaymentCaptured"), Guard: capturedAgain, Facts: facts(lateEffectDetected),
			Remark: "captured twice: F41 asks for attention"},
		{ID: "L2e", States: in(Completed), Inputs: on("PaymentCaptured"), Guard: capturedAgain, Facts: lateEffectAfterTheEnd, Remark: "captured twice"},
		{ID: "L2f", States: in(Dispatching, Completing), Inputs: on("PaymentRefunded"), Guard: unasked, Facts: facts(lateEffectDetected, moneyBackWarned),
			Remark: "somebody gave it back at the provider: F41 asks for attention; before the goods have left, people are warned"},
		{ID: "L2g", States: in(Completed), Inputs: on("PaymentRefunded"), Guard: unasked, Facts: lateEffectAfterTheEnd,
			Remark: "somebody gave it back at the provider"},

		// A refund is a process of its own, and pays at once: that the goods still leave is for people to prevent.
		{ID: "L7a", States: in(Dispatching), Inputs: on("OrderRefundRequested"), Guard: ofGoods, Facts: facts(moneyBackWarned)},
		{ID: "L7b", States: paid, Inputs: on("OrderRefundRequested"), Remark: "a refund process gives it back"},

		// News of money and goods that were thought not to move, or to be undone.
		{ID: "L5a", States: with(with(authorizing, AwaitingMethod, Confirming, Booking, Capturing, CaptureUnknown), CompShipment),
			Inputs: on("PaymentDisputed", "PaymentRefunded"), Facts: facts(lateEffectDetected), Remark: "F41, or C10, asks for attention"},
		{ID: "L5b", States: in(CompPayment, CompStock, CompOrder), Inputs: on("PaymentDisputed", "ShipmentDispatched", "ShipmentLost"),
			Facts: facts(lateEffectDetected), Remark: "C10 asks for attention"},
		{ID: "L5c", States: in(Compensated), Inputs: on("PaymentDisputed", "ShipmentDispatched", "ShipmentLost"), Facts: lateEffectAfterTheEnd},
		{ID: "L5d", States: in(CompPayment, CompStock, CompOrder), Inputs: on("ShipmentBooked"), Guard: shipmentNotUndone,
			Facts: facts(lateEffectDetected), Remark: "the carrier had said no: C10 asks for attention"},
		{ID: "L5e", States: in(CompOrder), Inputs: on("ReservationConfirmed"), Guard: stockNotUndone,
			Facts: facts(lateEffectDetected), Remark: "the inventory had said no: C10 asks for attention"},
		{ID: "L5f", States: in(Compensated), Inputs: on("ShipmentBooked"), Guard: shipmentNotUndone, Facts: lateEffectAfterTheEnd},
		{ID: "L5g", States: in(Compensated), Inputs: on("ReservationConfirmed"), Guard: stockNotUndone, Facts: lateEffectAfterTheEnd},
		{ID: "L6a", States: in(Dispatching, Completing), Inputs: of(ofGivenUp, "ShipmentDispatched"), Facts: facts(lateEffectDetected),
			Remark: "two parcels are on their way: F41 asks for attention"},
		{ID: "L6b", States: in(Completed), Inputs: of(ofGivenUp, "ShipmentDispatched"), Facts: lateEffectAfterTheEnd},

		// A card that another one took the place of.
		{ID: "L4a", States: everPaying, Inputs: of(ofGivenUp, "PaymentAuthorized", "PaymentCaptured"), Facts: facts(lateEffectRefunded),
			Remark: "the refund voids, or gives back"},
		{ID: "L4b", States: underWay(everPaying), Inputs: of(ofGivenUp, "PaymentDisputed"), Facts: facts(lateEffectDetected),
			Remark: "F41, or C10, asks for attention"},
		{ID: "L4c", States: in(Completed, Compensated), Inputs: of(ofGivenUp, "PaymentDisputed"), Facts: lateEffectAfterTheEnd},
		{ID: "L4d", States: everPaying, Inputs: of(ofGivenUp, "PaymentDeclined", "PaymentNotFound", "PaymentOutcomeUnknown", "AuthorizationExpired",
			"PaymentVoided", "PaymentVoidFailed", "PaymentCaptureFailed", "PaymentRefunded", "PaymentRefundFailed"),
			Remark: "nothing is held, or a refund process goes on with it"},

		// The provider gives back what an operator had resolved as paid in another way.
		{ID: "L3a", States: in(CompStock, CompOrder), Inputs: on("PaymentRefunded"), Guard: paidTwice,
			Facts: facts(lateEffectDetected), Remark: "C10 asks for attention"},
		{ID: "L3b", States: in(Compensated), Inputs: on("PaymentRefunded"), Guard: paidTwice,
			Facts: facts(lateEffectDetected, refundedTwiceSeen), Remark: "never guess about money"},

		{ID: "F0a", States: in(New), Inputs: on("PaymentMethodSet", "OrderCancelled"), Remark: "a draft"},
	}
}
