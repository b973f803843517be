package fulfilment

import (
	"slices"
	"strings"

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
)

// Codes of AttentionRequired.
const (
	attentionNoAnswer     = "no_answer"
	attentionAmount       = "captured_amount_differs"
	attentionRebooking    = "no_rebookings_left"
	attentionPaidNoStock  = "paid_without_stock"
	attentionGoodsLeft    = "goods_left_unpaid"
	attentionLateEffect   = "late_effect"
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
		return events.ShipmentCancellationConfirmed{OrderID: c.State.OrderID, RequestID: c.answered(), ShipmentID: c.State.ShipmentID}
	})
	voidRequested = fact(func(c Case) events.VoidRequested {
		return events.VoidRequested{Request: c.request(void), PaymentID: c.State.PaymentID,
			Key: pspKey(c.State.PaymentID, events.OperationVoid, ""), Cause: c.State.cause()}
	})
	voidConfirmed = fact(func(c Case) events.VoidConfirmed {
		return events.VoidConfirmed{OrderID: c.State.OrderID, RequestID: c.answered(), PaymentID: c.State.PaymentID}
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
			RefundID: e.RefundID, Amount: e.TotalRefunded}
	})
	releaseRequested = fact(func(c Case) events.ReleaseRequested {
		return events.ReleaseRequested{Request: c.request(release), Cause: c.State.cause()}
	})
	releaseConfirmed = fact(func(c Case) events.ReleaseConfirmed {
		return events.ReleaseConfirmed{OrderID: c.State.OrderID, RequestID: c.answered()}
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
	return events.LateEffectDetected{OrderID: c.State.OrderID, EventID: c.EventID, Type: c.Input,
		Amount: the[events.PaymentCaptured](c).Amount}
})

// attentionRequired asks for people and waits for them.
func attentionRequired(code string) Fact {
	return noted(code, fact(func(c Case) events.AttentionRequired {
		return events.AttentionRequired{OrderID: c.State.OrderID, Step: c.State.step(), Code: code, Detail: c.detail()}
	}))
}

// attentionAndAgain asks for people, and goes on asking the participant slowly.
func attentionAndAgain(code string) Fact {
	return noted(code+", again each hour", fact(func(c Case) events.AttentionRequired {
		return events.AttentionRequired{OrderID: c.State.OrderID, Step: c.State.step(), Code: code,
			Detail: c.detail(), RetryAt: c.At.Add(c.Policy.Attention)}
	}))
}

var attentionCleared = fact(func(c Case) events.AttentionCleared {
	return events.AttentionCleared{OrderID: c.State.OrderID, Step: c.State.step()}
})

// detail says in words what the operator has to know beside the code.
func (c Case) detail() string {
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
