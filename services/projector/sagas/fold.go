package sagas

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
)

// Process is a saga as it is stored: what is shown of it, and since when its open
// steps are.
type Process struct {
	queries.Saga
	Begun map[events.Step]time.Time `json:"begun,omitzero"`
}

// Done is what an event concluded: a step that ended, or that everything is undone
// from now on (then Cause says why).
type Done struct {
	Step   events.Step
	Failed bool
	Took   time.Duration
	Cause  string
}

// Fold applies one event of the process, and returns what it concluded. It is
// total and pure: an event that changes nothing here still moves version and time.
func Fold(p Process, r esjs.Recorded[events.Event]) (Process, []Done) {
	if p.Version == 0 {
		p.Kind, p.SagaID, p.StartedAt, p.StateSince = queries.SagaKind(r.Stream.Category), r.Stream.Key, r.Time, r.Time
	}
	p.Version, p.UpdatedAt = r.Version, r.Time
	f := fold{Process: p, at: r.Time}
	for _, apply := range []func(*fold, events.Event) bool{(*fold).request, (*fold).conclusion, (*fold).trouble, (*fold).course} {
		if apply(&f, r.Event) {
			break
		}
	}
	return f.Process, f.done
}

type fold struct {
	Process
	at   time.Time
	done []Done
}

// request applies what the process asks a participant: it names the state that
// waits for the answer.
func (f *fold) request(e events.Event) bool {
	switch e := e.(type) {
	case events.ReservationRequested:
		f.asks(events.StepReserve, "RESERVING", e.Request)
	case events.AuthorizationRequested:
		f.asks(events.StepAuthorize, "AUTHORIZING", e.Request)
	case events.AuthorizationCheckRequested:
		f.asks(events.StepAuthorize, "AUTH_UNKNOWN", e.Request)
	case events.ConfirmationRequested:
		f.asks(events.StepConfirm, "CONFIRMING", e.Request)
	case events.ShipmentBookingRequested:
		f.asks(events.StepBook, "BOOKING", e.Request)
	case events.ShipmentRebookRequested:
		f.asks(events.StepDispatch, "DISPATCHING", e.Request)
	case events.CaptureRequested:
		f.asks(events.StepCapture, "CAPTURING", e.Request)
	case events.CaptureCheckRequested:
		f.asks(events.StepCapture, "CAPTURE_UNKNOWN", e.Request)
	case events.DispatchRequested:
		f.asks(events.StepDispatch, "DISPATCHING", e.Request)
	case events.StockCommitRequested:
		f.asks(events.StepCommit, "DISPATCHING", e.Request)
		f.waitsFor(events.StepDispatch)
	case events.CompletionRequested:
		f.asks(events.StepComplete, "COMPLETING", e.Request)
	case events.ShipmentCancellationRequested:
		f.asks(events.StepUndoShipment, "COMP_SHIPMENT", e.Request)
	case events.VoidRequested:
		f.asks(events.StepUndoPayment, "COMP_PAYMENT", e.Request)
	case events.FulfilmentRefundRequested:
		f.asks(events.StepUndoPayment, "COMP_PAYMENT", e.Request)
	case events.ReleaseRequested:
		f.asks(events.StepUndoStock, "COMP_STOCK", e.Request)
	case events.OutcomeDecided:
		f.asks(events.StepUndoOrder, "COMP_ORDER", e.Request)
	case events.RefundRequested:
		f.asks(events.StepRefund, "REFUNDING", e.Request)
	case events.RefundVoidRequested:
		f.asks(events.StepVoid, "VOIDING", e.Request)
	case events.RestockRequested:
		f.asks(events.StepRestock, "RESTOCKING", e.Request)
	default:
		return false
	}
	return true
}

// conclusion applies what the process concluded of a participant's answer.
func (f *fold) conclusion(e events.Event) bool {
	switch e := e.(type) {
	case events.ReservationSucceeded:
		f.ends(events.StepReserve, "")
	case events.ReservationFailed:
		f.ends(events.StepReserve, e.Code)
	case events.AuthorizationSucceeded:
		f.ends(events.StepAuthorize, "")
	case events.AuthorizationFailed:
		f.ends(events.StepAuthorize, e.Code)
	case events.ConfirmationAccepted:
		f.ends(events.StepConfirm, "")
	case events.ShipmentSecured:
		f.ends(events.StepBook, "")
	case events.CaptureSucceeded:
		f.ends(events.StepCapture, "")
		f.enters("DISPATCHING")
	case events.CaptureFailed:
		f.ends(events.StepCapture, e.Code)
	case events.DispatchConfirmed:
		f.ends(events.StepDispatch, "")
		f.waitsFor(events.StepCommit)
	case events.StockCommitConfirmed:
		f.ends(events.StepCommit, "")
		f.waitsFor(events.StepDispatch)
	case events.ShipmentCancellationConfirmed:
		f.undoes(events.StepUndoShipment)
	case events.VoidConfirmed:
		f.undoes(events.StepUndoPayment)
	case events.RefundConfirmed:
		f.undoes(events.StepUndoPayment)
	case events.ReleaseConfirmed:
		f.undoes(events.StepUndoStock)
	case events.RefundPaid:
		f.ends(events.StepRefund, "")
	case events.RestockConfirmed:
		f.ends(events.StepRestock, "")
	default:
		return false
	}
	return true
}

// trouble applies what went wrong, and what people do about it.
func (f *fold) trouble(e events.Event) bool {
	switch e := e.(type) {
	case events.StepRetried:
		f.LastError = queries.SagaError{Step: e.Step, Attempt: e.Attempt, Code: e.Code, At: f.at}
	case events.StepTimedOut:
		f.LastError = queries.SagaError{Step: e.Step, Attempt: e.Attempt, Code: "timeout", At: f.at}
	case events.AttentionRequired:
		f.Attention, f.Detail, f.Deadline = e.Code, e.Detail, e.RetryAt
		f.LastError = queries.SagaError{Step: e.Step, Attempt: f.Attempt, Code: e.Code, At: f.at}
	case events.AttentionCleared:
		f.Attention, f.Detail = "", ""
	case events.OperatorIntervened:
		f.Owner = e.By
	case events.LateEffectDetected:
		f.LastError = queries.SagaError{Code: "late " + e.Type, At: f.at}
	case events.Quarantined:
		f.Quarantined = true
		f.OrderID = cmp.Or(f.OrderID, e.OrderID)
		f.LastError = queries.SagaError{Step: f.Step, Attempt: f.Attempt, Code: e.Error, At: f.at}
	case events.QuarantineReleased:
		f.Quarantined, f.Owner = false, e.By
	default:
		return false
	}
	return true
}

// course applies beginning, turn and end.
func (f *fold) course(e events.Event) bool {
	switch e := e.(type) {
	case events.FulfilmentStarted:
		f.OrderID, f.CustomerID, f.Total = e.OrderID, e.CustomerID, e.Total
		f.enters("RESERVING")
	case events.PaymentMethodAwaited:
		f.LastError = queries.SagaError{Step: events.StepAuthorize, Attempt: f.Attempt, Code: e.Code, At: f.at}
		f.Step, f.Deadline = events.StepAuthorize, e.Until
		f.enters("AWAITING_METHOD")
	case events.CompensationStarted:
		for _, step := range slices.Sorted(maps.Keys(f.Begun)) {
			f.ends(step, e.Cause)
		}
		f.Cause, f.Outcome, f.Plan, f.Undone = e.Cause, e.Outcome, e.Plan, nil
		f.done = append(f.done, Done{Cause: e.Cause})
		if len(e.Plan) > 0 {
			f.enters("COMP_" + strings.ToUpper(string(e.Plan[0])))
		}
	case events.FulfilmentCompleted:
		f.ends(events.StepComplete, "")
		f.finishes("COMPLETED")
	case events.FulfilmentCompensated:
		f.undoes(events.StepUndoOrder)
		f.Cause, f.Outcome = e.Cause, e.Outcome
		f.finishes("COMPENSATED")
	case events.RefundOpened:
		f.OrderID, f.Total, f.Cause = e.OrderID, e.Amount, string(e.Cause)
		f.enters("REFUNDING")
	case events.RefundSettled:
		f.ends(events.StepVoid, "")
		f.Outcome = events.Outcome(e.Outcome)
		f.finishes("SETTLED")
	default:
		return false
	}
	return true
}
