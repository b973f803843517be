package fulfilment

import "slices"

// Row is one line of the transition table: in one of States, on one of Inputs,
// when Guard holds, Facts are appended. They imply Next, which a test checks.
type Row struct {
	ID     string // "F9"
	States []Status
	Inputs []string // event types, timers, and what operators do
	Guard  Guard
	Facts  []Fact
	Next   Status // "" stays
	Remark string

	// Early asks for the input again later, a few times.
	Early bool
	// Counted rows change nothing and are told to the observer, as are the
	// pairs that no row knows.
	Counted bool
}

func in(states ...Status) []Status          { return states }
func on(inputs ...string) []string          { return inputs }
func facts(f ...Fact) []Fact                { return f }
func with(a []Status, b ...Status) []Status { return slices.Concat(a, b) }

// of names inputs by whose news they are.
func of(whose string, inputs ...string) []string {
	out := make([]string, len(inputs))
	for i, input := range inputs {
		out[i] = whose + input
	}
	return out
}

// underWay leaves the states in which a fulfilment has ended out.
func underWay(states []Status) []Status {
	return slices.DeleteFunc(slices.Clone(states), Status.Terminal)
}

// Groups of states.
var (
	started      = Statuses()[1:]
	everPaying   = Statuses()[2:] // a payment may have been asked for
	authorizing  = in(Authorizing, AuthUnknown)
	paid         = in(Dispatching, Completing, Completed)
	compensating = in(CompShipment, CompPayment, CompStock, CompOrder)
)

// Table returns the transition table. Of the rows of one state and input the
// first whose guard holds applies; a pair without such a row changes nothing.
// The numbers are those of the design; a letter marks the parts of a row.
func Table() []Row {
	rows := slices.Concat(forwardRows(), undoRows(), lateRows(), operatorRows(), echoRows(), nothingRows())
	return append(rows, Row{ID: "F0", States: in(New), Inputs: answersIn(rows), Early: true, Remark: "out of order"})
}

// answersIn returns what rows take from participants other than the order.
func answersIn(rows []Row) []string {
	var out []string
	for _, r := range rows {
		for _, input := range r.Inputs {
			if isEvent(input) && !ofOrder(input) && !slices.Contains(out, input) {
				out = append(out, input)
			}
		}
	}
	return out
}

func forwardRows() []Row {
	return []Row{
		// Start.
		{ID: "F1", States: in(New), Inputs: on("OrderSubmitted"),
			Facts: facts(fulfilmentStarted, reservationRequested), Next: Reserving},
		{ID: "F2", States: started, Inputs: on("OrderSubmitted"), Remark: "a duplicate"},

		// Reserve.
		{ID: "F3", States: in(Reserving), Inputs: on("ReservationConfirmed"),
			Facts: facts(reservationSucceeded, authorizationRequested), Next: Authorizing},
		{ID: "F4", States: in(Reserving), Inputs: on("ReservationRejected"), Guard: both(outOfStock, askedOnce(reserve)),
			Facts: facts(reservationFailed, compensationStarted(causeOutOfStock, onlyOrder), outcomeDecided), Next: CompOrder},
		{ID: "F4a", States: in(Reserving), Inputs: on("ReservationRejected"), Guard: both(outOfStock, askedAgain(reserve)),
			Facts: facts(reservationFailed, compensationStarted(causeOutOfStock, fromStock), releaseRequested), Next: CompStock,
			Remark: "the newer request may be granted"},
		{ID: "F5", States: in(Reserving), Inputs: on("ReservationRejected"), Guard: both(inventoryBusy, attemptsLeft),
			Facts: facts(stepRetried, reservationRequested)},
		{ID: "F6", States: in(Reserving), Inputs: on(TimerStep), Guard: attemptsLeft,
			Facts: facts(stepTimedOut, reservationRequested)},
		{ID: "F7", States: in(Reserving), Inputs: on(TimerStep), Guard: attemptsUsedUp,
			Facts: facts(stepTimedOut, compensationStarted(causeInventoryTimeout, fromStock), releaseRequested), Next: CompStock},
		{ID: "F8", States: in(Reserving), Inputs: on("OrderCancellationRequested"),
			Facts: facts(cancellationAccepted, compensationStarted(causeCustomer, fromStock), releaseRequested), Next: CompStock},

		// Authorise.
		{ID: "F9", States: authorizing, Inputs: on("PaymentAuthorized"), Guard: amountIsTotal,
			Facts: facts(authorizationSucceeded, confirmationRequested), Next: Confirming},
		{ID: "F10", States: authorizing, Inputs: on("PaymentAuthorized"), Guard: amountDiffers,
			Facts: facts(authorizationFailed, compensationStarted(causeMismatch, fromPayment), voidRequested), Next: CompPayment},
		{ID: "F9a", States: in(AwaitingMethod), Inputs: on("PaymentAuthorized"), Guard: amountIsTotal,
			Facts: facts(authorizationSucceeded, confirmationRequested), Next: Confirming, Remark: "the decline was not the last word"},
		{ID: "F10a", States: in(AwaitingMethod), Inputs: on("PaymentAuthorized"), Guard: amountDiffers,
			Facts: facts(authorizationFailed, compensationStarted(causeMismatch, fromPayment), voidRequested), Next: CompPayment},
		{ID: "F9b", States: with(authorizing, AwaitingMethod), Inputs: on("PaymentCaptured"), Guard: amountIsTotal,
			Facts: facts(authorizationSucceeded, lateEffectDetected, confirmationRequested), Next: Confirming,
			Remark: "captured unasked: F30 finds it done, C6b gives it back"},
		{ID: "F10b", States: with(authorizing, AwaitingMethod), Inputs: on("PaymentCaptured"), Guard: amountDiffers,
			Facts: facts(authorizationFailed, lateEffectDetected, compensationStarted(causeMismatch, fromPayment), refundRequested), Next: CompPayment},
		{ID: "F9c", States: in(Confirming, Booking), Inputs: on("PaymentCaptured"), Guard: notCaptured,
			Facts: facts(lateEffectDetected), Remark: "captured unasked: F30 finds it done, C1b or C6b gives it back"},
		{ID: "F11", States: authorizing, Inputs: on("PaymentDeclined"), Guard: declinedForGood,
			Facts: facts(authorizationFailed, compensationStarted(causeDeclined, fromStock), releaseRequested), Next: CompStock},
		{ID: "F12", States: authorizing, Inputs: on("PaymentDeclined"), Guard: mayChangeMethod,
			Facts: facts(authorizationFailed, paymentMethodAwaited), Next: AwaitingMethod},
		{ID: "F13", States: in(AwaitingMethod), Inputs: on("PaymentMethodSet"), Guard: setSinceSubmission,
			Facts: facts(authorizationByOtherMethod), Next: Authorizing},
		{ID: "F14", States: in(AwaitingMethod), Inputs: on(TimerStep),
			Facts: facts(compensationStarted(causePaymentWindow, fromPayment), voidRequested), Next: CompPayment, Remark: "the order expires"},
		{ID: "F15", States: in(Authorizing), Inputs: on("PaymentOutcomeUnknown", TimerStep),
			Facts: facts(stepTimedOut, authorizationCheckRequested), Next: AuthUnknown},
		{ID: "F16", States: in(AuthUnknown), Inputs: on(TimerStep), Guard: attemptsLeft,
			Facts: facts(authorizationCheckRequested)},
		{ID: "F16a", States: in(AuthUnknown), Inputs: on("PaymentOutcomeUnknown"), Remark: "still unknown: the next check is armed"},
		{ID: "F17", States: in(AuthUnknown), Inputs: on("PaymentNotFound"), Guard: neverAuthorized,
			Facts: facts(noted("same key", authorizationRequested)), Next: Authorizing},
		{ID: "F18", States: in(AuthUnknown), Inputs: on(TimerStep), Guard: attemptsUsedUp,
			Facts: facts(compensationStarted(causePaymentUnknown, fromPayment), voidRequested), Next: CompPayment},
		{ID: "F19", States: with(authorizing, AwaitingMethod), Inputs: on("OrderCancellationRequested"),
			Facts: facts(cancellationAccepted, compensationStarted(causeCustomer, fromPayment), voidRequested), Next: CompPayment},

		// Confirm: the order decides between its customer's cancellation and us.
		{ID: "F20", States: in(Confirming), Inputs: on("OrderConfirmed"),
			Facts: facts(confirmationAccepted, shipmentBookingRequested), Next: Booking},
		{ID: "F21", States: in(Confirming), Inputs: on("OrderConfirmationRefused"),
			Facts: facts(compensationStarted(causeCustomer, fromPayment), voidRequested), Next: CompPayment},
		{ID: "F22", States: in(Confirming), Inputs: on("OrderCancellationRequested"),
			Facts: facts(cancellationDeferred), Remark: "F20 or F21 follows"},
		{ID: "F23a", States: in(Confirming), Inputs: on(TimerStep), Guard: attemptsLeft,
			Facts: facts(stepTimedOut, confirmationRequested)},
		{ID: "F23b", States: in(Confirming), Inputs: on(TimerStep), Guard: needsAttention,
			Facts: facts(stepTimedOut, attentionAndAgain), Remark: "the SLA ends it"},
		{ID: "F23c", States: in(Confirming), Inputs: on(TimerStep), Guard: both(attemptsUsedUp, attention),
			Facts: facts(stepTimedOut, confirmationRequested)},

		// Book.
		{ID: "F24", States: in(Booking), Inputs: on("ShipmentBooked"), Guard: noCancellationOpen,
			Facts: facts(shipmentSecured, captureRequested), Next: Capturing, Remark: "the pivot opens"},
		{ID: "F24a", States: in(Booking), Inputs: on("ShipmentBooked"), Guard: cancellationOpen,
			Facts: facts(shipmentSecured, compensationStarted(causeCustomer, fromShipment), shipmentCancellationRequested), Next: CompShipment},
		{ID: "F25", States: in(Booking), Inputs: on("ShipmentBookingFailed"), Guard: both(carrierWillNot, askedOnce(book)),
			Facts: facts(compensationStarted(causeNoCarrier, fromPayment), voidRequested), Next: CompPayment},
		{ID: "F25a", States: in(Booking), Inputs: on("ShipmentBookingFailed"), Guard: both(carrierWillNot, askedAgain(book)),
			Facts: facts(compensationStarted(causeNoCarrier, fromShipment), shipmentCancellationRequested), Next: CompShipment,
			Remark: "the newer request may be granted"},
		{ID: "F26", States: in(Booking), Inputs: on("ShipmentBookingFailed"), Guard: both(carrierMayTakeIt, attemptsLeft),
			Facts: facts(stepRetried, shipmentBookingRequested)},
		{ID: "F26a", States: in(Booking), Inputs: on(TimerStep), Guard: attemptsLeft,
			Facts: facts(stepRetried, shipmentBookingRequested)},
		{ID: "F27", States: in(Booking), Inputs: on(TimerStep), Guard: attemptsUsedUp,
			Facts: facts(compensationStarted(causeCarrierTimeout, fromShipment), shipmentCancellationRequested), Next: CompShipment},
		{ID: "F28", States: in(Booking), Inputs: on("OrderCancellationRequested"),
			Facts: facts(cancellationAccepted, compensationStarted(causeCustomer, fromShipment), shipmentCancellationRequested), Next: CompShipment},
		{ID: "F29a", States: in(Confirming), Inputs: on(TimerAuthorization),
			Facts: facts(compensationStarted(causeAuthExpiring, fromPayment), voidRequested), Next: CompPayment},
		{ID: "F29b", States: in(Booking), Inputs: on(TimerAuthorization),
			Facts: facts(compensationStarted(causeAuthExpiring, fromShipment), shipmentCancellationRequested), Next: CompShipment},

		{ID: "F29c", States: in(Confirming), Inputs: on("AuthorizationExpired", "PaymentVoided"), Guard: notCaptured,
			Facts: facts(compensationStarted(causeAuthExpiring, fromPayment), voidRequested), Next: CompPayment, Remark: "the provider let go of it"},
		{ID: "F29d", States: in(Booking), Inputs: on("AuthorizationExpired", "PaymentVoided"), Guard: notCaptured,
			Facts: facts(compensationStarted(causeAuthExpiring, fromShipment), shipmentCancellationRequested), Next: CompShipment,
			Remark: "the provider let go of it"},

		// Capture: the pivot.
		{ID: "F30", States: in(Capturing, CaptureUnknown), Inputs: on("PaymentCaptured"), Guard: amountIsTotal,
			Facts: facts(captureSucceeded, dispatchRequested, stockCommitRequested, when(cancellationOpen, cancellationRefused)),
			Next:  Dispatching, Remark: "the pivot is passed"},
		{ID: "F30a", States: in(Capturing, CaptureUnknown), Inputs: on("PaymentCaptured"), Guard: both(amountDiffers, unseen(attentionAmount)),
			Facts: facts(attentionRequired(attentionAmount)), Remark: "never guess about money"},
		{ID: "F31", States: in(Capturing, CaptureUnknown), Inputs: on("PaymentCaptureFailed"),
			Facts: facts(captureFailed, compensationStarted(causeCaptureFailed, fromShipment), shipmentCancellationRequested),
			Next:  CompShipment, Remark: "an open cancellation is honoured: the order ends as cancelled"},
		{ID: "F32", States: in(Capturing), Inputs: on("PaymentOutcomeUnknown", TimerStep),
			Facts: facts(captureCheckRequested), Next: CaptureUnknown},
		{ID: "F32a", States: in(CaptureUnknown), Inputs: on("PaymentOutcomeUnknown"), Remark: "still unknown: the next check is armed"},
		{ID: "F32b", States: in(CaptureUnknown), Inputs: on("PaymentNotFound"), Guard: neverCaptured,
			Facts: facts(noted("same key", captureRequested)), Next: Capturing},
		{ID: "F33a", States: in(CaptureUnknown), Inputs: on(TimerStep), Guard: attemptsLeft,
			Facts: facts(captureCheckRequested)},
		{ID: "F33b", States: in(CaptureUnknown), Inputs: on(TimerStep), Guard: needsAttention,
			Facts: facts(attentionAndAgain), Remark: "never guess about money"},
		{ID: "F33c", States: in(CaptureUnknown), Inputs: on(TimerStep), Guard: both(attemptsUsedUp, attention),
			Facts: facts(captureCheckRequested)},
		{ID: "F34", States: in(Capturing, CaptureUnknown), Inputs: on("OrderCancellationRequested"),
			Facts: facts(cancellationDeferred), Remark: "F30 refuses it, F31 honours it"},

		// Dispatch and commit, in any order.
		{ID: "F35", States: in(Dispatching), Inputs: on("ShipmentDispatched"), Guard: both(dispatchPending, commitPending),
			Facts: facts(dispatchConfirmed)},
		{ID: "F36", States: in(Dispatching), Inputs: on("ReservationCommitted"), Guard: both(ofThisParcel, both(commitPending, not(dispatched, "dispatch pending"))),
			Facts: facts(stockCommitConfirmed, when(onlyStockMissed, attentionCleared), when(parcelWaits, dispatchRequested)), Remark: "a parcel in the place of a lost one leaves when its goods are there"},
		{ID: "F37a", States: in(Dispatching), Inputs: on("ShipmentDispatched"), Guard: both(dispatchPending, committed),
			Facts: facts(dispatchConfirmed, completionRequested), Next: Completing},
		{ID: "F37b", States: in(Dispatching), Inputs: on("ReservationCommitted"), Guard: both(ofThisParcel, both(commitPending, dispatched)),
			Facts: facts(stockCommitConfirmed, completionRequested), Next: Completing},
		{ID: "F38", States: in(Dispatching), Inputs: on("ShipmentLost", "ShipmentCancelled"), Guard: rebookingsLeft,
			Facts:  facts(when(goodsLost, otherGoodsRequested), shipmentRebookRequested),
			Remark: "forward recovery; for a lost parcel other goods leave the stock"},
		{ID: "F38a", States: in(Dispatching), Inputs: on("ShipmentLost", "ShipmentCancelled"), Guard: both(noRebookingsLeft, unseen(attentionRebooking)),
			Facts: facts(attentionRequired(attentionRebooking))},
		{ID: "F38b", States: in(Dispatching), Inputs: on("ShipmentBooked"), Guard: rebooking,
			Facts: facts(shipmentSecured, when(goodsThere, dispatchRequested))},
		{ID: "F38c", States: in(Dispatching), Inputs: on("ShipmentBookingFailed"), Guard: rebooking, Remark: "the step timer asks again"},
		{ID: "F39a", States: in(Dispatching), Inputs: on(TimerStep), Guard: attemptsLeft, Facts: slices.Concat(facts(stepTimedOut), askForWhatIsOpen),
			Remark: "one timer for all that is open: while a parcel is rebooked it is the booking's, and each time is an attempt of the commit too"},
		{ID: "F39b", States: in(Dispatching), Inputs: on(TimerStep), Guard: both(attemptsUsedUp, peopleUnasked),
			Facts: facts(stepTimedOut, attentionAndAgain)},
		{ID: "F39c", States: in(Dispatching), Inputs: on(TimerStep), Guard: both(attemptsUsedUp, peopleAsked),
			Facts: slices.Concat(facts(stepTimedOut), askForWhatIsOpen)},
		{ID: "F39d", States: in(Dispatching), Inputs: on(TimerWarning), Guard: both(noAttention, not(rebooking, "no rebooking")),
			Facts: facts(dispatchWarned), Remark: "a warning: the step timer goes on"},
		{ID: "F40", States: in(Dispatching, Completing), Inputs: on("OrderCancellationRequested"), Facts: facts(cancellationRefused)},

		// Complete.
		{ID: "F41", States: in(Completing), Inputs: on("OrderCompleted"), Next: Completed,
			Facts: facts(fulfilmentCompleted, when(both(lateEffect, noAttention), attentionRequired(attentionLateEffect)))},
		{ID: "F42", States: in(Completing), Inputs: on(TimerStep), Guard: attemptsLeft, Facts: facts(completionRequested)},
		{ID: "F42a", States: in(Completing), Inputs: on(TimerStep), Guard: needsAttention,
			Facts: facts(stepTimedOut, attentionAndAgain), Remark: "everything is done but the order's last word"},
		{ID: "F42b", States: in(Completing), Inputs: on(TimerStep), Guard: both(attemptsUsedUp, attention),
			Facts: facts(stepTimedOut, completionRequested), Remark: "for ever"},

		// Deadlines and losses of the whole.
		{ID: "F43a", States: in(Reserving), Inputs: on(TimerSLA),
			Facts: facts(compensationStarted(causeSLA, fromStock), releaseRequested), Next: CompStock},
		{ID: "F43b", States: with(authorizing, AwaitingMethod, Confirming), Inputs: on(TimerSLA),
			Facts: facts(compensationStarted(causeSLA, fromPayment), voidRequested), Next: CompPayment},
		{ID: "F43c", States: in(Booking), Inputs: on(TimerSLA),
			Facts: facts(compensationStarted(causeSLA, fromShipment), shipmentCancellationRequested), Next: CompShipment},
		{ID: "F44", States: in(Capturing, CaptureUnknown, Dispatching, Completing), Inputs: on(TimerSLA), Counted: true,
			Remark: "too late to turn back"},
		{ID: "F45a", States: in(AwaitingMethod), Inputs: on("ReservationExpired"),
			Facts: facts(compensationStarted(causeReservationLost, fromPayment), voidRequested), Next: CompPayment},
		{ID: "F45b", States: with(authorizing, Confirming), Inputs: on("ReservationExpired"),
			Facts: facts(compensationStarted(causeReservationLost, fromPayment), voidRequested), Next: CompPayment},
		{ID: "F45c", States: in(Booking), Inputs: on("ReservationExpired"),
			Facts: facts(compensationStarted(causeReservationLost, fromShipment), shipmentCancellationRequested), Next: CompShipment},
		{ID: "F46", States: in(Dispatching), Inputs: on("ReservationCommitFailed"), Guard: both(ofThisParcel, both(commitPending, unseen(attentionPaidNoStock))),
			Facts:  facts(attentionWithoutStock),
			Remark: "an operator brings goods in and asks again, or takes them out by hand and resolves, or refunds; of an open rebooking the step timer goes on"},
	}
}

// askForWhatIsOpen repeats every request that DISPATCHING waits for.
var askForWhatIsOpen = facts(
	when(both(dispatchPending, goodsThere), dispatchRequested), when(rebooking, shipmentRebookRepeated), when(commitPending, stockCommitRequested))
