package events

import "time"

// Attempted events are stored before the PSP is called, with the idempotency
// key of the call: after a crash the same key asks again. PSPEventID is set on
// what a webhook told, and makes a repeated webhook recognisable.

// DeclineClass says what may follow a declined authorisation.
type DeclineClass string

// Classes of declines.
const (
	DeclineHard  DeclineClass = "hard"  // this method will not work
	DeclineSoft  DeclineClass = "soft"  // another method, or later, may work
	DeclineFraud DeclineClass = "fraud" // nothing may follow
)

// PaymentOperation names a call to the PSP.
type PaymentOperation string

// Operations of the PSP.
const (
	OperationAuthorize PaymentOperation = "authorize"
	OperationCapture   PaymentOperation = "capture"
	OperationVoid      PaymentOperation = "void"
	OperationRefund    PaymentOperation = "refund"
)

// PaymentInitiated is appended by payment: an amount is to be paid by a method.
type PaymentInitiated struct {
	OrderID   string `json:"order_id"`
	RequestID string `json:"request_id"`
	Amount    Money  `json:"amount"`
	MethodRef string `json:"method_ref"`
}

// AuthorizationAttempted is appended by payment before the PSP is asked.
type AuthorizationAttempted struct {
	OrderID   string `json:"order_id"`
	RequestID string `json:"request_id"`
	Key       string `json:"key"`
	Attempt   int    `json:"attempt"`
}

// PaymentAuthorized is appended by payment: the PSP holds the amount until ExpiresAt.
type PaymentAuthorized struct {
	OrderID    string    `json:"order_id"`
	RequestID  string    `json:"request_id,omitzero"`
	AuthID     string    `json:"auth_id"`
	Amount     Money     `json:"amount"`
	ExpiresAt  time.Time `json:"expires_at"`
	PSPEventID string    `json:"psp_event_id,omitzero"`
}

// PaymentDeclined is appended by payment: the PSP said no; nothing is held.
type PaymentDeclined struct {
	OrderID    string       `json:"order_id"`
	RequestID  string       `json:"request_id,omitzero"`
	Code       string       `json:"code"`
	Class      DeclineClass `json:"class"`
	PSPEventID string       `json:"psp_event_id,omitzero"`
}

// PaymentOutcomeUnknown is appended by payment: the PSP may or may not have
// done it; it is asked by the same key, or by reference.
type PaymentOutcomeUnknown struct {
	OrderID   string           `json:"order_id"`
	RequestID string           `json:"request_id"`
	Op        PaymentOperation `json:"op"`
	Error     string           `json:"error"`
}

// PaymentNotFound is appended by payment: the PSP answered, with authority,
// that it never did the operation.
type PaymentNotFound struct {
	OrderID   string           `json:"order_id"`
	RequestID string           `json:"request_id"`
	Op        PaymentOperation `json:"op"`
}

// CaptureAttempted is appended by payment before the PSP is asked.
type CaptureAttempted struct {
	OrderID   string `json:"order_id"`
	RequestID string `json:"request_id"`
	Amount    Money  `json:"amount"`
	Key       string `json:"key"`
	Attempt   int    `json:"attempt"`
}

// PaymentCaptured is appended by payment: the money is ours.
type PaymentCaptured struct {
	OrderID    string `json:"order_id"`
	RequestID  string `json:"request_id,omitzero"`
	CaptureID  string `json:"capture_id"`
	Amount     Money  `json:"amount"`
	PSPEventID string `json:"psp_event_id,omitzero"`
}

// PaymentCaptureFailed is appended by payment: the PSP definitely did not capture.
type PaymentCaptureFailed struct {
	OrderID    string `json:"order_id"`
	RequestID  string `json:"request_id,omitzero"`
	Code       string `json:"code"`
	PSPEventID string `json:"psp_event_id,omitzero"`
}

// VoidAttempted is appended by payment before the PSP is asked.
type VoidAttempted struct {
	OrderID   string `json:"order_id"`
	RequestID string `json:"request_id"`
	Key       string `json:"key"`
	Attempt   int    `json:"attempt"`
}

// PaymentVoided is appended by payment: nothing of the customer's money is
// held any more, or NothingHeld when nothing was.
type PaymentVoided struct {
	OrderID     string `json:"order_id"`
	RequestID   string `json:"request_id,omitzero"`
	NothingHeld bool   `json:"nothing_held,omitzero"`
	PSPEventID  string `json:"psp_event_id,omitzero"`
}

// PaymentVoidFailed is appended by payment: the PSP refused to void; code
// "captured" says that a refund is needed instead.
type PaymentVoidFailed struct {
	OrderID   string `json:"order_id"`
	RequestID string `json:"request_id"`
	Code      string `json:"code"`
}

// RefundAttempted is appended by payment before the PSP is asked.
type RefundAttempted struct {
	OrderID   string `json:"order_id"`
	RequestID string `json:"request_id"`
	RefundID  string `json:"refund_id"`
	Amount    Money  `json:"amount"`
	Key       string `json:"key"`
	Attempt   int    `json:"attempt"`
}

// PaymentRefunded is appended by payment: Amount went back to the customer,
// TotalRefunded in all. Unasked tells that we never asked the PSP for it.
type PaymentRefunded struct {
	OrderID       string `json:"order_id"`
	RequestID     string `json:"request_id,omitzero"`
	RefundID      string `json:"refund_id"`
	Amount        Money  `json:"amount"`
	TotalRefunded Money  `json:"total_refunded"`
	PSPEventID    string `json:"psp_event_id,omitzero"`
	Unasked       bool   `json:"unasked,omitzero"`
}

// PaymentRefundFailed is appended by payment: the PSP refused to refund.
type PaymentRefundFailed struct {
	OrderID   string `json:"order_id"`
	RequestID string `json:"request_id"`
	RefundID  string `json:"refund_id"`
	Code      string `json:"code"`
}

// AuthorizationExpired is appended by payment: the PSP no longer holds the amount.
type AuthorizationExpired struct {
	OrderID    string `json:"order_id"`
	RequestID  string `json:"request_id,omitzero"`
	PSPEventID string `json:"psp_event_id,omitzero"`
}

// PaymentDisputed is appended by payment: the customer's bank claims the money back.
type PaymentDisputed struct {
	OrderID    string `json:"order_id"`
	RequestID  string `json:"request_id,omitzero"`
	DisputeID  string `json:"dispute_id"`
	Amount     Money  `json:"amount"`
	Reason     string `json:"reason"`
	PSPEventID string `json:"psp_event_id"`
}

func (PaymentInitiated) EventType() string       { return "PaymentInitiated" }
func (AuthorizationAttempted) EventType() string { return "AuthorizationAttempted" }
func (PaymentAuthorized) EventType() string      { return "PaymentAuthorized" }
func (PaymentDeclined) EventType() string        { return "PaymentDeclined" }
func (PaymentOutcomeUnknown) EventType() string  { return "PaymentOutcomeUnknown" }
func (PaymentNotFound) EventType() string        { return "PaymentNotFound" }
func (CaptureAttempted) EventType() string       { return "CaptureAttempted" }
func (PaymentCaptured) EventType() string        { return "PaymentCaptured" }
func (PaymentCaptureFailed) EventType() string   { return "PaymentCaptureFailed" }
func (VoidAttempted) EventType() string          { return "VoidAttempted" }
func (PaymentVoided) EventType() string          { return "PaymentVoided" }
func (PaymentVoidFailed) EventType() string      { return "PaymentVoidFailed" }
func (RefundAttempted) EventType() string        { return "RefundAttempted" }
func (PaymentRefunded) EventType() string        { return "PaymentRefunded" }
func (PaymentRefundFailed) EventType() string    { return "PaymentRefundFailed" }
func (AuthorizationExpired) EventType() string   { return "AuthorizationExpired" }
func (PaymentDisputed) EventType() string        { return "PaymentDisputed" }
