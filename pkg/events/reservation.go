package events

import "time"

// StockLine is a quantity of one sku; a list of them names each sku once.
type StockLine struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// Unavailable is a sku of which less is available than wanted.
type Unavailable struct {
	SKU       string `json:"sku"`
	Wanted    int    `json:"wanted"`
	Available int    `json:"available"`
}

// Codes of [ReservationRejected] and [ReservationCommitFailed].
const (
	ReservationOutOfStock = "out_of_stock" // final; Unavailable says what is missing
	ReservationBusy       = "busy"         // may be asked again
	ReservationGone       = "expired"      // the reservation no longer holds the goods
)

// Codes of [ReservationRestockFailed].
const (
	RestockNotCommitted = "not_committed" // the goods have not left the house; it may be asked again
	RestockExceeds      = "exceeds"       // more than has left the house and is not back yet
)

// ReservationConfirmed is appended by inventory to the order's reservation,
// together with one StockReserved per sku: every line is held until ExpiresAt.
type ReservationConfirmed struct {
	OrderID       string      `json:"order_id"`
	RequestID     string      `json:"request_id"`
	ReservationID string      `json:"reservation_id"`
	Lines         []StockLine `json:"lines"`
	ExpiresAt     time.Time   `json:"expires_at"`
}

// ReservationRejected is appended by inventory: nothing is held.
type ReservationRejected struct {
	OrderID     string        `json:"order_id"`
	RequestID   string        `json:"request_id"`
	Code        string        `json:"code"`
	Unavailable []Unavailable `json:"unavailable,omitzero"`
}

// ReservationReleased is appended by inventory: what was held is free again,
// or NothingHeld when there was nothing (any more).
type ReservationReleased struct {
	OrderID     string `json:"order_id"`
	RequestID   string `json:"request_id"`
	Cause       string `json:"cause"`
	NothingHeld bool   `json:"nothing_held,omitzero"`
}

// ReservationCommitted is appended by inventory: the held goods left the house, or, with
// ShipmentID, as many once more.
type ReservationCommitted struct {
	OrderID    string `json:"order_id"`
	RequestID  string `json:"request_id"`
	ShipmentID string `json:"shipment_id,omitzero"`
}

// ReservationCommitFailed is appended by inventory: the goods could not be
// committed, because the reservation no longer holds them, or, with ShipmentID, because there
// are too few for another parcel.
type ReservationCommitFailed struct {
	OrderID    string `json:"order_id"`
	RequestID  string `json:"request_id"`
	Code       string `json:"code"`
	ShipmentID string `json:"shipment_id,omitzero"`
}

// ReservationExpired is appended by inventory: the reservation's time ended, and it was released.
type ReservationExpired struct {
	OrderID   string `json:"order_id"`
	RequestID string `json:"request_id,omitzero"`
}

// ReservationVoided is appended by inventory: a release came before, or instead
// of, the reservation. It stops a reservation request that comes late.
type ReservationVoided struct {
	OrderID   string `json:"order_id"`
	RequestID string `json:"request_id"`
	Cause     string `json:"cause"`
}

// ReservationRestocked is appended by inventory, together with one
// StockReceived per sku: goods that had left the house are back. AlreadyBack
// says that they were before, under an earlier request of the refund.
type ReservationRestocked struct {
	OrderID     string      `json:"order_id"`
	RequestID   string      `json:"request_id"`
	RefundID    string      `json:"refund_id"`
	Lines       []StockLine `json:"lines"`
	AlreadyBack bool        `json:"already_back,omitzero"`
}

// ReservationRestockFailed is appended by inventory: nothing was put back.
type ReservationRestockFailed struct {
	OrderID   string `json:"order_id"`
	RequestID string `json:"request_id"`
	RefundID  string `json:"refund_id"`
	Code      string `json:"code"`
}

func (ReservationConfirmed) EventType() string     { return "ReservationConfirmed" }
func (ReservationRejected) EventType() string      { return "ReservationRejected" }
func (ReservationReleased) EventType() string      { return "ReservationReleased" }
func (ReservationCommitted) EventType() string     { return "ReservationCommitted" }
func (ReservationCommitFailed) EventType() string  { return "ReservationCommitFailed" }
func (ReservationExpired) EventType() string       { return "ReservationExpired" }
func (ReservationVoided) EventType() string        { return "ReservationVoided" }
func (ReservationRestocked) EventType() string     { return "ReservationRestocked" }
func (ReservationRestockFailed) EventType() string { return "ReservationRestockFailed" }
