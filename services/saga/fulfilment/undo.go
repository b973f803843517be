package fulfilment

import (
	"slices"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
)

// Causes of a compensation, which are also the codes of a rejected order.
const (
	causeOutOfStock       = "out_of_stock"
	causeInventoryTimeout = "inventory_timeout"
	causeCustomer         = "customer"
	causeDeclined         = "declined"
	causeMismatch         = "mismatch"
	causePaymentWindow    = "payment_window"
	causePaymentUnknown   = "payment_unknown"
	causeNoCarrier        = "no_carrier"
	causeCarrierTimeout   = "carrier_timeout"
	causeAuthExpiring     = "auth_expiring"
	causeReservationLost  = "reservation_lost"
	causeCaptureFailed    = "capture_failed"
	causeSLA              = "sla"
	causeOperator         = "operator"
)

// Codes of AttentionRequired.
const (
	attentionNoAnswer     = "no_answer"
	attentionDispatchLate = "dispatch_late"
	attentionMoneyBack    = "money_goes_back"
	attentionAmount       = "captured_amount_differs"
	attentionRebooking    = "no_rebookings_left"
	attentionPaidNoStock  = "paid_without_stock"
	attentionGoodsUnpaid  = "goods_left_unpaid"
	attentionGoodsPaid    = "goods_left_paid"
	attentionLateEffect   = "late_effect"
	attentionTwice        = "refunded_twice"
	refusedAlreadyPaid    = "already_paid"
	numberOfTheOnlyRefund = 1
)

// Plans: the steps that are undone, in this order. A plan is the reverse of
// what was requested, whether it succeeded or not; only a participant's
// definite "no" takes its step out of it, see [askedOnce].
var (
	fromShipment = []events.Step{events.StepUndoShipment, events.StepUndoPayment, events.StepUndoStock, events.StepUndoOrder}
	fromPayment  = fromShipment[1:]
	fromStock    = fromShipment[2:]
	onlyOrder    = fromShipment[3:]
)

// compensationStarted decides how the order will end: as the customer wished
// if a cancellation is open, expired if the customer did not act, else rejected.
func compensationStarted(cause string, plan []events.Step) Fact {
	var names []string
	for _, step := range plan {
		names = append(names, string(step))
	}
	return noted(cause+": "+strings.Join(names, ", "), fact(func(c Case) events.CompensationStarted {
		started := events.CompensationStarted{OrderID: c.State.OrderID, Cause: cause, Outcome: events.OutcomeRejected, Plan: slices.Clone(plan)}
		if cause == causePaymentWindow {
			started.Outcome = events.OutcomeExpired
		}
		if e, ok := c.Event.(events.OrderCancellationRequested); ok {
			started.Outcome, started.Reason, started.By = events.OutcomeCancelled, e.Reason, e.By
		} else if open := c.State.Cancellation; open != nil {
			started.Outcome, started.Reason, started.By = events.OutcomeCancelled, open.Reason, open.By
		} else if cause == causeOperator {
			started.Reason, started.By = c.Operator.Reason, c.Operator.By
		}
		return started
	}))
}

// A customer's cancellation.
var (
	cancellationAccepted = fact(func(c Case) events.CancellationAccepted {
		e := the[events.OrderCancellationRequested](c)
		return events.CancellationAccepted{OrderID: c.State.OrderID, Reason: e.Reason, By: e.By}
	})
	cancellationDeferred = fact(func(c Case) events.CancellationDeferred {
		e := the[events.OrderCancellationRequested](c)
		return events.CancellationDeferred{OrderID: c.State.OrderID, Reason: e.Reason, By: e.By}
	})
	cancellationRefused = fact(func(c Case) events.CancellationRefused {
		return events.CancellationRefused{OrderID: c.State.OrderID, Reason: refusedAlreadyPaid}
	})
)

// The steps back.
var (
	shipmentCancellationRequested = fact(func(c Case) events.ShipmentCancellationRequested {
		return events.ShipmentCancellationRequested{Request: c.request(cancelShipment), ShipmentID: c.State.ShipmentID, Cause: c.State.cause()}
	})
	shipmentCancellationConfirmed = fact(func(c Case) events.ShipmentCancellationConfirmed {
		return events.ShipmentCancellationConfirmed{OrderID: c.State.OrderID, RequestID: c.answered(), ShipmentID: c.State.ShipmentID, By: c.Operator.By}
	})
	voidRequested = fact(func(c Case) events.VoidRequested {
		return events.VoidRequested{Request: c.request(void), PaymentID: c.State.PaymentID,
			Key: pspKey(c.State.PaymentID, events.OperationVoid, ""), Cause: c.State.cause()}
	})
	voidConfirmed = fact(func(c Case) events.VoidConfirmed {
		return events.VoidConfirmed{OrderID: c.State.OrderID, RequestID: c.answered(), PaymentID: c.State.PaymentID, By: c.Operator.By}
	})
	// refundRequested gives back what was captured: what the participant said,
	// or what was known before, or the total when only the capture is known.
	refundRequested = fact(func(c Case) events.FulfilmentRefundRequested {
		amount := c.State.Total
		if c.State.Captured.Sign() > 0 {
			amount = c.State.Captured
		}
		if e, ok := c.Event.(events.PaymentCaptured); ok {
			amount = e.Amount
		}
		if c.State.Asked[refund] > 0 {
			amount = c.State.Refund
		}
		id := identity(c.State.OrderID, "refund", numberOfTheOnlyRefund)
		return events.FulfilmentRefundRequested{Request: c.request(refund), PaymentID: c.State.PaymentID, RefundID: id,
			Amount: amount, Key: pspKey(c.State.PaymentID, events.OperationRefund, id), Cause: c.State.cause()}
	})
	refundConfirmed = fact(func(c Case) events.RefundConfirmed {
		e := the[events.PaymentRefunded](c)
		return events.RefundConfirmed{OrderID: c.State.OrderID, RequestID: e.RequestID, PaymentID: c.State.PaymentID,
			RefundID: identity(c.State.OrderID, "refund", numberOfTheOnlyRefund), Amount: c.State.Refund, By: c.Operator.By}
	})
	releaseRequested = fact(func(c Case) events.ReleaseRequested {
		return events.ReleaseRequested{Request: c.request(release), Cause: c.State.cause()}
	})
	releaseConfirmed = fact(func(c Case) events.ReleaseConfirmed {
		return events.ReleaseConfirmed{OrderID: c.State.OrderID, RequestID: c.answered(), By: c.Operator.By}
	})
	outcomeDecided = fact(func(c Case) events.OutcomeDecided {
		decided := events.OutcomeDecided{Request: c.request(decideOutcome), Code: c.State.cause()}
		if undo := c.State.Compensation; undo != nil {
			decided.Outcome, decided.Unavailable = undo.Outcome, undo.Unavailable
			decided.Reason, decided.By = undo.Reason, undo.By
		}
		return decided
	})
	fulfilmentCompensated = fact(func(c Case) events.FulfilmentCompensated {
		done := events.FulfilmentCompensated{OrderID: c.State.OrderID, Cause: c.State.cause()}
		if undo := c.State.Compensation; undo != nil {
			done.Outcome = undo.Outcome
		}
		return done
	})
)

// What people have to look at.
var lateEffectDetected = fact(func(c Case) events.LateEffectDetected {
	late := events.LateEffectDetected{OrderID: c.State.OrderID, EventID: c.EventID, Type: c.Input,
		Amount: the[events.PaymentCaptured](c).Amount}
	if c.Stream.Category == events.CategoryPayment && c.whose() == ofGivenUp { // else it is the one that State names
		late.PaymentID = c.Stream.Key
	}
	return late
})

// lateEffectRefunded tells of a late effect and leaves it to a refund process,
// one for the authorisation and one for the capture of a payment, however
// often they are told.
var lateEffectRefunded = noted("opens a refund", fact(func(c Case) events.LateEffectDetected {
	number := slices.Index(c.State.PaymentsGivenUp, c.Stream.Key) + 1
	if number == 0 {
		number = c.State.Payments
	}
	return events.LateEffectDetected{OrderID: c.State.OrderID, EventID: c.EventID, Type: c.Input, PaymentID: c.Stream.Key,
		Amount: the[events.PaymentCaptured](c).Amount, RefundID: identity(c.State.OrderID, "late "+c.Input, number)}
}))

// refundedTwiceSeen asks people to compare the provider's book with what an
// operator's decision rested on.
var refundedTwiceSeen = noted(attentionTwice, fact(func(c Case) events.AttentionRequired {
	return events.AttentionRequired{OrderID: c.State.OrderID, Step: events.StepUndoPayment, Code: attentionTwice,
		Detail: "the provider refunded what " + c.State.RefundedBy + " had resolved as paid in another way, " + c.State.Refund.String()}
}))

// attentionRequired asks for people and waits for them.
func attentionRequired(code string) Fact {
	return noted(code, fact(func(c Case) events.AttentionRequired {
		return events.AttentionRequired{OrderID: c.State.OrderID, Step: c.concerned(), Code: code, Detail: c.detail(),
			Captured: the[events.PaymentCaptured](c).Amount, Lost: code == attentionRebooking && goodsLost.Holds(c)}
	}))
}

// attentionWithoutStock asks for people because goods are missing. The booking of a parcel
// that is open goes on meanwhile: its deadline stays.
var attentionWithoutStock = noted(attentionPaidNoStock, fact(func(c Case) events.AttentionRequired {
	required := events.AttentionRequired{OrderID: c.State.OrderID, Step: c.concerned(), Code: attentionPaidNoStock, Detail: c.detail()}
	if rebooking.Holds(c) {
		required.RetryAt = c.State.Step.At
	}
	return required
}))

// attentionAndAgain asks for people because nobody answers, and goes on asking
// the participant slowly.
var attentionAndAgain = noted(attentionNoAnswer+", again each hour", fact(func(c Case) events.AttentionRequired {
	return events.AttentionRequired{OrderID: c.State.OrderID, Step: c.State.step(), Code: attentionNoAnswer,
		Detail: c.detail(), RetryAt: c.At.Add(c.Policy.Attention)}
}))

// dispatchWarned warns people that a deadline is near, and leaves it as it is.
var dispatchWarned = noted(attentionDispatchLate, fact(func(c Case) events.AttentionRequired {
	return events.AttentionRequired{OrderID: c.State.OrderID, Step: c.State.step(), Code: attentionDispatchLate,
		Detail: c.detail(), RetryAt: c.State.Step.At}
}))

// moneyBackWarned warns people, as long as the goods can be kept back, that the money goes back; the deadline stays.
var moneyBackWarned = when(both(peopleUnasked, notDispatched), noted(attentionMoneyBack, fact(func(c Case) events.AttentionRequired {
	return events.AttentionRequired{OrderID: c.State.OrderID, Step: c.State.step(), Code: attentionMoneyBack, Detail: c.Input, RetryAt: c.State.Step.At}
})))

var attentionCleared = fact(func(c Case) events.AttentionCleared {
	return events.AttentionCleared{OrderID: c.State.OrderID, Step: c.State.step()}
})

// concerned is the step that people are asked about.
func (c Case) concerned() events.Step {
	if _, ok := c.Event.(events.ReservationCommitFailed); ok {
		return events.StepCommit
	}
	return c.State.step()
}

// detail says in words what the operator has to know beside the code.
func (c Case) detail() string {
	if c.Input == TimerWarning {
		var open []string
		for _, q := range c.State.waitingFor() {
			open = append(open, string(q))
		}
		return strings.Join(open, " and ") + " due at " + c.State.Step.At.UTC().Format(time.RFC3339)
	}
	switch e := c.Event.(type) {
	case events.PaymentCaptured:
		return "captured " + e.Amount.String() + ", the total is " + c.State.Total.String()
	case events.ShipmentCancellationRefused:
		return e.Reason
	case events.ReservationCommitFailed:
		return e.Code
	}
	return ""
}

func (s State) cause() string {
	if s.Compensation == nil {
		return ""
	}
	return s.Compensation.Cause
}
