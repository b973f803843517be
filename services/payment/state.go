package payment

import (
	"maps"
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
)

// Status is where a payment is, as far as we know.
type Status string

// Statuses of a payment; "" has no events, or only answers that nothing happened.
const (
	StatusInitiated  Status = "initiated" // the PSP was, or will be, asked to authorise
	StatusAuthorized Status = "authorized"
	StatusDeclined   Status = "declined"
	StatusCaptured   Status = "captured"
	StatusVoided     Status = "voided"
	StatusExpired    Status = "expired"
)

// State is one payment.
type State struct {
	OrderID    string              `json:"order_id"`
	Status     Status              `json:"status"`
	Amount     events.Money        `json:"amount"` // that was to be paid
	MethodRef  string              `json:"method_ref"`
	AuthID     string              `json:"auth_id"`
	Authorized events.Money        `json:"authorized"` // ever, also when it is not held any more
	ExpiresAt  time.Time           `json:"expires_at"`
	Decline    events.DeclineClass `json:"decline"`
	Code       string              `json:"code"` // of the decline
	CaptureID  string              `json:"capture_id"`
	Captured   events.Money        `json:"captured"`
	Capturing  events.Money        `json:"capturing"` // what the last attempted capture asked for
	Refunds    []Refund            `json:"refunds"`
	Refunded   events.Money        `json:"refunded"`
	Disputed   bool                `json:"disputed"`
	// Released: the PSP let go of what it held, so that news of an
	// authorisation are old. After a void of nothing they are not.
	Released bool `json:"released"`

	Attempts map[string]int `json:"attempts"` // by idempotency key that was not refused
	Open     []Attempt      `json:"open"`     // attempted and not answered
	Answered []string       `json:"answered"` // request ids, the newest maxAnswered
	// Refused counts the PSP's definite noes to a void and to each refund, by [effect].
	Refused map[string]int `json:"refused,omitzero"`
	// Unsettled were answered as unknown, and nothing definite came after that; one by key.
	Unsettled []Attempt `json:"unsettled,omitzero"`
}

// Refund is money that goes, or went, back.
type Refund struct {
	ID     string       `json:"id"`
	Amount events.Money `json:"amount"`
	Done   bool         `json:"done"`
}

// Attempt is a call to the PSP that was, or will be, made for a request.
type Attempt struct {
	RequestID string                  `json:"request_id"`
	Op        events.PaymentOperation `json:"op"`
	Key       string                  `json:"key"`
	RefundID  string                  `json:"refund_id,omitzero"`
	Amount    events.Money            `json:"amount"`
	N         int                     `json:"n"` // 1 is the first by this key
}

// maxAnswered bounds the request ids that a payment remembers. A request is
// redelivered soon or never.
const maxAnswered = 128

// stateVersion changes when snapshots of [State] must not be read any more.
const stateVersion = 5

// Apply folds one event into the state.
func Apply(s State, e events.Event) State {
	switch e := e.(type) {
	case events.PaymentInitiated:
		s.OrderID, s.Amount, s.MethodRef = e.OrderID, e.Amount, e.MethodRef
		s.Status = StatusInitiated
	case events.AuthorizationAttempted:
		return s.attempted(Attempt{RequestID: e.RequestID, Op: events.OperationAuthorize, Key: e.Key, N: e.Attempt})
	case events.PaymentAuthorized:
		s = s.answered(e.OrderID, e.RequestID).settled(events.OperationAuthorize, "")
		s.AuthID, s.Authorized, s.ExpiresAt = e.AuthID, e.Amount, e.ExpiresAt
		s.Decline, s.Code = "", ""
		if s.Status != StatusCaptured {
			s.Status = StatusAuthorized
		}
	case events.PaymentDeclined:
		s = s.answered(e.OrderID, e.RequestID).settled(events.OperationAuthorize, "")
		if s.Status == StatusInitiated {
			s.Status, s.Decline, s.Code = StatusDeclined, e.Class, e.Code
		}
	case events.PaymentOutcomeUnknown:
		return s.unsettled(e.RequestID).answered(e.OrderID, e.RequestID)
	case events.PaymentNotFound:
		return s.answered(e.OrderID, e.RequestID).settled(e.Op, "")
	case events.CaptureAttempted:
		s.Capturing = e.Amount
		return s.attempted(Attempt{RequestID: e.RequestID, Op: events.OperationCapture, Key: e.Key, Amount: e.Amount, N: e.Attempt})
	case events.PaymentCaptured:
		s = s.answered(e.OrderID, e.RequestID).settled(events.OperationAuthorize, "").
			settled(events.OperationCapture, "").settled(events.OperationVoid, "")
		s.CaptureID, s.Captured = e.CaptureID, e.Amount
		s.Status = StatusCaptured
	case events.PaymentCaptureFailed:
		return s.answered(e.OrderID, e.RequestID).settled(events.OperationCapture, "")
	case events.VoidAttempted:
		return s.attempted(Attempt{RequestID: e.RequestID, Op: events.OperationVoid, Key: e.Key, N: e.Attempt})
	case events.PaymentVoided:
		s = s.answered(e.OrderID, e.RequestID).settled(events.OperationAuthorize, "").
			settled(events.OperationCapture, "").settled(events.OperationVoid, "")
		s.Released = s.Released || !e.NothingHeld
		if s.Status != StatusDeclined && s.Status != StatusExpired {
			s.Status = StatusVoided
		}
	case events.PaymentVoidFailed:
		return s.refused(e.RequestID).answered(e.OrderID, e.RequestID).settled(events.OperationVoid, "")
	case events.RefundAttempted:
		s = s.attempted(Attempt{RequestID: e.RequestID, Op: events.OperationRefund, Key: e.Key, RefundID: e.RefundID, Amount: e.Amount, N: e.Attempt})
		return s.refund(Refund{ID: e.RefundID, Amount: e.Amount})
	case events.PaymentRefunded:
		s = s.answered(e.OrderID, e.RequestID).settled(events.OperationRefund, e.RefundID).
			refund(Refund{ID: e.RefundID, Amount: e.Amount, Done: true})
		s.Refunded = e.TotalRefunded
	case events.PaymentRefundFailed:
		if _, attempted := s.open(e.RequestID); attempted {
			s.Refunds = slices.DeleteFunc(slices.Clone(s.Refunds), func(r Refund) bool { return r.ID == e.RefundID && !r.Done })
		}
		return s.refused(e.RequestID).answered(e.OrderID, e.RequestID).settled(events.OperationRefund, e.RefundID)
	case events.AuthorizationExpired:
		s = s.answered(e.OrderID, e.RequestID).settled(events.OperationAuthorize, "").
			settled(events.OperationCapture, "").settled(events.OperationVoid, "")
		s.Status = StatusExpired
	case events.PaymentDisputed:
		s = s.answered(e.OrderID, e.RequestID)
		s.Disputed = true
	}
	return s
}

// The state is shared with the handler's cache, so the methods below copy what
// they change.

func (s State) attempted(a Attempt) State {
	s.Attempts = maps.Clone(s.Attempts)
	if s.Attempts == nil {
		s.Attempts = map[string]int{}
	}
	s.Attempts[a.Key] = a.N
	s.Open = append(slices.Clip(s.Open), a)
	return s
}

func (s State) answered(orderID, requestID string) State {
	s.OrderID = orderID
	if requestID == "" || slices.Contains(s.Answered, requestID) {
		return s
	}
	s.Open = slices.DeleteFunc(slices.Clone(s.Open), func(a Attempt) bool { return a.RequestID == requestID })
	s.Answered = append(slices.Clip(s.Answered), requestID)
	s.Answered = s.Answered[max(0, len(s.Answered)-maxAnswered):]
	return s
}

// unsettled notes that nobody knows what became of the attempt that was made for a
// request. The answer to a check has none: its attempt is noted already.
func (s State) unsettled(requestID string) State {
	a, attempted := s.open(requestID)
	if !attempted || slices.ContainsFunc(s.Unsettled, func(known Attempt) bool { return known.Key == a.Key }) {
		return s
	}
	s.Unsettled = append(slices.Clip(s.Unsettled), a)
	return s
}

// refused notes that the PSP said no to the attempt that was made for a request. Without
// an attempt the no was ours.
func (s State) refused(requestID string) State {
	a, attempted := s.open(requestID)
	if !attempted {
		return s
	}
	s.Refused = maps.Clone(s.Refused)
	if s.Refused == nil {
		s.Refused = map[string]int{}
	}
	s.Refused[effect(a.Op, a.RefundID)]++
	s.Attempts = maps.Clone(s.Attempts)
	delete(s.Attempts, a.Key)
	return s
}

// settled notes that what became of an operation is known.
func (s State) settled(op events.PaymentOperation, refundID string) State {
	if len(s.Unsettled) == 0 {
		return s
	}
	s.Unsettled = slices.DeleteFunc(slices.Clone(s.Unsettled), func(a Attempt) bool { return a.Op == op && a.RefundID == refundID })
	return s
}

func (s State) refund(r Refund) State {
	s.Refunds = slices.Clone(s.Refunds)
	for i, known := range s.Refunds {
		if known.ID == r.ID {
			r.Done = r.Done || known.Done
			s.Refunds[i] = r
			return s
		}
	}
	s.Refunds = append(s.Refunds, r)
	return s
}

// askedToRefund tells that the PSP was asked for a refund, also when it said no.
func (s State) askedToRefund(id string) bool {
	return s.Refused[effect(events.OperationRefund, id)] > 0 || slices.ContainsFunc(s.Refunds, func(r Refund) bool { return r.ID == id })
}

// isAnswered tells that a request has its answer.
func (s State) isAnswered(requestID string) bool { return slices.Contains(s.Answered, requestID) }

// open returns the attempt that was made for a request and is not answered.
func (s State) open(requestID string) (Attempt, bool) {
	i := slices.IndexFunc(s.Open, func(a Attempt) bool { return a.RequestID == requestID })
	if i < 0 {
		return Attempt{}, false
	}
	return s.Open[i], true
}

// underWay tells that what became of one of the operations is not known yet.
func (s State) underWay(ops ...events.PaymentOperation) bool {
	of := func(a Attempt) bool { return slices.Contains(ops, a.Op) }
	return slices.ContainsFunc(s.Open, of) || slices.ContainsFunc(s.Unsettled, of)
}

// terminal tells that little more will happen, so that a snapshot is worth while.
func (s State) terminal() bool {
	return s.Status == StatusCaptured || s.Status == StatusVoided || s.Status == StatusDeclined
}
