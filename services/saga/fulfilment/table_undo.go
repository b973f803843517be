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
		{ID: "C3", States: in(CompShipment), Inputs: on("ShipmentCancellationRefused"), Guard: unseen(attentionGoodsLeft),
			Facts: facts(attentionRequired(attentionGoodsLeft))},

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
			Facts: facts(lateEffectDetected), Remark: "C1b gives it back"},
		{ID: "C7", States: in(CompPayment), Inputs: on("PaymentRefunded"), Guard: refundedInFull,
			Facts: facts(refundConfirmed, releaseRequested), Next: CompStock},

		// Stock.
		{ID: "C8", States: in(CompStock), Inputs: on("ReservationReleased", "ReservationVoided", "ReservationExpired"),
			Facts: facts(releaseConfirmed, outcomeDecided), Next: CompOrder},
		{ID: "C9", States: in(CompStock), Inputs: on("ReservationConfirmed"), Facts: facts(releaseRequested), Remark: "it came late"},
		{ID: "C9a", States: in(CompStock), Inputs: on("ReservationRejected"), Remark: "the release is answered next"},

		// Order.
		{ID: "C10", States: in(CompOrder), Inputs: on("OrderRejected", "OrderCancelled", "OrderExpired"), Guard: everythingUndone,
			Facts: facts(fulfilmentCompensated, when(both(lateEffect, noAttention), attentionRequired(attentionLateEffect))), Next: Compensated},
	}

	// Every step back is repeated, at first often and then slowly.
	again := map[Status][]Fact{
		CompShipment: facts(shipmentCancellationRequested),
		CompPayment:  facts(when(refundUnasked, voidRequested), when(refundOpen, refundRequested)),
		CompStock:    facts(releaseRequested),
		CompOrder:    facts(outcomeDecided),
	}
	for i, s := range compensating {
		letter := string(rune('a' + i))
		repeat := slices.Concat(facts(stepTimedOut), again[s])
		rows = append(rows,
			Row{ID: "C11" + letter, States: in(s), Inputs: on(TimerStep), Guard: attemptsLeft, Facts: repeat},
			Row{ID: "C12" + letter, States: in(s), Inputs: on(TimerStep), Guard: needsAttention,
				Facts: facts(stepTimedOut, attentionAndAgain(attentionNoAnswer))},
			Row{ID: "C12" + letter + "'", States: in(s), Inputs: on(TimerStep), Guard: both(attemptsUsedUp, attention), Facts: repeat},
		)
	}
	return append(rows, Row{ID: "C13", States: compensating, Inputs: on("OrderCancellationRequested"),
		Facts: facts(cancellationAccepted), Remark: "no effect"})
}

func lateRows() []Row {
	return []Row{
		{ID: "L1a", States: in(CompStock, CompOrder), Inputs: on("PaymentAuthorized", "PaymentCaptured"), Facts: facts(lateEffectDetected),
			Remark: "C10 asks for attention"},
		{ID: "L1b", States: in(Compensated), Inputs: on("PaymentAuthorized", "PaymentCaptured"),
			Facts: facts(lateEffectDetected, when(noAttention, attentionRequired(attentionLateEffect)))},
		{ID: "L2a", States: in(Completing), Inputs: on("PaymentDisputed", "ShipmentLost"), Facts: facts(lateEffectDetected),
			Remark: "F41 asks for attention"},
		{ID: "L2b", States: in(Completed), Inputs: on("PaymentDisputed", "ShipmentLost"),
			Facts: facts(lateEffectDetected, when(noAttention, attentionRequired(attentionLateEffect)))},

		{ID: "F0a", States: in(New), Inputs: on("PaymentMethodSet", "OrderCancelled"), Remark: "a draft"},
	}
}

// echoRows keep what participants tell twice, in an answer and in the news of
// a partner, or to two requests, from being counted as unexpected.
func echoRows() []Row {
	const twice = "told twice"
	paying := in(Capturing, CaptureUnknown)
	return []Row{
		{ID: "E1", States: with(with(authorizing, AwaitingMethod, Confirming, Booking), with(paying, Dispatching, Completing)...),
			Inputs: on("ReservationConfirmed"), Remark: twice},
		{ID: "E2", States: with(with(paying, Confirming, Booking), Dispatching, Completing), Inputs: on("PaymentAuthorized"), Remark: twice},
		{ID: "E3", States: with(paying, Dispatching, Completing), Inputs: on("ShipmentBooked"), Remark: twice},
		{ID: "E4", States: in(Dispatching, Completing), Inputs: on("PaymentCaptured"), Guard: amountIsTotal, Remark: twice},
		{ID: "E5", States: in(Dispatching), Inputs: on("ShipmentDispatched"), Guard: dispatched, Remark: twice},
		{ID: "E6", States: in(Completing), Inputs: on("ShipmentDispatched", "ReservationCommitted"), Remark: twice},
		{ID: "E7", States: in(CompPayment, CompStock, CompOrder), Inputs: on("ShipmentCancelled", "ShipmentVoided"), Remark: twice},
		{ID: "E8", States: in(CompStock, CompOrder), Inputs: on("PaymentVoided", "PaymentRefunded"), Remark: twice},
		{ID: "E9", States: in(CompOrder), Inputs: on("ReservationReleased", "ReservationVoided"), Remark: twice},
	}
}
