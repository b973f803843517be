package fulfilment

import (
	"slices"

	"github.com/b144f99b/orderflow/pkg/events"
)

// lateAnswer comes before every row that leads out of a state which has the
// attention of people.
func lateAnswer() Row {
	return Row{ID: "A4", States: started, Inputs: on("what the state waits for"), Guard: attention, Facts: facts(attentionCleared),
		Remark: "then the row of the state, when it leads on; an operator's rows clear the attention themselves"}
}

func operatorRows() []Row {
	rows := []Row{
		// Undo it, as long as nothing is known to be paid.
		{ID: "A3a", States: in(Confirming), Inputs: on(OperatorCompensate), Guard: asksPeople,
			Facts: intervened(compensationStarted(causeOperator, fromPayment), voidRequested), Next: CompPayment},
		{ID: "A3b", States: in(Capturing, CaptureUnknown), Inputs: on(OperatorCompensate), Guard: asksPeople,
			Facts: intervened(compensationStarted(causeOperator, fromShipment), shipmentCancellationRequested), Next: CompShipment,
			Remark: "what was captured goes back"},

		// Set it aside, and let it go on.
		{ID: "Q1", States: Statuses(), Inputs: on(InputFails), Facts: facts(quarantined), Remark: "its inputs wait, and its timers are not kept"},
		{ID: "Q2", States: Statuses(), Inputs: on(OperatorRelease), Guard: setAside, Facts: facts(operatorIntervened, released),
			Remark: "then the inputs that wait, in order, and the timers of the state"},
	}
	return slices.Concat(retryRows(), resolveRows(), rows)
}

// retryRows ask again, with all attempts of the policy before them.
func retryRows() []Row {
	rows := []Row{
		{ID: "A1a", States: in(Confirming), Facts: facts(confirmationRequested)},
		{ID: "A1b", States: in(Capturing), Facts: facts(captureCheckRequested), Next: CaptureUnknown},
		{ID: "A1c", States: in(CaptureUnknown), Facts: facts(captureCheckRequested)},
		{ID: "A1d", States: in(Dispatching), Guard: both(asksPeople, lost),
			Facts: facts(when(goodsLost, otherGoodsRequested), shipmentRebookRequested, when(both(commitPending, goodsUnasked), stockCommitRequested))},
		{ID: "A1e", States: in(Dispatching), Facts: askForWhatIsOpen},
		{ID: "A1f", States: in(CompShipment), Facts: stepsBack[CompShipment]},
		{ID: "A1g", States: in(CompPayment), Facts: stepsBack[CompPayment]},
		{ID: "A1h", States: in(CompStock), Facts: stepsBack[CompStock]},
		{ID: "A1i", States: in(CompOrder), Facts: stepsBack[CompOrder]},
		{ID: "A1j", States: in(Completing), Facts: facts(completionRequested)},
	}
	for i := range rows {
		rows[i].Inputs, rows[i].Facts = on(OperatorRetry), intervened(rows[i].Facts...)
		if rows[i].Guard.Holds == nil {
			rows[i].Guard = asksPeople
		}
	}
	return rows
}

// resolveRows go on as if the participant had answered. Nobody resolves for the order,
// which decides itself, nor for a capture: the provider's word is what counts.
func resolveRows() []Row {
	rows := []Row{
		{ID: "A2a", States: in(Dispatching), Guard: both(resolving(events.StepDispatch), commitPending),
			Facts: facts(dispatchConfirmed, stockCommitRequested)},
		{ID: "A2b", States: in(Dispatching), Guard: both(resolving(events.StepDispatch), committed),
			Facts: facts(dispatchConfirmed, completionRequested), Next: Completing},
		{ID: "A2c", States: in(Dispatching), Guard: both(resolving(events.StepCommit), dispatched),
			Facts: facts(stockCommitConfirmed, completionRequested), Next: Completing},
		{ID: "A2d", States: in(Dispatching), Guard: both(resolving(events.StepCommit), notDispatched),
			Facts: facts(stockCommitConfirmed, when(dispatchPending, dispatchRequested), when(rebooking, shipmentRebookRepeated),
				when(lost, attentionRequired(attentionRebooking)))},
		{ID: "A2e", States: in(CompShipment), Guard: both(resolving(events.StepUndoShipment), notCaptured),
			Facts: facts(shipmentCancellationConfirmed, voidRequested), Next: CompPayment},
		{ID: "A2f", States: in(CompShipment), Guard: both(resolving(events.StepUndoShipment), captured),
			Facts: facts(shipmentCancellationConfirmed, refundRequested), Next: CompPayment},
		{ID: "A2g", States: in(CompPayment), Guard: both(resolving(events.StepUndoPayment), refundUnasked),
			Facts: facts(voidConfirmed, releaseRequested), Next: CompStock},
		{ID: "A2h", States: in(CompPayment), Guard: both(resolving(events.StepUndoPayment), refundOpen),
			Facts: facts(refundConfirmed, releaseRequested), Next: CompStock},
		{ID: "A2i", States: in(CompStock), Guard: resolving(events.StepUndoStock),
			Facts: facts(releaseConfirmed, outcomeDecided), Next: CompOrder},
		{ID: "A2j", States: in(Completed, Compensated), Guard: asksPeople, Remark: "somebody took care of the late effect"},
	}
	for i := range rows {
		rows[i].Inputs, rows[i].Facts = on(OperatorResolve), intervened(rows[i].Facts...)
	}
	return rows
}
