package fulfilment

import (
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
)

func (w *world) orderReads(e events.Event) {
	say := func(e events.Event) { w.says(events.CategoryOrder, orderID, e) }
	switch e := e.(type) {
	case events.PaymentMethodAwaited:
		w.order.awaits = true
	case events.ConfirmationRequested:
		if w.order.cancelOpen && !w.order.confirmed {
			say(events.OrderConfirmationRefused{RequestID: e.RequestID, Reason: "cancellation"})
		} else {
			w.order.confirmed = true
			say(events.OrderConfirmed{RequestID: e.RequestID})
		}
	case events.CaptureSucceeded:
		w.order.paid = true
	case events.CancellationRefused:
		w.order.cancelOpen = false
	case events.CompletionRequested:
		w.order.completed = true
		say(events.OrderCompleted{RequestID: e.RequestID})
	case events.OutcomeDecided:
		switch e.Outcome {
		case events.OutcomeRejected:
			w.order.ended = events.OrderRejected{RequestID: e.RequestID, Code: e.Code}
		case events.OutcomeCancelled:
			w.order.ended = events.OrderCancelled{RequestID: e.RequestID, Reason: e.Reason, By: e.By}
		case events.OutcomeExpired:
			w.order.ended = events.OrderExpired{RequestID: e.RequestID}
		}
		say(w.order.ended)
	}
}

func (w *world) inventoryReads(e events.Event) {
	say := func(e events.Event) { w.says(events.CategoryReservation, orderID, e) }
	if w.stock.reserved && !w.stock.committed && w.now.After(w.stock.expires) {
		w.stock.reserved, w.stock.expired = false, true
		say(events.ReservationExpired{OrderID: orderID})
	}
	switch e := e.(type) {
	case events.ReservationRequested:
		switch {
		case w.stock.released:
			say(events.ReservationVoided{OrderID: orderID, RequestID: e.RequestID})
		case w.stock.reserved:
			say(events.ReservationConfirmed{OrderID: orderID, RequestID: e.RequestID, ReservationID: orderID, Lines: e.Lines, ExpiresAt: w.stock.expires})
		case w.stock.rejected || w.fails("out of stock"):
			w.stock.rejected = true
			say(events.ReservationRejected{OrderID: orderID, RequestID: e.RequestID, Code: events.ReservationOutOfStock})
		case w.fails("inventory busy"):
			say(events.ReservationRejected{OrderID: orderID, RequestID: e.RequestID, Code: events.ReservationBusy})
		default:
			w.stock.reserved, w.stock.expires = true, e.ExpiresAt
			say(events.ReservationConfirmed{OrderID: orderID, RequestID: e.RequestID, ReservationID: orderID, Lines: e.Lines, ExpiresAt: e.ExpiresAt})
		}
	case events.ReleaseRequested:
		if held := w.stock.reserved; held || w.stock.released || w.stock.expired {
			say(events.ReservationReleased{OrderID: orderID, RequestID: e.RequestID, NothingHeld: !held})
		} else {
			say(events.ReservationVoided{OrderID: orderID, RequestID: e.RequestID})
		}
		w.stock.reserved, w.stock.released = false, true
	case events.StockCommitRequested:
		if !w.stock.committed && (!w.stock.reserved || e.ShipmentID != "") {
			say(events.ReservationCommitFailed{OrderID: orderID, RequestID: e.RequestID, Code: events.ReservationGone, ShipmentID: e.ShipmentID})
			return
		}
		w.stock.committed = true
		w.stock.left[e.ShipmentID] = true
		say(events.ReservationCommitted{OrderID: orderID, RequestID: e.RequestID, ShipmentID: e.ShipmentID})
	}
}

func (w *world) payment(id string) *paymentWitness {
	if w.payments[id] == nil {
		w.payments[id] = &paymentWitness{}
	}
	return w.payments[id]
}

func (w *world) paymentReads(e events.Event) {
	switch e := e.(type) {
	case events.AuthorizationRequested:
		p := w.payment(e.PaymentID)
		if !p.authorized && !p.declined && !p.voided && !w.fails("authorisation lost on its way") {
			p.declined = w.fails("declined")
			p.authorized = !p.declined
			if p.declined && w.fails("declined, and not for good") {
				w.news = append(w.news, func() { w.changesItsMind(e.PaymentID) })
			}
		}
		if w.fails("authorisation not heard of") {
			w.says(events.CategoryPayment, e.PaymentID, events.PaymentOutcomeUnknown{OrderID: orderID, RequestID: e.RequestID, Op: events.OperationAuthorize})
			return
		}
		w.tellAuthorization(e.PaymentID, e.RequestID)
	case events.AuthorizationCheckRequested:
		w.tellAuthorization(e.PaymentID, e.RequestID)
	case events.CaptureRequested:
		p := w.payment(e.PaymentID)
		if p.authorized && !p.captured && w.fails("capture denied and done") {
			// The provider answers no, and tells later that it was done.
			p.captured = true
			w.says(events.CategoryPayment, e.PaymentID, events.PaymentCaptureFailed{OrderID: orderID, RequestID: e.RequestID, Code: "error"})
			w.says(events.CategoryPayment, e.PaymentID, events.PaymentCaptured{OrderID: orderID, CaptureID: "c", Amount: euros("24.90"), PSPEventID: "evt"})
			return
		}
		if p.authorized && !p.captured && !w.fails("capture lost on its way") {
			if w.fails("authorisation ended") {
				p.authorized = false
			} else {
				p.captured = true
			}
		}
		if w.fails("capture not heard of") {
			w.says(events.CategoryPayment, e.PaymentID, events.PaymentOutcomeUnknown{OrderID: orderID, RequestID: e.RequestID, Op: events.OperationCapture})
			return
		}
		w.tellCapture(e.PaymentID, e.RequestID)
	case events.CaptureCheckRequested:
		if w.fails("check fails") {
			w.says(events.CategoryPayment, e.PaymentID, events.PaymentOutcomeUnknown{OrderID: orderID, RequestID: e.RequestID, Op: events.OperationCapture})
			return
		}
		w.tellCapture(e.PaymentID, e.RequestID)
	case events.VoidRequested:
		p := w.payment(e.PaymentID)
		switch {
		case p.captured:
			w.says(events.CategoryPayment, e.PaymentID, events.PaymentVoidFailed{OrderID: orderID, RequestID: e.RequestID, Code: "captured"})
		case w.fails("void fails"):
			w.says(events.CategoryPayment, e.PaymentID, events.PaymentVoidFailed{OrderID: orderID, RequestID: e.RequestID, Code: "busy"})
		default:
			held := p.authorized
			p.authorized, p.voided = false, true
			w.says(events.CategoryPayment, e.PaymentID, events.PaymentVoided{OrderID: orderID, RequestID: e.RequestID, NothingHeld: !held})
		}
	case events.FulfilmentRefundRequested:
		w.payment(e.PaymentID).refunded = true
		if w.fails("refund not heard of") {
			// The provider did it, and tells it later.
			w.says(events.CategoryPayment, e.PaymentID, events.PaymentOutcomeUnknown{OrderID: orderID, RequestID: e.RequestID, Op: events.OperationRefund})
			w.news = append(w.news, func() {
				w.says(events.CategoryPayment, e.PaymentID, events.PaymentRefunded{OrderID: orderID, RefundID: e.RefundID, Amount: e.Amount, TotalRefunded: e.Amount, PSPEventID: "evt"})
			})
			return
		}
		w.says(events.CategoryPayment, e.PaymentID, events.PaymentRefunded{OrderID: orderID, RequestID: e.RequestID, RefundID: e.RefundID, Amount: e.Amount, TotalRefunded: e.Amount})
	}
}

// changesItsMind lets the provider authorise, or even capture, what it had declined.
func (w *world) changesItsMind(id string) {
	p := w.payment(id)
	p.authorized, p.voided = true, false
	w.says(events.CategoryPayment, id, events.PaymentAuthorized{OrderID: orderID, AuthID: "a", Amount: euros("24.90"), ExpiresAt: w.now.Add(20 * time.Hour), PSPEventID: "evt"})
	if w.chance("and captures", 2) == 0 {
		p.captured = true
		w.says(events.CategoryPayment, id, events.PaymentCaptured{OrderID: orderID, CaptureID: "c", Amount: euros("24.90"), PSPEventID: "evt"})
	}
}

// refundProcess does what a refund of a late effect comes to: it asks until it is done, so nobody's silence
// stops it.
func (w *world) refundProcess(e events.LateEffectDetected) {
	p, request := w.payment(e.PaymentID), "refund/"+e.RefundID
	switch {
	case e.RefundID == "":
	case e.Amount.Sign() > 0:
		p.refunded = true
		w.says(events.CategoryPayment, e.PaymentID, events.PaymentRefunded{OrderID: orderID, RequestID: request, RefundID: e.RefundID, Amount: e.Amount, TotalRefunded: e.Amount})
	case p.captured:
		w.says(events.CategoryPayment, e.PaymentID, events.PaymentVoidFailed{OrderID: orderID, RequestID: request, Code: "captured"})
	default:
		p.authorized, p.voided = false, true
		w.says(events.CategoryPayment, e.PaymentID, events.PaymentVoided{OrderID: orderID, RequestID: request})
	}
}

func (w *world) tellAuthorization(id, request string) {
	p := w.payment(id)
	switch {
	case p.authorized || p.captured:
		w.says(events.CategoryPayment, id, events.PaymentAuthorized{OrderID: orderID, RequestID: request, AuthID: "a", Amount: euros("24.90"), ExpiresAt: w.now.Add(20 * time.Hour)})
	case p.declined:
		class := events.DeclineHard
		if w.chance("soft", 2) == 0 {
			class = events.DeclineSoft
		}
		w.says(events.CategoryPayment, id, events.PaymentDeclined{OrderID: orderID, RequestID: request, Code: "no", Class: class})
	case p.voided:
		w.says(events.CategoryPayment, id, events.PaymentDeclined{OrderID: orderID, RequestID: request, Code: "voided", Class: events.DeclineHard})
	default:
		w.says(events.CategoryPayment, id, events.PaymentNotFound{OrderID: orderID, RequestID: request, Op: events.OperationAuthorize})
	}
}

func (w *world) tellCapture(id, request string) {
	p := w.payment(id)
	switch {
	case p.captured:
		w.says(events.CategoryPayment, id, events.PaymentCaptured{OrderID: orderID, RequestID: request, CaptureID: "c", Amount: euros("24.90")})
	case p.authorized:
		w.says(events.CategoryPayment, id, events.PaymentNotFound{OrderID: orderID, RequestID: request, Op: events.OperationCapture})
	default:
		w.says(events.CategoryPayment, id, events.PaymentCaptureFailed{OrderID: orderID, RequestID: request, Code: "expired"})
	}
}

func (w *world) shipment(id string) *shipmentWitness {
	if w.shipments[id] == nil {
		w.shipments[id] = &shipmentWitness{}
	}
	return w.shipments[id]
}

func (w *world) shippingReads(e events.Event) {
	book := func(id, request string) {
		s := w.shipment(id)
		switch {
		case s.cancelled:
			w.says(events.CategoryShipment, id, events.ShipmentVoided{OrderID: orderID, RequestID: request})
		case !s.booked && w.fails("no carrier"):
			w.says(events.CategoryShipment, id, events.ShipmentBookingFailed{OrderID: orderID, RequestID: request, Code: "no", Transient: w.chance("transient", 2) == 0})
		default:
			s.booked = true
			w.says(events.CategoryShipment, id, events.ShipmentBooked{OrderID: orderID, RequestID: request, Carrier: "dhl"})
		}
	}
	switch e := e.(type) {
	case events.ShipmentBookingRequested:
		book(e.ShipmentID, e.RequestID)
	case events.ShipmentRebookRequested:
		book(e.ShipmentID, e.RequestID)
	case events.ShipmentCancellationRequested:
		s := w.shipment(e.ShipmentID)
		booked := s.booked
		s.booked, s.cancelled = false, true
		if booked {
			w.says(events.CategoryShipment, e.ShipmentID, events.ShipmentCancelled{OrderID: orderID, RequestID: e.RequestID})
		} else {
			w.says(events.CategoryShipment, e.ShipmentID, events.ShipmentVoided{OrderID: orderID, RequestID: e.RequestID})
		}
	case events.DispatchRequested:
		s := w.shipment(e.ShipmentID)
		if s.lost || w.fails("lost parcel") {
			s.lost = true
			w.says(events.CategoryShipment, e.ShipmentID, events.ShipmentLost{OrderID: orderID})
			return
		}
		s.dispatched = true
		w.says(events.CategoryShipment, e.ShipmentID, events.ShipmentDispatched{OrderID: orderID, RequestID: e.RequestID, Tracking: []string{"T"}})
	}
}
