package orders

import (
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
)

// State is an order's state in the customer's words.
type State string

// States in the order in which an order passes through them; the last four end it.
const (
	Draft      State = "Draft"
	Submitted  State = "Submitted"
	Reserved   State = "Reserved"
	Authorized State = "Authorized"
	Confirmed  State = "Confirmed"
	Paid       State = "Paid"
	Dispatched State = "Dispatched"
	Completed  State = "Completed"
	Cancelled  State = "Cancelled"
	Rejected   State = "Rejected"
	Expired    State = "Expired"
)

// States returns every state.
func States() []State {
	return []State{Draft, Submitted, Reserved, Authorized, Confirmed, Paid, Dispatched, Completed, Cancelled, Rejected, Expired}
}

// Order is one order as its newest event left it. Version counts its events.
type Order struct {
	OrderID    string `json:"order_id"`
	CustomerID string `json:"customer_id"`
	State      State  `json:"state"`
	Version    uint64 `json:"version"`
	Currency   string `json:"currency"`
	Channel    string `json:"channel,omitzero"`

	Lines []Line       `json:"lines"`
	Total events.Money `json:"total,omitzero"` // of the lines, so far or as submitted

	Shipping      Shipping `json:"shipping,omitzero"`
	PaymentMethod string   `json:"payment_method,omitzero"`
	// PaymentMethodUntil is set while the customer may choose another payment method.
	PaymentMethodUntil time.Time `json:"payment_method_until,omitzero"`

	ReservationID   string       `json:"reservation_id,omitzero"`
	PaymentID       string       `json:"payment_id,omitzero"`
	Authorized      events.Money `json:"authorized,omitzero"`
	Captured        events.Money `json:"captured,omitzero"`
	RefundRequested events.Money `json:"refund_requested,omitzero"` // in all
	Tracking        []string     `json:"tracking,omitzero"`

	Cancellation Cancellation `json:"cancellation,omitzero"`
	Rejection    Rejection    `json:"rejection,omitzero"`

	CreatedAt   time.Time `json:"created_at"`
	SubmittedAt time.Time `json:"submitted_at,omitzero"`
	UpdatedAt   time.Time `json:"updated_at"`
	EndedAt     time.Time `json:"ended_at,omitzero"`
}

// Line is one line of an order; Amount is quantity times unit price.
type Line struct {
	LineID    string       `json:"line_id"`
	SKU       string       `json:"sku"`
	Name      string       `json:"name"`
	Quantity  int          `json:"quantity"`
	UnitPrice events.Money `json:"unit_price"`
	Amount    events.Money `json:"amount,omitzero"`
}

// Shipping says where an order goes.
type Shipping struct {
	AddressRef string `json:"address_ref"`
	Country    string `json:"country"`
}

// Cancellation tells of a customer's wish to cancel: it is open until the
// order is cancelled, or Refused says why it is not.
type Cancellation struct {
	Reason  string `json:"reason,omitzero"`
	By      string `json:"by,omitzero"`
	Refused string `json:"refused,omitzero"`
}

// Rejection tells why an order could not be fulfilled.
type Rejection struct {
	Code        string               `json:"code,omitzero"`
	Unavailable []events.Unavailable `json:"unavailable,omitzero"`
}

// Summary is an order's row in a list.
type Summary struct {
	OrderID    string       `json:"order_id"`
	CustomerID string       `json:"customer_id"`
	State      State        `json:"state"`
	Version    uint64       `json:"version"`
	Total      events.Money `json:"total,omitzero"`
	CreatedAt  time.Time    `json:"created_at"`
	UpdatedAt  time.Time    `json:"updated_at"`
}
