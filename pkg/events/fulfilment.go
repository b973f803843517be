package events

import "time"

// Fulfilment events are appended by the saga to ev.fulfilment.<order id>. It
// never commands: "… Requested" is a published fact that carries everything
// the participant needs, "… Succeeded", "… Confirmed" and "… Failed" are what
// the saga concluded from the participant's answer.

// Request is what every requesting event of a process carries.
type Request struct {
	OrderID   string    `json:"order_id"`
	RequestID string    `json:"request_id"` // another one for each attempt
	Attempt   int       `json:"attempt"`    // 1, 2, 3 …
	Deadline  time.Time `json:"deadline"`   // when the process goes on without an answer
}

// Step names a step of fulfilment.
type Step string

// Steps forward, in their order, and back.
const (
	StepReserve   Step = "reserve"
	StepAuthorize Step = "authorize"
	StepConfirm   Step = "confirm"
	StepBook      Step = "book"
	StepCapture   Step = "capture"
	StepDispatch  Step = "dispatch"
	StepCommit    Step = "commit"
	StepComplete  Step = "complete"

	StepUndoShipment Step = "shipment"
	StepUndoPayment  Step = "payment"
	StepUndoStock    Step = "stock"
	StepUndoOrder    Step = "order"
)

// Steps returns all steps, those of fulfilments and then those of refunds.
func Steps() []Step {
	return []Step{
		StepReserve, StepAuthorize, StepConfirm, StepBook, StepCapture, StepDispatch, StepCommit, StepComplete,
		StepUndoShipment, StepUndoPayment, StepUndoStock, StepUndoOrder, StepRefund, StepVoid, StepRestock,
	}
}

// Outcome is how an order ends that could not be completed.
type Outcome string

// Outcomes.
const (
	OutcomeRejected  Outcome = "rejected"
	OutcomeCancelled Outcome = "cancelled"
	OutcomeExpired   Outcome = "expired"
)

// FulfilmentStarted says that an order was submitted, and the saga keeps what it needs
// of it. PolicyVersion names the deadlines and limits that it goes by, and PolicyDigest
// tells whether they are still the same; events from before that have none.
// Deadline is the latest time for the capture. OrderVersion is the order's
// version with its submission: what the order said before was a draft.
type FulfilmentStarted struct {
	OrderID       string      `json:"order_id"`
	CustomerID    string      `json:"customer_id"`
	Currency      string      `json:"currency"`
	Lines         []OrderLine `json:"lines"`
	Total         Money       `json:"total"`
	AddressRef    string      `json:"address_ref"`
	Country       string      `json:"country"`
	MethodRef     string      `json:"method_ref"`
	OrderVersion  uint64      `json:"order_version"`
	PolicyVersion int         `json:"policy_version"`
	PolicyDigest  string      `json:"policy_digest,omitzero"`
	Deadline      time.Time   `json:"deadline"`
}

// StepRetried says that a participant answered that asking again may help.
type StepRetried struct {
	OrderID string `json:"order_id"`
	Step    Step   `json:"step"`
	Attempt int    `json:"attempt"` // the one that failed
	Code    string `json:"code"`
}

// StepTimedOut says that a participant did not answer before the deadline.
type StepTimedOut struct {
	OrderID string `json:"order_id"`
	Step    Step   `json:"step"`
	Attempt int    `json:"attempt"`
}

// FulfilmentCompleted says that the order was delivered to the carrier, paid and
// committed; the process has ended.
type FulfilmentCompleted struct {
	OrderID string `json:"order_id"`
}

// FulfilmentCompensated says that every step that may have had an effect is confirmed
// undone; the process has ended.
type FulfilmentCompensated struct {
	OrderID string  `json:"order_id"`
	Outcome Outcome `json:"outcome"`
	Cause   string  `json:"cause"`
}

// AttentionRequired says that the process cannot go on alone; an operator must look. At
// RetryAt the step is tried again all the same; without it, it waits. Captured is
// the amount that was captured, where it is not the one that was asked for.
type AttentionRequired struct {
	OrderID  string    `json:"order_id"`
	Step     Step      `json:"step"`
	Code     string    `json:"code"`
	Detail   string    `json:"detail,omitzero"`
	RetryAt  time.Time `json:"retry_at,omitzero"`
	Captured Money     `json:"captured,omitzero"`
	Lost     bool      `json:"lost,omitzero"` // the parcel's goods are gone
}

// AttentionCleared says that nobody has to look any more: what was awaited came
// after all, or an operator has decided.
type AttentionCleared struct {
	OrderID string `json:"order_id"`
	Step    Step   `json:"step"`
}

// OperatorIntervened says that an operator decided; Action is retry, resolve,
// compensate or release, Evidence what a resolve rests on.
type OperatorIntervened struct {
	OrderID  string `json:"order_id"`
	Action   string `json:"action"`
	By       string `json:"by"`
	Reason   string `json:"reason"`
	Evidence string `json:"evidence,omitzero"`
}

// LateEffectDetected says that something happened after its step had ended that changes
// money or goods, such as a refund that an operator had resolved as made in another
// way. EventID and Type name the event that told it, Amount is what
// was captured, if it was a capture. RefundID, if there is one, names the refund
// process that undoes it on the payment.
type LateEffectDetected struct {
	OrderID   string `json:"order_id"`
	EventID   string `json:"event_id"`
	Type      string `json:"type"`
	Amount    Money  `json:"amount,omitzero"`
	PaymentID string `json:"payment_id,omitzero"`
	RefundID  string `json:"refund_id,omitzero"`
}

// Quarantined says that an input could not be handled; this process waits for an
// operator, others go on. InputPosition is where the input is stored, "" where it
// is no event. OrderID is missing where it is not known.
type Quarantined struct {
	OrderID       string `json:"order_id"`
	InputPosition string `json:"input_position"`
	Error         string `json:"error"`
}

// QuarantineReleased says that an operator lets the order go on from the input where it stopped.
type QuarantineReleased struct {
	OrderID string `json:"order_id"`
	By      string `json:"by"`
	Reason  string `json:"reason"`
}

func (FulfilmentStarted) EventType() string     { return "FulfilmentStarted" }
func (StepRetried) EventType() string           { return "StepRetried" }
func (StepTimedOut) EventType() string          { return "StepTimedOut" }
func (FulfilmentCompleted) EventType() string   { return "FulfilmentCompleted" }
func (FulfilmentCompensated) EventType() string { return "FulfilmentCompensated" }
func (AttentionRequired) EventType() string     { return "AttentionRequired" }
func (AttentionCleared) EventType() string      { return "AttentionCleared" }
func (OperatorIntervened) EventType() string    { return "OperatorIntervened" }
func (LateEffectDetected) EventType() string    { return "LateEffectDetected" }
func (Quarantined) EventType() string           { return "Quarantined" }
func (QuarantineReleased) EventType() string    { return "QuarantineReleased" }
