package fulfilment

// echoRows keep what participants tell twice, in an answer and in the news of
// a partner, or to two requests, from being counted as unexpected.
func echoRows() []Row {
	const twice = "told twice"
	paying := in(Capturing, CaptureUnknown)
	return []Row{
		{ID: "E1", States: with(with(authorizing, AwaitingMethod, Confirming, Booking), with(paying, paid...)...),
			Inputs: on("ReservationConfirmed"), Remark: twice},
		{ID: "E2", States: with(with(paying, Confirming, Booking), paid...), Inputs: on("PaymentAuthorized"), Remark: twice},
		{ID: "E3", States: with(paying, paid...), Inputs: on("ShipmentBooked"), Remark: twice},
		{ID: "E4", States: paid, Inputs: on("PaymentCaptured"), Guard: capturedBefore, Remark: twice},
		{ID: "E5", States: in(Dispatching), Inputs: on("ShipmentDispatched"), Guard: dispatched, Remark: twice},
		{ID: "E6", States: in(Completing, Completed), Inputs: on("ShipmentDispatched", "ReservationCommitted"), Remark: twice},
		{ID: "E7", States: in(CompPayment, CompStock, CompOrder, Compensated), Inputs: on("ShipmentCancelled", "ShipmentVoided"), Remark: twice},
		{ID: "E8", States: in(CompStock, CompOrder), Inputs: on("PaymentVoided", "PaymentRefunded"), Remark: twice},
		{ID: "E9", States: in(CompOrder, Compensated), Inputs: on("ReservationReleased", "ReservationVoided"), Remark: twice},
		{ID: "E10", States: paid, Inputs: on("PaymentRefunded", "PaymentRefundFailed", "PaymentOutcomeUnknown"), Remark: "of a refund process"},
		{ID: "E11", States: in(CompStock, CompOrder, Compensated),
			Inputs: on("PaymentVoidFailed", "PaymentRefundFailed", "PaymentOutcomeUnknown"), Remark: "of a refund process"},
		{ID: "E12", States: in(Compensated), Inputs: on("PaymentVoided", "PaymentRefunded"), Remark: "of a refund process"},
		{ID: "E13", States: in(Dispatching), Inputs: on("ReservationCommitted"), Guard: committed, Remark: twice},
	}
}

// nothingRows say of all other news of money and goods why nothing follows from them: a test
// demands that each finds a row in each state. They come after the rows that do something, and say
// what remains where no guard of those holds. What participants only note for themselves, attempts
// and deliveries, is no input.
func nothingRows() []Row {
	capturing := in(Capturing, CaptureUnknown)
	undoing := in(CompPayment, CompStock, CompOrder, Compensated)
	return []Row{
		// Before the money moved.
		{ID: "N1", States: in(Reserving), Inputs: on("ReservationRejected"), Remark: "the step timer decides"},
		{ID: "N2", States: authorizing, Inputs: on("PaymentNotFound", "PaymentVoided", "PaymentVoidFailed", "AuthorizationExpired", "PaymentCaptureFailed",
			"PaymentRefundFailed"), Remark: "the authorisation's own answer counts, or the step timer asks for it"},
		{ID: "N3", States: in(AwaitingMethod), Inputs: on("PaymentDeclined", "PaymentNotFound", "PaymentOutcomeUnknown", "PaymentVoided", "PaymentVoidFailed",
			"AuthorizationExpired", "PaymentCaptureFailed", "PaymentRefundFailed"), Remark: "nothing is held; what is after all comes as PaymentAuthorized"},
		{ID: "N4", States: in(Confirming, Booking), Inputs: on("PaymentDeclined", "PaymentNotFound", "PaymentOutcomeUnknown", "PaymentVoidFailed",
			"PaymentCaptureFailed", "PaymentRefundFailed"), Remark: "the authorisation came first, and stands"},
		{ID: "N5", States: in(Confirming, Booking), Inputs: on("PaymentCaptured", "AuthorizationExpired", "PaymentVoided"), Guard: captured,
			Remark: "the unasked capture is known, and stands"},
		{ID: "N6", States: with(with(authorizing, AwaitingMethod, Confirming, Booking), with(capturing, paid...)...), Inputs: on("ReservationRejected"),
			Remark: "the confirmation came first; that it ends is told as ReservationExpired"},
		{ID: "N7", States: in(Booking), Inputs: on("ShipmentBookingFailed"), Remark: "the step timer decides"},
		{ID: "N8", States: in(Booking), Inputs: on("ShipmentDispatched", "ShipmentLost", "ShipmentCancelled", "ShipmentVoided", "ShipmentCancellationRefused"),
			Remark: "the booking's answer, or the next request, says it again"},

		// While it moves, and after.
		{ID: "N9", States: capturing, Inputs: on("PaymentCaptured", "PaymentDeclined", "PaymentNotFound", "PaymentVoided", "PaymentVoidFailed",
			"AuthorizationExpired", "PaymentRefundFailed"), Remark: "the capture's own answer counts; when the last check finds none, F33b asks people"},
		{ID: "N10", States: with(capturing, Dispatching), Inputs: on("ReservationExpired"), Remark: "too late to turn back: F46 asks people when it is paid"},
		{ID: "N11", States: capturing, Inputs: on("ShipmentBookingFailed", "ShipmentDispatched", "ShipmentLost", "ShipmentCancelled", "ShipmentVoided",
			"ShipmentCancellationRefused"), Remark: "asked to dispatch, or to cancel, the carrier says it again"},
		{ID: "N12", States: paid, Inputs: on("PaymentDeclined", "PaymentNotFound", "PaymentVoided", "PaymentVoidFailed", "AuthorizationExpired",
			"PaymentCaptureFailed"), Remark: "the capture came first, and stands"},
		{ID: "N13", States: in(Dispatching), Inputs: on("ShipmentDispatched", "ShipmentBookingFailed"), Remark: "asked again to dispatch, the carrier says it again"},
		{ID: "N14", States: in(Dispatching), Inputs: on("ShipmentLost", "ShipmentCancelled"), Remark: "people know"},
		{ID: "N33", States: in(Dispatching), Inputs: on("ReservationCommitted", "ReservationCommitFailed"),
			Remark: "people know, or it is about the goods of a parcel that is lost"},
		{ID: "N15", States: in(Completing, Completed), Inputs: on("ReservationCommitFailed", "ShipmentBookingFailed"),
			Remark: "an answer to an older request: it is done since, or an operator resolved it"},

		// While it is undone, and after.
		{ID: "N16", States: in(CompShipment), Inputs: on("ShipmentBookingFailed"), Remark: "the cancellation's own answer counts"},
		{ID: "N17", States: in(CompShipment), Inputs: on("ShipmentDispatched", "ShipmentLost", "ShipmentCancellationRefused"), Remark: "people know"},
		{ID: "N18", States: in(CompShipment), Inputs: on("PaymentAuthorized", "PaymentCaptured", "PaymentDeclined", "PaymentNotFound", "PaymentOutcomeUnknown",
			"PaymentVoided", "PaymentVoidFailed", "AuthorizationExpired", "PaymentCaptureFailed", "PaymentRefundFailed"),
			Remark: "the payment is undone next, and asked then"},
		{ID: "N19", States: in(CompPayment), Inputs: on("PaymentAuthorized", "PaymentCaptured", "PaymentDeclined", "PaymentNotFound", "PaymentVoided",
			"AuthorizationExpired", "PaymentCaptureFailed", "PaymentRefunded"), Remark: "what is still open the step timer asks again"},
		{ID: "N20", States: in(CompShipment, CompPayment), Inputs: on("ReservationConfirmed", "ReservationRejected", "ReservationReleased", "ReservationVoided",
			"ReservationExpired"), Remark: "the stock is released next, and asked then"},
		{ID: "N21", States: undoing, Inputs: on("ShipmentBookingFailed", "ShipmentCancellationRefused"), Remark: "the shipment is undone, or an operator resolved it"},
		{ID: "N22", States: undoing[1:], Inputs: on("PaymentDeclined", "PaymentNotFound", "AuthorizationExpired", "PaymentCaptureFailed"), Remark: "nothing is held any more"},
		{ID: "N23", States: undoing[2:], Inputs: on("ReservationRejected", "ReservationExpired"), Remark: "nothing is held any more"},

		{ID: "N31", States: undoing, Inputs: on("ShipmentBooked"), Remark: "told again: it is cancelled since"},
		{ID: "N32", States: undoing[2:], Inputs: on("ReservationConfirmed"), Remark: "told again: it is released since"},

		// Of a parcel that another one took the place of.
		{ID: "N24", States: paid, Inputs: of(ofGivenUp, "ShipmentBooked", "ShipmentBookingFailed", "ShipmentLost", "ShipmentCancelled", "ShipmentVoided",
			"ShipmentCancellationRefused"), Remark: "another parcel took its place"},

		// What nobody asked for, and participants do not do on their own.
		{ID: "N25", States: in(Reserving), Inputs: on("ReservationReleased", "ReservationVoided", "ReservationExpired"), Counted: true,
			Remark: "the reservation's confirmation, or the request to release it, comes first"},
		{ID: "N26", States: with(with(authorizing, AwaitingMethod, Confirming, Booking), with(capturing, paid...)...), Inputs: on("ReservationReleased", "ReservationVoided"),
			Counted: true, Remark: "no release is asked for before it is undone"},
		{ID: "N27", States: with(in(Reserving, AwaitingMethod, Confirming, Booking, CompShipment), with(with(authorizing, capturing...), undoing...)...),
			Inputs: on("ReservationCommitted", "ReservationCommitFailed"), Counted: true, Remark: "no commit is asked for before it is paid"},
		{ID: "N28", States: in(Completing, Completed), Inputs: on("ReservationExpired"), Counted: true, Remark: "what is committed does not expire"},
		{ID: "N29", States: paid, Inputs: on("ShipmentVoided", "ShipmentCancellationRefused"), Counted: true, Remark: "no cancellation is asked for when it is paid"},
		{ID: "N30", States: started, Inputs: of(ofStranger, aboutPaymentsAndShipments...), Counted: true,
			Remark: "a payment or a parcel that was never asked for is none of this order's; what the provider has beyond ours the comparison with its list finds"},
	}
}

// aboutPaymentsAndShipments are the inputs whose stream is a payment or a shipment.
var aboutPaymentsAndShipments = []string{
	"PaymentAuthorized", "PaymentDeclined", "PaymentOutcomeUnknown", "PaymentNotFound", "AuthorizationExpired", "PaymentCaptured", "PaymentCaptureFailed",
	"PaymentVoided", "PaymentVoidFailed", "PaymentRefunded", "PaymentRefundFailed", "PaymentDisputed",
	"ShipmentBooked", "ShipmentBookingFailed", "ShipmentDispatched", "ShipmentCancelled", "ShipmentVoided", "ShipmentCancellationRefused", "ShipmentLost",
}
