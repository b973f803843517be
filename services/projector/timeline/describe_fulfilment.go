package timeline

import (
	"strings"

	"github.com/b144f99b/orderflow/pkg/events"
)

func fulfilment(e events.Event) string {
	switch e := e.(type) {
	case events.FulfilmentStarted:
		return sentence("Fulfilment of %s began; it is to be paid by %s", e.Total, at(e.Deadline))
	case events.StepRetried:
		return sentence("The step %s is tried again after attempt %d%s", e.Step, e.Attempt, because(e.Code))
	case events.StepTimedOut:
		return sentence("The step %s got no answer in time, attempt %d", e.Step, e.Attempt)
	case events.FulfilmentCompleted:
		return "Fulfilment is complete."
	case events.FulfilmentCompensated:
		return sentence("Everything is undone; the order is %s%s", e.Outcome, because(e.Cause))
	case events.AttentionRequired:
		return sentence("An operator must look at the step %s%s%s", e.Step, because(e.Code), because(e.Detail))
	case events.AttentionCleared:
		return sentence("Nobody has to look at the step %s any more", e.Step)
	case events.OperatorIntervened:
		return sentence("%s decided to %s%s%s", e.By, e.Action, because(e.Reason), evidence(e.Evidence))
	case events.LateEffectDetected:
		return sentence("%s came after the end", e.Type)
	case events.Quarantined:
		at := ""
		if e.InputPosition != "" {
			at = " at " + e.InputPosition
		}
		return sentence("It is set aside and waits for an operator, because an input%s cannot be handled%s", at, because(e.Error))
	case events.QuarantineReleased:
		return sentence("%s let it go on%s", e.By, because(e.Reason))
	}
	return ""
}

func evidence(of string) string {
	if of == "" {
		return ""
	}
	return "; the evidence: " + of
}

func requests(e events.Event) string {
	switch e := e.(type) {
	case events.ReservationRequested:
		return sentence("Inventory is asked to hold %s%s", goods(e.Lines), attempt(e.Attempt))
	case events.AuthorizationRequested:
		return sentence("Payment is asked to authorise %s with %s%s", e.Amount, e.MethodRef, attempt(e.Attempt))
	case events.AuthorizationCheckRequested:
		return sentence("Payment is asked what became of the authorisation%s", attempt(e.Attempt))
	case events.ConfirmationRequested:
		return sentence("The order is asked to confirm%s", attempt(e.Attempt))
	case events.ShipmentBookingRequested:
		return sentence("Shipping is asked to book a carrier to %s%s", e.Country, attempt(e.Attempt))
	case events.ShipmentRebookRequested:
		return sentence("Shipping is asked to book another carrier%s", attempt(e.Attempt))
	case events.CaptureRequested:
		return sentence("Payment is asked to capture %s%s", e.Amount, attempt(e.Attempt))
	case events.CaptureCheckRequested:
		return sentence("Payment is asked what became of the capture%s", attempt(e.Attempt))
	case events.DispatchRequested:
		return sentence("Shipping is asked to send the goods%s", attempt(e.Attempt))
	case events.StockCommitRequested:
		if e.ShipmentID != "" {
			return sentence("Inventory is asked to take other goods out of stock, in the place of lost ones%s", attempt(e.Attempt))
		}
		return sentence("Inventory is asked to take the goods out of stock%s", attempt(e.Attempt))
	case events.CompletionRequested:
		return sentence("The order is asked to complete%s", attempt(e.Attempt))
	case events.ShipmentCancellationRequested:
		return sentence("Shipping is asked to cancel the carrier%s%s", attempt(e.Attempt), because(e.Cause))
	case events.VoidRequested:
		return sentence("Payment is asked to let go of the customer's money%s%s", attempt(e.Attempt), because(e.Cause))
	case events.FulfilmentRefundRequested:
		return sentence("Payment is asked to refund %s%s%s", e.Amount, attempt(e.Attempt), because(e.Cause))
	case events.ReleaseRequested:
		return sentence("Inventory is asked to release what it holds%s%s", attempt(e.Attempt), because(e.Cause))
	case events.OutcomeDecided:
		return sentence("The order is to end as %s%s%s", e.Outcome, because(e.Code), missing(e.Unavailable))
	}
	return ""
}

func conclusions(e events.Event) string {
	switch e := e.(type) {
	case events.ReservationSucceeded:
		return "The reservation succeeded."
	case events.ReservationFailed:
		return sentence("The reservation failed%s%s", because(e.Code), missing(e.Unavailable))
	case events.AuthorizationSucceeded:
		return sentence("The authorisation of %s succeeded", e.Amount)
	case events.AuthorizationFailed:
		return sentence("The authorisation failed%s", because(e.Code))
	case events.PaymentMethodAwaited:
		return sentence("Another payment method is awaited until %s%s", at(e.Until), because(e.Code))
	case events.ConfirmationAccepted:
		return "The order's confirmation is accepted."
	case events.ShipmentSecured:
		return sentence("The carrier %s is secured, tracking %s", e.Carrier, e.Tracking)
	case events.CaptureSucceeded:
		return sentence("The capture of %s succeeded", e.Amount)
	case events.CaptureFailed:
		return sentence("The capture failed%s", because(e.Code))
	case events.DispatchConfirmed:
		return sentence("The dispatch is confirmed%s%s", by(e.By), tracking(e.Tracking))
	case events.StockCommitConfirmed:
		return sentence("The goods are confirmed to be out of stock%s", by(e.By))
	}
	return ""
}

func compensation(e events.Event) string {
	switch e := e.(type) {
	case events.CancellationAccepted:
		return sentence("The cancellation is carried out%s%s", by(e.By), because(e.Reason))
	case events.CancellationDeferred:
		return sentence("Whether the order can still be cancelled is being decided%s", because(e.Reason))
	case events.CancellationRefused:
		return sentence("It is too late to cancel%s", because(e.Reason))
	case events.CompensationStarted:
		return sentence("The order cannot be completed%s; to be undone: %s", because(e.Cause), steps(e.Plan))
	case events.ShipmentCancellationConfirmed:
		return sentence("It is confirmed that no carrier will take the goods%s", by(e.By))
	case events.VoidConfirmed:
		return sentence("It is confirmed that nothing of the customer's money is held%s", by(e.By))
	case events.RefundConfirmed:
		return sentence("The refund of %s is confirmed%s", e.Amount, by(e.By))
	case events.ReleaseConfirmed:
		return sentence("It is confirmed that nothing is held in stock%s", by(e.By))
	}
	return ""
}

func steps(plan []events.Step) string {
	all := make([]string, len(plan))
	for i, s := range plan {
		all[i] = string(s)
	}
	return strings.Join(all, ", ")
}
