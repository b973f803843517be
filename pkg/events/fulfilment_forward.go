package events

import "time"

// ReservationRequested asks inventory to hold Lines until ExpiresAt, all or nothing.
type ReservationRequested struct {
	Request
	Lines     []StockLine `json:"lines"`
	ExpiresAt time.Time   `json:"expires_at"`
}

// ReservationSucceeded tells the order that its lines are held.
type ReservationSucceeded struct {
	OrderID       string    `json:"order_id"`
	RequestID     string    `json:"request_id"`
	ReservationID string    `json:"reservation_id"`
	ExpiresAt     time.Time `json:"expires_at"`
}

// ReservationFailed says that inventory holds nothing.
type ReservationFailed struct {
	OrderID     string        `json:"order_id"`
	RequestID   string        `json:"request_id"`
	Code        string        `json:"code"`
	Unavailable []Unavailable `json:"unavailable,omitzero"`
}

// AuthorizationRequested asks payment to hold Amount on a payment method. The
// same Key never authorises twice; another method has another PaymentID.
type AuthorizationRequested struct {
	Request
	PaymentID string `json:"payment_id"`
	Amount    Money  `json:"amount"`
	MethodRef string `json:"method_ref"`
	Key       string `json:"key"`
}

// AuthorizationCheckRequested asks payment to find out what became of an
// authorisation whose outcome is unknown.
type AuthorizationCheckRequested struct {
	Request
	PaymentID string `json:"payment_id"`
	Key       string `json:"key"`
}

// AuthorizationSucceeded tells the order that the total is authorised until ExpiresAt.
type AuthorizationSucceeded struct {
	OrderID   string    `json:"order_id"`
	RequestID string    `json:"request_id"`
	PaymentID string    `json:"payment_id"`
	AuthID    string    `json:"auth_id"`
	Amount    Money     `json:"amount"`
	ExpiresAt time.Time `json:"expires_at"`
}

// AuthorizationFailed says that the payment method was declined, or another amount was
// authorised than the total (code "mismatch", without a class).
type AuthorizationFailed struct {
	OrderID   string       `json:"order_id"`
	RequestID string       `json:"request_id"`
	PaymentID string       `json:"payment_id"`
	Code      string       `json:"code"`
	Class     DeclineClass `json:"class,omitzero"`
}

// PaymentMethodAwaited tells the order that the customer may set another
// payment method until Until.
type PaymentMethodAwaited struct {
	OrderID string    `json:"order_id"`
	Until   time.Time `json:"until"`
	Code    string    `json:"code"`
}

// ConfirmationRequested asks the order to confirm, unless a cancellation is open.
type ConfirmationRequested struct {
	Request
}

// ConfirmationAccepted says that the order is confirmed.
type ConfirmationAccepted struct {
	OrderID   string `json:"order_id"`
	RequestID string `json:"request_id"`
}

// ShipmentBookingRequested asks shipping to book a carrier.
type ShipmentBookingRequested struct {
	Request
	ShipmentID string      `json:"shipment_id"`
	AddressRef string      `json:"address_ref"`
	Country    string      `json:"country"`
	Lines      []StockLine `json:"lines"`
}

// ShipmentRebookRequested asks shipping to book a carrier again, because the
// shipment Replaces was lost or cancelled by its carrier.
type ShipmentRebookRequested struct {
	Request
	ShipmentID string      `json:"shipment_id"`
	Replaces   string      `json:"replaces"`
	AddressRef string      `json:"address_ref"`
	Country    string      `json:"country"`
	Lines      []StockLine `json:"lines"`
}

// ShipmentSecured says that a carrier will take the goods.
type ShipmentSecured struct {
	OrderID    string `json:"order_id"`
	RequestID  string `json:"request_id"`
	ShipmentID string `json:"shipment_id"`
	Carrier    string `json:"carrier"`
	Tracking   string `json:"tracking"`
}

// CaptureRequested asks payment to capture the authorised Amount. It opens the
// pivot: after it, money may have moved.
type CaptureRequested struct {
	Request
	PaymentID string `json:"payment_id"`
	Amount    Money  `json:"amount"`
	Key       string `json:"key"`
}

// CaptureCheckRequested asks payment to find out what became of a capture
// whose outcome is unknown.
type CaptureCheckRequested struct {
	Request
	PaymentID string `json:"payment_id"`
	Key       string `json:"key"`
}

// CaptureSucceeded tells the order that it is paid. It passes the pivot: from
// here on the process only goes forward.
type CaptureSucceeded struct {
	OrderID   string `json:"order_id"`
	RequestID string `json:"request_id"`
	PaymentID string `json:"payment_id"`
	CaptureID string `json:"capture_id"`
	Amount    Money  `json:"amount"`
}

// CaptureFailed says that the money was definitely not captured.
type CaptureFailed struct {
	OrderID   string `json:"order_id"`
	RequestID string `json:"request_id"`
	PaymentID string `json:"payment_id"`
	Code      string `json:"code"`
}

// DispatchRequested asks shipping to send the goods.
type DispatchRequested struct {
	Request
	ShipmentID string `json:"shipment_id"`
}

// DispatchConfirmed tells the order that the goods are on their way.
type DispatchConfirmed struct {
	OrderID    string   `json:"order_id"`
	RequestID  string   `json:"request_id"`
	ShipmentID string   `json:"shipment_id"`
	Tracking   []string `json:"tracking"`
	By         string   `json:"by,omitzero"` // the operator who resolved it
}

// StockCommitRequested asks inventory to take the reserved goods out of stock; with
// ShipmentID, that the same quantities leave it once more, for the parcel that takes the
// place of a lost one.
type StockCommitRequested struct {
	Request
	ReservationID string `json:"reservation_id"`
	ShipmentID    string `json:"shipment_id,omitzero"`
}

// StockCommitConfirmed says that the goods are out of stock.
type StockCommitConfirmed struct {
	OrderID   string `json:"order_id"`
	RequestID string `json:"request_id"`
	By        string `json:"by,omitzero"` // the operator who resolved it
}

// CompletionRequested asks the order to complete.
type CompletionRequested struct {
	Request
}

func (ReservationRequested) EventType() string        { return "ReservationRequested" }
func (ReservationSucceeded) EventType() string        { return "ReservationSucceeded" }
func (ReservationFailed) EventType() string           { return "ReservationFailed" }
func (AuthorizationRequested) EventType() string      { return "AuthorizationRequested" }
func (AuthorizationCheckRequested) EventType() string { return "AuthorizationCheckRequested" }
func (AuthorizationSucceeded) EventType() string      { return "AuthorizationSucceeded" }
func (AuthorizationFailed) EventType() string         { return "AuthorizationFailed" }
func (PaymentMethodAwaited) EventType() string        { return "PaymentMethodAwaited" }
func (ConfirmationRequested) EventType() string       { return "ConfirmationRequested" }
func (ConfirmationAccepted) EventType() string        { return "ConfirmationAccepted" }
func (ShipmentBookingRequested) EventType() string    { return "ShipmentBookingRequested" }
func (ShipmentRebookRequested) EventType() string     { return "ShipmentRebookRequested" }
func (ShipmentSecured) EventType() string             { return "ShipmentSecured" }
func (CaptureRequested) EventType() string            { return "CaptureRequested" }
func (CaptureCheckRequested) EventType() string       { return "CaptureCheckRequested" }
func (CaptureSucceeded) EventType() string            { return "CaptureSucceeded" }
func (CaptureFailed) EventType() string               { return "CaptureFailed" }
func (DispatchRequested) EventType() string           { return "DispatchRequested" }
func (DispatchConfirmed) EventType() string           { return "DispatchConfirmed" }
func (StockCommitRequested) EventType() string        { return "StockCommitRequested" }
func (StockCommitConfirmed) EventType() string        { return "StockCommitConfirmed" }
func (CompletionRequested) EventType() string         { return "CompletionRequested" }
