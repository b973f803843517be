package events

// CancellationAccepted says that the customer's cancellation is carried out.
type CancellationAccepted struct {
	OrderID string `json:"order_id"`
	Reason  string `json:"reason,omitzero"`
	By      string `json:"by,omitzero"`
}

// CancellationDeferred says that whether the order can still be cancelled is being
// decided elsewhere, by the order's confirmation or by the capture.
type CancellationDeferred struct {
	OrderID string `json:"order_id"`
	Reason  string `json:"reason,omitzero"`
	By      string `json:"by,omitzero"`
}

// CancellationRefused tells the order that it is too late to cancel.
type CancellationRefused struct {
	OrderID string `json:"order_id"`
	Reason  string `json:"reason"`
}

// CompensationStarted says that the order cannot be completed. Plan lists what is
// undone, in this order: everything that was requested, whether it succeeded
// or not. Reason and By are the customer's when the cause is "customer".
type CompensationStarted struct {
	OrderID string  `json:"order_id"`
	Cause   string  `json:"cause"`
	Outcome Outcome `json:"outcome"`
	Plan    []Step  `json:"plan"`
	Reason  string  `json:"reason,omitzero"`
	By      string  `json:"by,omitzero"`
}

// ShipmentCancellationRequested asks shipping to undo a booking, or to prevent
// it when it has not happened yet.
type ShipmentCancellationRequested struct {
	Request
	ShipmentID string `json:"shipment_id"`
	Cause      string `json:"cause"`
}

// ShipmentCancellationConfirmed says that no carrier will take the goods.
type ShipmentCancellationConfirmed struct {
	OrderID    string `json:"order_id"`
	RequestID  string `json:"request_id"`
	ShipmentID string `json:"shipment_id"`
	By         string `json:"by,omitzero"` // the operator who resolved it
}

// VoidRequested asks payment to let go of what is, or may be, authorised.
type VoidRequested struct {
	Request
	PaymentID string `json:"payment_id"`
	Key       string `json:"key"`
	Cause     string `json:"cause"`
}

// VoidConfirmed says that nothing of the customer's money is held.
type VoidConfirmed struct {
	OrderID   string `json:"order_id"`
	RequestID string `json:"request_id"`
	PaymentID string `json:"payment_id"`
	By        string `json:"by,omitzero"` // the operator who resolved it
}

// FulfilmentRefundRequested asks payment to give back what was captured
// although the order is being undone.
type FulfilmentRefundRequested struct {
	Request
	PaymentID string `json:"payment_id"`
	RefundID  string `json:"refund_id"`
	Amount    Money  `json:"amount"`
	Key       string `json:"key"`
	Cause     string `json:"cause"`
}

// RefundConfirmed says that everything captured went back.
type RefundConfirmed struct {
	OrderID   string `json:"order_id"`
	RequestID string `json:"request_id"`
	PaymentID string `json:"payment_id"`
	RefundID  string `json:"refund_id"`
	Amount    Money  `json:"amount"`
	By        string `json:"by,omitzero"` // the operator who resolved it
}

// ReleaseRequested asks inventory to release what is, or may be, reserved.
type ReleaseRequested struct {
	Request
	Cause string `json:"cause"`
}

// ReleaseConfirmed says that nothing is held in stock for the order.
type ReleaseConfirmed struct {
	OrderID   string `json:"order_id"`
	RequestID string `json:"request_id"`
	By        string `json:"by,omitzero"` // the operator who resolved it
}

// OutcomeDecided asks the order to end with Outcome: rejected with Code (and
// what was Unavailable), cancelled with Reason and By, or expired.
type OutcomeDecided struct {
	Request
	Outcome     Outcome       `json:"outcome"`
	Code        string        `json:"code"`
	Unavailable []Unavailable `json:"unavailable,omitzero"`
	Reason      string        `json:"reason,omitzero"`
	By          string        `json:"by,omitzero"`
}

func (CancellationAccepted) EventType() string          { return "CancellationAccepted" }
func (CancellationDeferred) EventType() string          { return "CancellationDeferred" }
func (CancellationRefused) EventType() string           { return "CancellationRefused" }
func (CompensationStarted) EventType() string           { return "CompensationStarted" }
func (ShipmentCancellationRequested) EventType() string { return "ShipmentCancellationRequested" }
func (ShipmentCancellationConfirmed) EventType() string { return "ShipmentCancellationConfirmed" }
func (VoidRequested) EventType() string                 { return "VoidRequested" }
func (VoidConfirmed) EventType() string                 { return "VoidConfirmed" }
func (FulfilmentRefundRequested) EventType() string     { return "FulfilmentRefundRequested" }
func (RefundConfirmed) EventType() string               { return "RefundConfirmed" }
func (ReleaseRequested) EventType() string              { return "ReleaseRequested" }
func (ReleaseConfirmed) EventType() string              { return "ReleaseConfirmed" }
func (OutcomeDecided) EventType() string                { return "OutcomeDecided" }
