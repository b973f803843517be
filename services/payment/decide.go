package payment

import (
	"strconv"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// Command is one of [Ask], [Tell], [News] and [Expire].
type Command interface {
	decide(State) []events.Event
}

// Decide returns the events that a command causes; none when it is old news.
func Decide(s State, c Command) ([]events.Event, error) {
	if n, ok := c.(News); ok {
		if s.OrderID == "" {
			return nil, &esjs.Rejection{Code: "unknown_payment", Message: "no payment has the reference " + n.PaymentID, Status: 404}
		}
		if err := n.contradicts(s); err != nil {
			return nil, err
		}
	}
	return c.decide(s), nil
}

// Ask is a request of fulfilment or of a refund.
type Ask struct {
	PaymentID string
	OrderID   string
	RequestID string
	Op        events.PaymentOperation
	// Check asks what became of an operation whose outcome is unknown.
	Check     bool
	Amount    events.Money // of all but a void and a check
	MethodRef string       // of an authorisation
	RefundID  string       // of a refund
}

// key is the idempotency key. It stays the same while the outcome is unknown, so that
// nothing is done twice. The PSP keeps its answer to a key, a no too: after a definite no
// to a void or a refund the next key asks anew. Money is taken by one key only, for ever.
func (a Ask) key(s State) string {
	effect := effect(a.Op, a.RefundID)
	key := a.PaymentID + ":" + effect
	if refused := s.Refused[effect]; refused > 0 {
		key += ":" + strconv.Itoa(refused+1)
	}
	return key
}

// effect names what an operation does to a payment.
func effect(op events.PaymentOperation, refundID string) string {
	if op == events.OperationRefund {
		return string(op) + ":" + refundID
	}
	return string(op)
}

// decide answers what can be answered without the PSP, and stores the attempt
// before the PSP is asked.
func (a Ask) decide(s State) []events.Event {
	if _, open := s.open(a.RequestID); open || s.isAnswered(a.RequestID) {
		return nil
	}
	if known := a.known(s); known != nil {
		return known
	}
	key := a.key(s)
	n := s.Attempts[key] + 1
	switch a.Op {
	case events.OperationAuthorize:
		if a.Check {
			return a.checkAuthorization(s)
		}
		attempt := events.AuthorizationAttempted{OrderID: a.OrderID, RequestID: a.RequestID, Key: key, Attempt: n}
		if s.Status == StatusInitiated {
			return []events.Event{attempt}
		}
		return []events.Event{
			events.PaymentInitiated{OrderID: a.OrderID, RequestID: a.RequestID, Amount: a.Amount, MethodRef: a.MethodRef},
			attempt,
		}
	case events.OperationCapture:
		amount := a.Amount
		if a.Check {
			amount = s.Capturing // the same key asks for the same
		}
		if code := refuseCapture(s, amount); code != "" {
			return []events.Event{events.PaymentCaptureFailed{OrderID: a.OrderID, RequestID: a.RequestID, Code: code}}
		}
		return []events.Event{events.CaptureAttempted{OrderID: a.OrderID, RequestID: a.RequestID, Amount: amount, Key: key, Attempt: n}}
	case events.OperationVoid:
		return []events.Event{events.VoidAttempted{OrderID: a.OrderID, RequestID: a.RequestID, Key: key, Attempt: n}}
	case events.OperationRefund:
		if code := refuseRefund(s, Refund{ID: a.RefundID, Amount: a.Amount}); code != "" {
			return []events.Event{events.PaymentRefundFailed{OrderID: a.OrderID, RequestID: a.RequestID, RefundID: a.RefundID, Code: code}}
		}
		return []events.Event{events.RefundAttempted{
			OrderID: a.OrderID, RequestID: a.RequestID, RefundID: a.RefundID, Amount: a.Amount, Key: key, Attempt: n,
		}}
	}
	return nil
}

// checkAuthorization leaves the answer to the PSP, unless it was never asked.
func (a Ask) checkAuthorization(s State) []events.Event {
	if s.Attempts[a.key(s)] > 0 {
		return nil
	}
	return []events.Event{events.PaymentNotFound{OrderID: a.OrderID, RequestID: a.RequestID, Op: a.Op}}
}

// known returns the answer that the state already holds; nil when it does not.
func (a Ask) known(s State) []events.Event {
	switch a.Op {
	case events.OperationAuthorize:
		switch s.Status {
		case StatusAuthorized, StatusCaptured:
			return []events.Event{events.PaymentAuthorized{
				OrderID: a.OrderID, RequestID: a.RequestID, AuthID: s.AuthID, Amount: s.Authorized, ExpiresAt: s.ExpiresAt,
			}}
		case StatusDeclined:
			return []events.Event{events.PaymentDeclined{OrderID: a.OrderID, RequestID: a.RequestID, Code: s.Code, Class: s.Decline}}
		case StatusVoided, StatusExpired:
			return []events.Event{events.PaymentDeclined{OrderID: a.OrderID, RequestID: a.RequestID, Code: string(s.Status), Class: events.DeclineHard}}
		}
	case events.OperationCapture:
		if s.Status == StatusCaptured {
			return []events.Event{events.PaymentCaptured{OrderID: a.OrderID, RequestID: a.RequestID, CaptureID: s.CaptureID, Amount: s.Captured}}
		}
	case events.OperationVoid:
		switch {
		case s.Status == StatusCaptured:
			return []events.Event{events.PaymentVoidFailed{OrderID: a.OrderID, RequestID: a.RequestID, Code: "captured"}}
		case s.Status == StatusVoided:
			return []events.Event{events.PaymentVoided{OrderID: a.OrderID, RequestID: a.RequestID, NothingHeld: !s.Released}}
		case s.Status != StatusAuthorized && len(s.Attempts) == 0,
			s.Status == StatusDeclined, s.Status == StatusExpired:
			return []events.Event{events.PaymentVoided{OrderID: a.OrderID, RequestID: a.RequestID, NothingHeld: true}}
		}
	case events.OperationRefund:
		for _, r := range s.Refunds {
			if r.ID == a.RefundID && r.Done {
				return []events.Event{events.PaymentRefunded{
					OrderID: a.OrderID, RequestID: a.RequestID, RefundID: r.ID, Amount: r.Amount, TotalRefunded: s.Refunded,
				}}
			}
		}
	}
	return nil
}

// refuseCapture returns why the PSP must not be asked to capture; "" when it may.
func refuseCapture(s State, amount events.Money) string {
	if s.Status != StatusAuthorized {
		if s.Status == StatusVoided || s.Status == StatusExpired {
			return string(s.Status)
		}
		return "not_authorized"
	}
	if amount == (events.Money{}) {
		return "not_attempted" // a check of a capture that was never asked for
	}
	if amount.Currency() != s.Authorized.Currency() {
		return "currency_mismatch"
	}
	if amount.Minor() <= 0 || amount.Minor() > s.Authorized.Minor() {
		return "exceeds_authorization"
	}
	return ""
}

// refuseRefund returns why the PSP must not be asked to refund; "" when it may.
// Refunds under way count as done: they may be. So one of a disputed payment, whose money the
// customer's bank takes back, is not refused when it is under way: see [Ask.Call].
func refuseRefund(s State, refund Refund) string {
	if s.Captured.Sign() <= 0 {
		return "nothing_captured"
	}
	if refund.Amount.Currency() != s.Captured.Currency() {
		return "currency_mismatch"
	}
	left, underWay := s.Captured.Minor(), false
	for _, r := range s.Refunds {
		if r.ID != refund.ID {
			left -= r.Amount.Minor()
			continue
		}
		if r.Amount != refund.Amount {
			return "amount_changed"
		}
		underWay = true
	}
	if s.Disputed && !underWay {
		return "disputed"
	}
	if refund.Amount.Minor() <= 0 || refund.Amount.Minor() > left {
		return "exceeds_captured"
	}
	return ""
}

// Call is what the PSP has to be asked.
type Call struct {
	PaymentID string
	Op        events.PaymentOperation
	Check     bool // only look what became of it
	Key       string
	Amount    events.Money
	MethodRef string
	RefundID  string
	// Look asks the PSP first whether it has been done: this key may have been
	// sent before, so long ago that the PSP has forgotten it.
	Look bool
}

// Call returns what the PSP has to be asked for a, after Decide; false when a
// is answered.
func (a Ask) Call(s State) (Call, bool) {
	if s.isAnswered(a.RequestID) {
		return Call{}, false
	}
	call := Call{PaymentID: a.PaymentID, Op: a.Op, Amount: a.Amount, MethodRef: a.MethodRef, RefundID: a.RefundID}
	if a.Op == events.OperationAuthorize && a.Check {
		call.Check = true
		return call, true
	}
	attempt, open := s.open(a.RequestID)
	if !open {
		return Call{}, false
	}
	call.Key = attempt.Key
	if a.Op == events.OperationCapture {
		call.Amount = attempt.Amount
	}
	call.Look = attempt.N > 1
	call.Check = a.Op == events.OperationRefund && s.Disputed // it would go out twice: what was sent before counts
	return call, true
}
