package payment

import (
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
)

// Codes of what can differ.
const (
	unknownHere     = "unknown_here"     // the PSP has a payment of which we have no event
	unknownThere    = "unknown_there"    // the PSP does not know a payment that holds or moved money
	heldThere       = "held_there"       // the PSP holds money, and we think it does not
	notHeldThere    = "not_held_there"   // we think the PSP holds money, and it does not
	heldDiffers     = "held_differs"     // in its amount
	capturedDiffers = "captured_differs" // in all that was captured, as after a double capture
	refundedDiffers = "refunded_differs"
	unreadableHere  = "unreadable_here" // our events of a payment cannot be read, so nothing can be compared
)

// codes are all of them.
func codes() []string {
	return []string{unknownHere, unknownThere, heldThere, notHeldThere, heldDiffers, capturedDiffers, refundedDiffers, unreadableHere}
}

// difference is one of them. It is excused as long as an operation is under way that
// would explain it.
type difference struct {
	queries.Mismatch
	excused bool
}

// differences are what the PSP says else than we think of a payment; nil when the
// two agree. Without an account the PSP does not know it.
func differences(id string, s State, account *Account, now time.Time) (found []difference) {
	add := func(code, here, there string, explain ...events.PaymentOperation) {
		found = append(found, difference{
			queries.Mismatch{PaymentID: id, OrderID: s.OrderID, Code: code, Here: here, There: there}, s.underWay(explain...),
		})
	}
	switch {
	case account == nil && (s.Status == StatusAuthorized || s.Captured.Sign() != 0):
		add(unknownThere, s.inWords(), account.inWords())
		return found
	case account == nil:
		return nil
	case s.OrderID == "":
		add(unknownHere, "no such payment", account.inWords())
		return found
	}
	here, there := s.Status == StatusAuthorized && s.ExpiresAt.After(now), account.Status == "authorised" && account.ExpiresAt.After(now)
	switch {
	case there && !here:
		add(heldThere, s.inWords(), account.inWords(), events.OperationAuthorize)
	case here && !there && account.Captured.Sign() == 0:
		add(notHeldThere, s.inWords(), account.inWords(), events.OperationVoid)
	case here && there && s.Authorized != account.Authorized:
		add(heldDiffers, s.Authorized.String(), account.Authorized.String())
	}
	if differs(s.Captured, account.Captured) {
		add(capturedDiffers, amount(s.Captured), amount(account.Captured), events.OperationCapture)
	}
	if differs(s.Refunded, account.Refunded) {
		add(refundedDiffers, amount(s.Refunded), amount(account.Refunded), events.OperationRefund)
	}
	return found
}

// differs compares amounts; nothing has no currency.
func differs(here, there events.Money) bool {
	return here != there && (here.Sign() != 0 || there.Sign() != 0)
}

func (s State) inWords() string { return words(string(s.Status), s.Authorized, s.Captured) }

// inWords describes an account; nil is that of a payment that the PSP does not know.
func (a *Account) inWords() string {
	if a == nil {
		return "no such payment"
	}
	return words(a.Status, a.Authorized, a.Captured)
}

func words(status string, authorized, captured events.Money) string {
	switch {
	case captured.Sign() != 0:
		return status + ", captured " + captured.String()
	case authorized.Sign() != 0:
		return status + ", authorised " + authorized.String()
	}
	return status
}

func amount(m events.Money) string {
	if m.Sign() == 0 {
		return "nothing"
	}
	return m.String()
}
