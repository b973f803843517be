package simulation

import (
	"slices"
	"strings"

	"github.com/b144f99b/orderflow/services/inventory"
	"github.com/b144f99b/orderflow/services/partners"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
	"github.com/b144f99b/orderflow/services/saga/refund"
	"github.com/b144f99b/orderflow/test/truth"
)

// checkAttention (P4): when nothing fails any more, only that asks for attention which
// the partners refused, lost, disputed or gave back unasked: what they did is the reason, whatever we say of it.
func (w *world) checkAttention(books truth.Ledger) {
	for _, key := range sortedKeys(w.shop.Fulfilments) {
		if f := w.shop.Fulfilments[key]; f.Attention != "" && !w.wantsFulfilment(f, books) {
			w.violated("P4", "fulfilment %s is %s and asks for attention, %s: nothing that happened is a reason for it", key, f.Status, f.Attention)
		}
	}
	for _, id := range sortedKeys(w.givenBack) {
		key := w.payments.states[id].OrderID
		if f := w.shop.Fulfilments[key]; f.Status == fulfilment.Completed && f.Attention == "" && !w.shop.Resolved[key] {
			w.violated("P4", "fulfilment %s is %s, and money that went back unasked, of payment %s, asks nobody for attention", key, f.Status, id)
		}
	}
	for _, key := range sortedKeys(w.shop.Refunds) {
		if r := w.shop.Refunds[key]; r.Attention != "" && !w.wantsRefund(r, books) {
			w.violated("P4", "refund %s of order %s is %s and asks for attention, %s: nothing that happened is a reason for it", key, r.OrderID, r.Status, r.Attention)
		}
	}
}

// wantsFulfilment tells that people have to look at a fulfilment.
func (w *world) wantsFulfilment(f fulfilment.State, books truth.Ledger) bool {
	parcel := books.Shipments[f.ShipmentID]
	stays := w.refused[parcelPath(f.ShipmentID, "cancel")] || parcel.Dispatches > 0
	switch {
	case strings.HasPrefix(f.Attention, "goods_left"), f.Attention == "no_answer" && f.Status == fulfilment.CompShipment:
		return stays
	case f.Attention == "no_answer" && f.Status == fulfilment.CompPayment:
		return w.refused[paymentPath(f.PaymentID, "void")] || w.refused[paymentPath(f.PaymentID, "refund")] || w.disputed[f.PaymentID]
	case f.Attention == "no_answer" && f.Status == fulfilment.Dispatching:
		waits := parcel.Status == "booked" && (f.AddressRef == "addr-manual" || w.refused[parcelPath(f.ShipmentID, "dispatch")])
		return waits || w.refused[parcelPath(f.ShipmentID, "book")]
	case f.Attention == "no_rebookings_left":
		return w.lost(f.OrderID, books)
	case f.Attention == "late_effect":
		return w.disputed[f.PaymentID] || w.givenBack[f.PaymentID] || w.lost(f.OrderID, books)
	case f.Attention == "refunded_twice":
		return f.RefundedBy != "" && len(books.Payments[f.PaymentID].Refunds) > 0
	case f.Attention == "paid_without_stock":
		return w.reservations.states[f.OrderID].Status == inventory.Expired || f.TakesFor != "" && !w.taken(f.OrderID)
	}
	return false
}

// wantsRefund tells that people have to look at a refund.
func (w *world) wantsRefund(r refund.State, books truth.Ledger) bool {
	switch {
	case r.Attention == "refunded_twice":
		return r.PaidBy != "" && refundedBy(books.Payments[r.PaymentID], r.RefundID)
	case r.Status == refund.Refunding && w.givenBack[r.PaymentID]:
		return true // less is left than the order knows of
	case r.Status == refund.Refunding:
		return w.refused[paymentPath(r.PaymentID, "refund")] || w.disputed[r.PaymentID]
	case r.Status == refund.Voiding:
		return w.refused[paymentPath(r.PaymentID, "void")]
	}
	return false
}

// refundedBy tells that the provider gave something back, too.
func refundedBy(p partners.Payment, refundID string) bool {
	return slices.ContainsFunc(p.Refunds, func(r partners.Refund) bool { return r.RefundID == refundID })
}

// lost tells that a parcel of the order is.
func (w *world) lost(order string, books truth.Ledger) bool {
	for id, parcel := range books.Shipments {
		if w.shop.Shipments[id].OrderID == order && parcel.Status == "lost" {
			return true
		}
	}
	return false
}

func paymentPath(id, op string) string { return "/psp/v1/payments/" + id + "/" + op }
func parcelPath(id, op string) string  { return "/carrier/v1/shipments/" + id + "/" + op }
