package payment

import (
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
)

// Answer is what the PSP said.
type Answer struct {
	Kind    AnswerKind
	Account Account // with Done, and with Refused when the PSP told it
	Code    string  // why it was refused
	Class   events.DeclineClass
	Error   string // why it is unknown
}

// AnswerKind tells how sure an answer is.
type AnswerKind int

// Kinds of answers. The zero kind is the one that claims nothing.
const (
	Unknown AnswerKind = iota // the operation may or may not have been done
	Done                      // Account is the truth
	Refused                   // definitely not done
	Missing                   // the PSP does not know the payment
)

// String names the kind in metrics.
func (k AnswerKind) String() string { return [...]string{"unknown", "done", "refused", "missing"}[k] }

// Account is a payment as the PSP's books have it. An id in it has its amount.
type Account struct {
	Status      string // authorised, declined, captured, voided, refunded
	AuthID      string
	Authorized  events.Money
	ExpiresAt   time.Time
	DeclineCode string
	Class       events.DeclineClass
	CaptureID   string
	Captured    events.Money
	Refunds     []Refund
	Refunded    events.Money
}

// holdsNothing tells that the PSP let go of the authorisation, or never gave it.
func (a Account) holdsNothing() bool { return a.Status == "voided" || a.Status == "declined" }

// settles tells that a capture, a void or a refund was done, or can never be done.
func (a Account) settles(op events.PaymentOperation, refundID string) bool {
	switch op {
	case events.OperationCapture:
		return a.Captured.Sign() > 0 || a.Status == "voided"
	case events.OperationVoid:
		return a.Captured.Sign() > 0 || a.holdsNothing()
	case events.OperationRefund:
		return slices.ContainsFunc(a.Refunds, func(r Refund) bool { return r.ID == refundID })
	}
	return false
}

// Tell is the PSP's answer to a request.
type Tell struct {
	Ask
	Answer Answer
}

// decide turns an answer into the event that the request waits for.
func (t Tell) decide(s State) []events.Event {
	if s.isAnswered(t.RequestID) {
		return nil
	}
	switch t.Answer.Kind {
	case Done:
		return t.done(s)
	case Refused:
		if t.Answer.Account.settles(t.Op, t.RefundID) { // it refuses to do again what it did
			return t.done(s)
		}
		switch t.Op {
		case events.OperationAuthorize:
			return []events.Event{t.declined(t.Answer.Code, t.Answer.Class)}
		case events.OperationCapture:
			return []events.Event{t.captureFailed(t.Answer.Code)}
		case events.OperationVoid:
			return []events.Event{events.PaymentVoidFailed{OrderID: t.OrderID, RequestID: t.RequestID, Code: t.Answer.Code}}
		case events.OperationRefund:
			return []events.Event{t.refundFailed(t.Answer.Code)}
		}
	case Missing:
		switch {
		case s.AuthID != "":
			// It held money under this reference: that it knows nothing of it now is no
			// word about that money.
			return t.unknown(s, "the provider does not know the payment that it had authorised")
		case t.Op == events.OperationAuthorize:
			return []events.Event{events.PaymentNotFound{OrderID: t.OrderID, RequestID: t.RequestID, Op: t.Op}}
		case t.Op == events.OperationVoid:
			return []events.Event{events.PaymentVoided{OrderID: t.OrderID, RequestID: t.RequestID, NothingHeld: true}}
		}
		return t.unknown(s, "the provider does not know the payment")
	case Unknown:
		return t.unknown(s, t.Answer.Error)
	}
	return nil
}

// unknown says that nobody knows, unless a webhook has told meanwhile.
func (t Tell) unknown(s State, why string) []events.Event {
	if known := t.known(s); known != nil {
		return known
	}
	return []events.Event{events.PaymentOutcomeUnknown{OrderID: t.OrderID, RequestID: t.RequestID, Op: t.Op, Error: why}}
}

// done reads the answer from the PSP's account of the payment. An account that tells
// neither that it was done nor that it never will be leaves it unknown.
func (t Tell) done(s State) []events.Event {
	account := t.Answer.Account
	switch t.Op {
	case events.OperationAuthorize:
		switch {
		case account.Status == "declined":
			return []events.Event{t.declined(account.DeclineCode, account.Class)}
		case account.Status == "voided":
			return []events.Event{t.declined("voided", events.DeclineHard)}
		case account.AuthID != "":
			return []events.Event{events.PaymentAuthorized{
				OrderID: t.OrderID, RequestID: t.RequestID, AuthID: account.AuthID, Amount: account.Authorized, ExpiresAt: account.ExpiresAt,
			}}
		}
	case events.OperationCapture:
		switch {
		case account.Captured.Sign() > 0:
			return []events.Event{events.PaymentCaptured{
				OrderID: t.OrderID, RequestID: t.RequestID, CaptureID: account.CaptureID, Amount: account.Captured,
			}}
		case account.Status == "voided":
			return []events.Event{t.captureFailed(account.Status)}
		}
	case events.OperationVoid:
		switch forgotten := account.AuthID == "" && s.AuthID != ""; {
		case account.Captured.Sign() > 0:
			return t.captured(s)
		case account.holdsNothing() && !forgotten:
			return []events.Event{events.PaymentVoided{OrderID: t.OrderID, RequestID: t.RequestID, NothingHeld: account.AuthID == ""}}
		}
	case events.OperationRefund:
		if known := t.known(s); known != nil { // a webhook has told meanwhile
			return known
		}
		// The PSP's own total may hold refunds that it has yet to tell us of.
		for _, r := range account.Refunds {
			if total, ok := s.refundable(r); r.ID == t.RefundID && ok {
				return []events.Event{events.PaymentRefunded{
					OrderID: t.OrderID, RequestID: t.RequestID, RefundID: r.ID, Amount: r.Amount, TotalRefunded: total,
				}}
			}
		}
	}
	return t.unknown(s, "the provider's account does not tell: it is "+account.Status)
}

// refundable returns the total with one more refund; false when it cannot be one of
// this payment: it is of another currency, or more than is left of the capture.
func (s State) refundable(r Refund) (total events.Money, ok bool) {
	total, err := s.Refunded.Add(r.Amount)
	return total, err == nil && total.Currency() == s.Captured.Currency() && total.Minor() <= s.Captured.Minor()
}

// captured answers a void that came too late. A capture that we did not know
// of is a fact of its own.
func (t Tell) captured(s State) []events.Event {
	facts := learn(s, t.Answer.Account, cause{orderID: t.OrderID, requestID: t.RequestID})
	return append(facts, events.PaymentVoidFailed{OrderID: t.OrderID, RequestID: t.RequestID, Code: "captured"})
}

func (t Tell) declined(code string, class events.DeclineClass) events.Event {
	if class == "" {
		class = events.DeclineHard
	}
	return events.PaymentDeclined{OrderID: t.OrderID, RequestID: t.RequestID, Code: code, Class: class}
}

func (t Tell) captureFailed(code string) events.Event {
	return events.PaymentCaptureFailed{OrderID: t.OrderID, RequestID: t.RequestID, Code: code}
}

func (t Tell) refundFailed(code string) events.Event {
	return events.PaymentRefundFailed{OrderID: t.OrderID, RequestID: t.RequestID, RefundID: t.RefundID, Code: code}
}

// News is what the PSP told unasked, or before its answer arrived.
type News struct {
	PaymentID string
	EventID   string // the PSP's
	Disputed  bool
	Account   Account
}

// decide stores the facts that are new, and answers the requests that were
// waiting for them.
func (n News) decide(s State) []events.Event {
	facts := learn(s, n.Account, cause{orderID: s.OrderID, eventID: n.EventID})
	if n.Disputed && !s.Disputed {
		amount := n.Account.Captured
		if amount.Sign() == 0 { // not told
			amount = s.Captured
		}
		facts = append(facts, events.PaymentDisputed{
			OrderID: s.OrderID, DisputeID: n.EventID, Amount: amount, Reason: "dispute", PSPEventID: n.EventID,
		})
	}
	return facts
}

// cause is where a fact comes from.
type cause struct {
	orderID, requestID, eventID string
}

// request returns the request that a fact answers: the one that asked, or the
// one that waits for this operation.
func (c cause) request(s State, op events.PaymentOperation, refundID string) string {
	if c.requestID != "" {
		return c.requestID
	}
	for _, a := range s.Open {
		if a.Op == op && a.RefundID == refundID {
			return a.RequestID
		}
	}
	return ""
}

// learn returns the facts of the PSP's account that the state does not hold.
// Webhooks come late and in any order, so an account may be old: what it does
// not mention is no news.
func learn(s State, a Account, c cause) []events.Event {
	var facts []events.Event
	add := func(e events.Event) { facts, s = append(facts, e), Apply(s, e) }
	if a.AuthID != "" && a.AuthID != s.AuthID && !s.Released {
		add(events.PaymentAuthorized{
			OrderID: c.orderID, RequestID: c.request(s, events.OperationAuthorize, ""),
			AuthID: a.AuthID, Amount: a.Authorized, ExpiresAt: a.ExpiresAt, PSPEventID: c.eventID,
		})
	}
	if a.CaptureID != "" && a.CaptureID != s.CaptureID {
		add(events.PaymentCaptured{
			OrderID: c.orderID, RequestID: c.request(s, events.OperationCapture, ""),
			CaptureID: a.CaptureID, Amount: a.Captured, PSPEventID: c.eventID,
		})
	}
	for _, r := range a.Refunds {
		if known := (Ask{Op: events.OperationRefund, RefundID: r.ID}).known(s); known != nil {
			continue
		}
		total, ok := s.refundable(r)
		if !ok {
			continue
		}
		add(events.PaymentRefunded{
			OrderID: c.orderID, RequestID: c.request(s, events.OperationRefund, r.ID),
			RefundID: r.ID, Amount: r.Amount, TotalRefunded: total, PSPEventID: c.eventID, Unasked: !s.askedToRefund(r.ID),
		})
	}
	switch {
	case a.Status == "voided" && s.Status == StatusAuthorized, a.Status == "voided" && s.Status == StatusInitiated:
		add(events.PaymentVoided{
			OrderID: c.orderID, RequestID: c.request(s, events.OperationVoid, ""),
			NothingHeld: a.AuthID == "", PSPEventID: c.eventID,
		})
	case a.Status == "declined" && s.Status == StatusInitiated:
		add(events.PaymentDeclined{
			OrderID: c.orderID, RequestID: c.request(s, events.OperationAuthorize, ""),
			Code: a.DeclineCode, Class: a.Class, PSPEventID: c.eventID,
		})
	}
	return facts
}
