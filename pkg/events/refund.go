package events

// Refund events are appended by the saga to ev.refund.<refund id>: one process
// for each time that money goes back after an order was paid, or after its
// fulfilment had ended as undone. What it shares with fulfilment (StepTimedOut,
// AttentionRequired, AttentionCleared, OperatorIntervened) is declared there.

// Steps of a refund.
const (
	StepRefund  Step = "refund"
	StepVoid    Step = "void"
	StepRestock Step = "restock"
)

// RefundCause says why money goes back.
type RefundCause string

// Causes of refunds.
const (
	RefundCustomer   RefundCause = "customer"    // it was requested of the order
	RefundLateEffect RefundCause = "late_effect" // money was held or taken after the order had been undone
)

// RefundOpened says that a refund begins, and the saga keeps what it needs of it.
// Amount is what goes back; it is missing when an authorisation is to be voided.
// Restock lists the goods that are put back into stock afterwards. PolicyVersion and
// PolicyDigest are as in [FulfilmentStarted].
type RefundOpened struct {
	OrderID       string      `json:"order_id"`
	RefundID      string      `json:"refund_id"`
	PaymentID     string      `json:"payment_id"`
	Cause         RefundCause `json:"cause"`
	Reason        string      `json:"reason,omitzero"`
	Amount        Money       `json:"amount,omitzero"`
	Restock       []StockLine `json:"restock,omitzero"`
	PolicyVersion int         `json:"policy_version"`
	PolicyDigest  string      `json:"policy_digest,omitzero"`
}

// RefundRequested asks payment to give Amount back to the customer. Key names
// the effect, which never happens twice; see [RefundAttempted] for the key of a call.
type RefundRequested struct {
	Request
	RefundID  string `json:"refund_id"`
	PaymentID string `json:"payment_id"`
	Amount    Money  `json:"amount"`
	Key       string `json:"key"`
}

// RefundVoidRequested asks payment to let go of what was authorised late.
type RefundVoidRequested struct {
	Request
	RefundID  string `json:"refund_id"`
	PaymentID string `json:"payment_id"`
	Key       string `json:"key"`
}

// RefundPaid tells the order that the customer has the money back.
type RefundPaid struct {
	OrderID   string      `json:"order_id"`
	RequestID string      `json:"request_id"`
	RefundID  string      `json:"refund_id"`
	PaymentID string      `json:"payment_id"`
	Cause     RefundCause `json:"cause"`
	Amount    Money       `json:"amount"`
	By        string      `json:"by,omitzero"` // the operator who resolved it
}

// RestockRequested asks inventory to put goods back into stock.
type RestockRequested struct {
	Request
	RefundID string      `json:"refund_id"`
	Lines    []StockLine `json:"lines"`
}

// RestockConfirmed says that the goods are back in stock.
type RestockConfirmed struct {
	OrderID   string `json:"order_id"`
	RequestID string `json:"request_id"`
	By        string `json:"by,omitzero"` // the operator who resolved it
}

// RefundSettled says that nothing is left to do; the process has ended. Outcome
// says what became of the money.
type RefundSettled struct {
	OrderID  string        `json:"order_id"`
	RefundID string        `json:"refund_id"`
	Outcome  RefundOutcome `json:"outcome"`
}

// RefundOutcome is how a refund ended.
type RefundOutcome string

// Outcomes of refunds.
const (
	RefundOutcomeRefunded RefundOutcome = "refunded"
	RefundOutcomeVoided   RefundOutcome = "voided"   // nothing of the customer's money is held
	RefundOutcomeCaptured RefundOutcome = "captured" // it was taken before it could be voided: a refund of its own gives it back
)

func (RefundOpened) EventType() string        { return "RefundOpened" }
func (RefundRequested) EventType() string     { return "RefundRequested" }
func (RefundVoidRequested) EventType() string { return "RefundVoidRequested" }
func (RefundPaid) EventType() string          { return "RefundPaid" }
func (RestockRequested) EventType() string    { return "RestockRequested" }
func (RestockConfirmed) EventType() string    { return "RestockConfirmed" }
func (RefundSettled) EventType() string       { return "RefundSettled" }
