package truth

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/inventory"
	"github.com/b144f99b/orderflow/services/order"
	"github.com/b144f99b/orderflow/services/partners"
	"github.com/b144f99b/orderflow/services/payment"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
	"github.com/b144f99b/orderflow/services/saga/refund"
)

// Violation is a property that does not hold, and why.
type Violation struct{ Property, Text string }

func (v Violation) String() string { return v.Property + " does not hold: " + v.Text }

func (s *Shop) violated(property, format string, args ...any) {
	s.Violations = append(s.Violations, Violation{property, fmt.Sprintf(format, args...)})
}

// Check returns all that does not hold when nothing happens any more: nothing is on
// its way, and the partners' news are all taken. now is the partners' time.
func (s *Shop) Check(l Ledger, now time.Time) []Violation {
	for sku := range s.Stocks {
		s.CheckStock(sku)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Fulfilments)) {
		if f := s.Fulfilments[key]; !f.Status.Terminal() && f.Attention == "" {
			s.violated("P4", "fulfilment %s is %s: it neither ended nor asks for attention", key, f.Status)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.Refunds)) {
		if r := s.Refunds[key]; r.Status != refund.Settled && r.Attention == "" {
			s.violated("P4", "refund %s is %s: it neither ended nor asks for attention", key, r.Status)
		}
	}
	for _, ref := range slices.Sorted(maps.Keys(l.Payments)) {
		s.checkBooks(ref, l.Payments[ref], now)
	}
	for _, ref := range slices.Sorted(maps.Keys(s.Payments)) {
		if theirs, known := l.Payments[ref]; !known { // we must not believe in money that the PSP never heard of
			s.checkBooks(ref, theirs, now)
		}
	}
	accounts := s.accounts(l, now)
	for _, id := range slices.Sorted(maps.Keys(s.Orders)) {
		s.checkOrder(id, accounts[id])
	}
	return s.Violations
}

// checkLevel (P1): what is reserved is there.
func (s *Shop) checkLevel(sku string) {
	if level := s.Stocks[sku]; level.Reserved < 0 || level.Reserved > level.OnHand {
		s.violated("P1", "of %s %d are reserved and %d on hand", sku, level.Reserved, level.OnHand)
	}
}

// CheckStock (P1): the level is what came into the house less what left it, and
// what is reserved is what orders hold. It holds after each commit.
func (s *Shop) CheckStock(sku string) {
	onHand, reserved := s.Received[sku], 0
	for _, r := range s.Reservations {
		for _, l := range r.Lines {
			switch {
			case l.SKU != sku:
			case r.Status == inventory.Held:
				reserved += l.Quantity
			case r.Status == inventory.Committed:
				onHand -= l.Quantity * (1 + len(r.Parcels))
			}
		}
		for _, back := range r.Restocks {
			for _, l := range back.Lines {
				if l.SKU == sku {
					onHand += l.Quantity
				}
			}
		}
	}
	if level := s.Stocks[sku]; level.OnHand != onHand || level.Reserved != reserved {
		s.violated("P1", "%s has %d on hand and %d reserved; by what came, went and is held it is %d and %d", sku, level.OnHand, level.Reserved, onHand, reserved)
	}
}

// checkMoney (P2).
func (s *Shop) checkMoney(id string) {
	p := s.Payments[id]
	if c, err := p.Captured.Cmp(p.Authorized); err != nil || c > 0 {
		s.violated("P2", "payment %s: captured %s of authorised %s", id, p.Captured, p.Authorized)
	}
	if c, err := p.Refunded.Cmp(p.Captured); err != nil || c > 0 {
		s.violated("P2", "payment %s: refunded %s of captured %s", id, p.Refunded, p.Captured)
	}
}

// checkBooks (P6): the PSP's account of a payment is ours, and nothing was done twice.
func (s *Shop) checkBooks(ref string, theirs partners.Payment, now time.Time) {
	ours := s.Payments[ref]
	if ours.Captured.Minor() != money(theirs.Captured) || ours.Refunded.Minor() != money(theirs.Refunded) {
		s.violated("P6", "payment %s of %s: we say captured %s, refunded %s; the PSP %+v", ref, ours.OrderID, ours.Captured, ours.Refunded, theirs)
	}
	if (ours.Status == payment.StatusAuthorized) != holds(theirs, now) {
		s.violated("P6", "payment %s of %s: we say %s, the PSP %+v", ref, ours.OrderID, ours.Status, theirs)
	}
	if theirs.Authorisations > 1 || theirs.Captures > 1 || theirs.Voids > 1 {
		s.violated("P6", "payment %s of %s: the PSP did something twice: %+v", ref, ours.OrderID, theirs)
	}
}

// account is what the partners know of one order, whatever we believe.
type account struct {
	kept, captured int64 // minor units: of what was captured, kept is not refunded
	captures, held int
	booked, moving int // parcels that wait, and that are on their way or arrived
	lost           int
	tracking       string // of a parcel that is on its way or arrived
	// astray is kept of payments that are not the order's, such as of a first card that is charged
	// although a second one took its place, and that no refund has yet, asks for, or says is paid by hand.
	astray int64
}

func (s *Shop) accounts(l Ledger, now time.Time) map[string]account {
	all := map[string]account{}
	for ref, p := range l.Payments {
		id := s.Payments[ref].OrderID
		a := all[id]
		a.kept += money(p.Captured) - money(p.Refunded)
		if s.Orders[id].PaymentID == ref || s.Payments[ref].Attempts[ref+":capture"] > 0 {
			a.captured += money(p.Captured)
			a.captures += p.Captures
		} else if !s.asksFor(ref) {
			a.astray += money(p.Captured) - money(p.Refunded) - s.handedBack(ref)
		}
		// What an order left behind is no better for having run out since, unless a refund took care of it.
		at := now
		if ended, ok := s.Ended[id]; ok && !s.settled(ref) {
			at = ended
		}
		if holds(p, at) {
			a.held++
		}
		all[id] = a
	}
	for ref, parcel := range l.Shipments {
		id := s.Shipments[ref].OrderID
		a := all[id]
		switch parcel.Status {
		case "booked":
			a.booked++
		case "dispatched", "delivered":
			a.moving++
			a.tracking = parcel.Tracking
		case "lost":
			a.lost++
		}
		all[id] = a
	}
	return all
}

// asksFor tells that people are asked about a refund of a payment.
func (s *Shop) asksFor(payment string) bool {
	for _, r := range s.Refunds {
		if r.PaymentID == payment && r.Attention != "" {
			return true
		}
	}
	return false
}

// settled tells that a refund of a payment has come to its end.
func (s *Shop) settled(payment string) bool {
	for _, r := range s.Refunds {
		if r.PaymentID == payment && r.Status == refund.Settled {
			return true
		}
	}
	return false
}

// handedBack is what operators say that refund processes of a payment gave back in another way.
func (s *Shop) handedBack(payment string) (minor int64) {
	for _, r := range s.Refunds {
		if r.PaymentID == payment && r.PaidBy != "" {
			minor += r.Amount.Minor()
		}
	}
	return minor
}

// checkOrder (P3, P4, P6): what an order says is what became of money, goods and parcel.
func (s *Shop) checkOrder(id string, a account) {
	o, stock, saga := s.Orders[id], s.Reservations[id], s.Fulfilments[id]
	if a.captures > 1 {
		s.violated("P6", "order %s: %d captures", id, a.captures)
	}
	switch {
	case o.Status == order.Draft, o.Status == "", o.Status == order.Cancelled && o.Total == (events.Money{}):
		if a != (account{}) || stock.Status != "" || saga.Status != "" {
			s.violated("P3", "order %s was never submitted: %+v, stock %s, fulfilment %s", id, a, stock.Status, saga.Status)
		}
	case o.Status == order.Completed:
		if left := 1 + len(stock.Parcels); left != a.moving+a.lost {
			s.violated("P1", "order %s is completed: goods left the house %d times, for %d parcels that moved and %d that are lost", id, left, a.moving, a.lost)
		}
		lostLater := a.moving == 0 && a.lost > 0 && (saga.Attention != "" || s.Resolved[id])
		if saga.Status != fulfilment.Completed || a.captures != 1 || a.captured != o.Total.Minor() || a.astray != 0 ||
			a.held != 0 && !s.refundWaits(id) || a.booked != 0 ||
			a.moving != 1 && !lostLater || stock.Status != inventory.Committed {
			s.violated("P3", "order %s is completed, total %s: %+v, stock %s, fulfilment %s", id, o.Total, a, stock.Status, saga.Status)
		}
		if a.moving == 1 && !s.Resolved[id] && !slices.Equal(o.Tracking, []string{a.tracking}) {
			s.violated("P3", "order %s is completed: it names the parcel %v, and %s is the one that moved", id, o.Tracking, a.tracking)
		}
	case o.Ended():
		undone := (a.kept == 0 || a.kept == s.paidByHand(id)) && a.held == 0 || s.refundWaits(id)
		if saga.Status != fulfilment.Compensated || !undone || a.booked+a.moving+a.lost != 0 ||
			stock.Status == inventory.Held || stock.Status == inventory.Committed {
			s.violated("P3", "order %s is %s: %+v, stock %s, fulfilment %s", id, o.Status, a, stock.Status, saga.Status)
		}
	case saga.Attention == "":
		s.violated("P4", "order %s stays %s, and nobody is asked for attention (fulfilment %s)", id, o.Status, saga.Status)
	}
}

// paidByHand is what operators say that they gave back in another way than by the PSP,
// of all that was captured.
func (s *Shop) paidByHand(id string) (minor int64) {
	if f := s.Fulfilments[id]; f.RefundedBy != "" {
		minor += f.Refund.Minor()
	}
	for _, r := range s.Refunds {
		if r.OrderID == id && r.PaidBy != "" {
			minor += r.Amount.Minor()
		}
	}
	return minor
}

// refundWaits tells that a refund of the order asks for attention.
func (s *Shop) refundWaits(id string) bool {
	for _, r := range s.Refunds {
		if r.OrderID == id && r.Attention != "" {
			return true
		}
	}
	return false
}
