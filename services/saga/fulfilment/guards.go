package fulfilment

import (
	"slices"

	"github.com/b144f99b/orderflow/pkg/events"
)

// Guard is a named condition on a case; the zero Guard always holds.
type Guard struct {
	Name  string // as the table shows it
	Holds func(Case) bool
}

func (g Guard) holds(c Case) bool { return g.Holds == nil || g.Holds(c) }

func not(g Guard, name string) Guard {
	return Guard{name, func(c Case) bool { return !g.Holds(c) }}
}

func both(a, b Guard) Guard {
	return Guard{a.Name + " and " + b.Name, func(c Case) bool { return a.Holds(c) && b.Holds(c) }}
}

// How often was it asked?
var (
	attemptsUsedUp = Guard{"attempts used up", Case.exhausted}
	attemptsLeft   = not(attemptsUsedUp, "attempts left")
)

// A "no" is definite when nothing else was asked: to an older request it says
// little about the newer one, which may still succeed.
func askedOnce(q Question) Guard {
	return Guard{"asked once", func(c Case) bool { return c.State.Asked[q] <= 1 }}
}

func askedAgain(q Question) Guard { return not(askedOnce(q), "asked again meanwhile") }

// Does somebody look already?
var (
	attention   = Guard{"has attention", func(c Case) bool { return c.State.Attention != "" }}
	noAttention = not(attention, "no attention yet")

	needsAttention = both(attemptsUsedUp, noAttention)

	// Where people were warned, what comes after that comes as if they were not.
	peopleAsked   = Guard{"people are asked", func(c Case) bool { return c.State.asksPeople() }}
	peopleUnasked = not(peopleAsked, "nobody is asked")
)

// asksPeople tells that people have the attention, and were not only warned.
func (s State) asksPeople() bool {
	return s.Attention != "" && s.Attention != attentionDispatchLate && s.Attention != attentionMoneyBack
}

// unseen holds until attention was asked for with this code.
func unseen(code string) Guard {
	return Guard{"not seen yet", func(c Case) bool { return c.State.Attention != code }}
}

// Reservation.
var (
	inventoryBusy = Guard{"busy", func(c Case) bool {
		return the[events.ReservationRejected](c).Code == events.ReservationBusy
	}}
	outOfStock = not(inventoryBusy, "out of stock")
)

// Payment.
var (
	amountIsTotal = Guard{"amount = total", func(c Case) bool {
		switch e := c.Event.(type) {
		case events.PaymentAuthorized:
			return e.Amount == c.State.Total
		case events.PaymentCaptured:
			return e.Amount == c.State.Total
		}
		return false
	}}
	amountDiffers = not(amountIsTotal, "amount ≠ total")

	capturedBefore = Guard{"the capture that is known", Case.capturedBefore}
	capturedAgain  = not(capturedBefore, "another capture")

	mayChangeMethod = Guard{"soft, and the policy has a window and methods left", func(c Case) bool {
		return the[events.PaymentDeclined](c).Class == events.DeclineSoft && c.Policy.MethodWindow > 0 && c.State.Payments < c.Policy.MethodAttempts
	}}
	declinedForGood = not(mayChangeMethod, "hard or fraud, or no window, or no methods left")

	// After a crash the saga may see again what it had nothing to do for, such
	// as the methods that the customer had set in the draft.
	setSinceSubmission = Guard{"set after the submission", func(c Case) bool { return c.Version > c.State.OrderVersion }}

	neverAuthorized = Guard{"authorisation, and attempts left", func(c Case) bool {
		return the[events.PaymentNotFound](c).Op == events.OperationAuthorize && !c.exhausted()
	}}
	neverCaptured = Guard{"capture, and attempts left or attention", func(c Case) bool {
		return the[events.PaymentNotFound](c).Op == events.OperationCapture && (!c.exhausted() || c.State.Attention != "")
	}}
	nothingAuthorized = Guard{"authorisation", func(c Case) bool {
		return the[events.PaymentNotFound](c).Op == events.OperationAuthorize
	}}

	captured    = Guard{"captured", func(c Case) bool { return c.State.Captured.Sign() > 0 }}
	notCaptured = not(captured, "not captured")

	ofGoods = Guard{"of lines, or of the total", func(c Case) bool {
		e := the[events.OrderRefundRequested](c)
		return len(e.Lines) > 0 || e.Amount == c.State.Total
	}}
	unasked       = Guard{"nobody asked for it", func(c Case) bool { return the[events.PaymentRefunded](c).Unasked }}
	refundOpen    = Guard{"refund requested", func(c Case) bool { return c.State.Asked[refund] > 0 }}
	refundUnasked = not(refundOpen, "no refund requested yet")
	voidTooLate   = Guard{"captured, no refund requested yet", func(c Case) bool {
		return the[events.PaymentVoidFailed](c).Code == "captured" && c.State.Asked[refund] == 0
	}}
	// The provider's first word about the money that went back in another way;
	// other refunds of the payment are those of refund processes.
	paidTwice = Guard{"an operator had resolved the refund, first time", func(c Case) bool {
		return c.State.RefundedBy != "" && !c.State.RefundedTwice &&
			the[events.PaymentRefunded](c).RefundID == identity(c.State.OrderID, "refund", numberOfTheOnlyRefund)
	}}
	refundedTwice  = Guard{"refunded twice", func(c Case) bool { return c.State.RefundedTwice }}
	refundedInFull = Guard{"total refunded = captured", func(c Case) bool {
		return c.State.Asked[refund] > 0 && the[events.PaymentRefunded](c).TotalRefunded == c.State.Refund
	}}
)

// Shipment.
var (
	carrierMayTakeIt = Guard{"transient", func(c Case) bool {
		return the[events.ShipmentBookingFailed](c).Transient
	}}
	carrierWillNot = not(carrierMayTakeIt, "permanent")

	dispatchPending = Guard{"dispatch pending", func(c Case) bool { return !c.State.Dispatched && !c.State.Rebooking && !c.State.Lost }}
	commitPending   = Guard{"commit pending", func(c Case) bool { return !c.State.Committed }}
	rebooking       = Guard{"rebooking", func(c Case) bool { return c.State.Rebooking }}
	dispatched      = Guard{"already dispatched", func(c Case) bool { return c.State.Dispatched }}
	notDispatched   = not(dispatched, "not dispatched yet")
	lost            = Guard{"the parcel is lost", func(c Case) bool { return c.State.Lost }}
	goodsLost       = Guard{"the goods are lost", func(c Case) bool { return c.Input == events.ShipmentLost{}.EventType() || c.State.GoodsLost }}
	goodsUnasked    = Guard{"not asked for", func(c Case) bool { return c.State.TakesFor != c.State.ShipmentID }}
	ofThisParcel    = Guard{"of this parcel's goods", Case.ofThisParcel}
	// Goods that are not held for the order may be missing.
	goodsThere  = Guard{"the goods are there", func(c Case) bool { return c.State.hasGoods() }}
	parcelWaits = Guard{"the parcel waits for them", func(c Case) bool { return c.State.TakesFor != "" && dispatchPending.Holds(c) }}
	// Without a timer nobody else would ask again for what is still open.
	onlyStockMissed = Guard{"people look for the goods, and the step timer for the rest", func(c Case) bool {
		return c.State.Attention == attentionPaidNoStock && !c.State.Step.At.IsZero()
	}}
	committed        = Guard{"already committed", func(c Case) bool { return c.State.Committed }}
	rebookingsLeft   = Guard{"rebookings left", func(c Case) bool { return c.State.counted(rebook) < c.Policy.Book.Attempts }}
	noRebookingsLeft = not(rebookingsLeft, "no rebookings left")
)

// Cancellation and compensation.
var (
	goodsLeftUnpaid = Guard{"the goods have left unpaid", func(c Case) bool { return c.State.Attention == attentionGoodsUnpaid }}

	cancellationOpen   = Guard{"a cancellation is open", func(c Case) bool { return c.State.Cancellation != nil }}
	noCancellationOpen = not(cancellationOpen, "no open cancellation")

	shipmentNotUndone = notUndone(events.StepUndoShipment)
	stockNotUndone    = notUndone(events.StepUndoStock)

	everythingUndone = Guard{"every planned step is confirmed", func(c Case) bool { return c.State.everythingUndone() }}
	lateEffectUnseen = both(not(refundedTwice, "not refunded twice"), both(lateEffect, noAttention))
	lateEffect       = Guard{"a late effect", func(c Case) bool { return c.State.LateEffect }}
)

// notUndone holds when a step was not undone, because there was nothing to undo.
func notUndone(step events.Step) Guard {
	return Guard{"the step " + string(step) + " was not undone", func(c Case) bool {
		return c.State.Compensation == nil || !slices.Contains(c.State.Compensation.Undone, step)
	}}
}

// ofThisParcel tells the inventory's answers about the goods that are to leave now from
// those about the goods of a parcel that is lost.
func (c Case) ofThisParcel() bool {
	switch e := c.Event.(type) {
	case events.ReservationCommitted:
		return e.ShipmentID == c.State.TakesFor
	case events.ReservationCommitFailed:
		return e.ShipmentID == c.State.TakesFor
	}
	return true
}

// capturedBefore tells the capture that paid the order from another one of the same payment.
func (c Case) capturedBefore() bool {
	e := the[events.PaymentCaptured](c)
	return e.Amount == c.State.Total && (e.CaptureID == c.State.CaptureID || c.State.CaptureID == "")
}
