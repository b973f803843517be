package queries

import (
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
)

// Questions about orders as they are now.
var (
	OrderGet  = Question[OrderRequest, Order]{"query.orders.get", "One order as it is now"}
	OrderList = Question[OrderFilter, OrderPage]{"query.orders.list", "Orders, newest first"}
)

// OrderRequest names an order.
type OrderRequest struct {
	OrderID string `json:"order_id"`
	ReadYourWrites
}

// OrderFilter selects orders; the zero one selects all.
type OrderFilter struct {
	CustomerID    string     `json:"customer_id,omitzero"`
	State         OrderState `json:"state,omitzero"`
	CreatedFrom   time.Time  `json:"created_from,omitzero" jsonschema:"created at this time or later"`
	CreatedBefore time.Time  `json:"created_before,omitzero" jsonschema:"created before this time"`
	Text          string     `json:"text,omitzero" jsonschema:"part of the order's or customer's id, or of a product's sku or name, in any case"`
	Paging
	ReadYourWrites
}

// OrderPage is a part of a list. NextCursor is empty on the last one.
type OrderPage struct {
	Orders     []OrderSummary `json:"orders"`
	NextCursor string         `json:"next_cursor,omitzero"`
}

// OrderState is an order's state in the customer's words.
type OrderState string

// States in the order in which an order passes through them; the last four end it.
const (
	Draft      OrderState = "Draft"
	Submitted  OrderState = "Submitted"
	Reserved   OrderState = "Reserved"
	Authorized OrderState = "Authorized"
	Confirmed  OrderState = "Confirmed"
	Paid       OrderState = "Paid"
	Dispatched OrderState = "Dispatched"
	Completed  OrderState = "Completed"
	Cancelled  OrderState = "Cancelled"
	Rejected   OrderState = "Rejected"
	Expired    OrderState = "Expired"
)

// OrderStates returns every state of an order.
func OrderStates() []OrderState {
	return []OrderState{Draft, Submitted, Reserved, Authorized, Confirmed, Paid, Dispatched, Completed, Cancelled, Rejected, Expired}
}

// Order is one order as its newest event left it. Version counts its events.
type Order struct {
	OrderID    string     `json:"order_id"`
	CustomerID string     `json:"customer_id"`
	State      OrderState `json:"state"`
	Version    uint64     `json:"version"`
	Currency   string     `json:"currency"`
	Channel    string     `json:"channel,omitzero"`

	Lines []OrderLine  `json:"lines"`
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
	Refunded        events.Money `json:"refunded,omitzero"`         // in all
	Tracking        []string     `json:"tracking,omitzero"`

	Cancellation Cancellation `json:"cancellation,omitzero"`
	Rejection    Rejection    `json:"rejection,omitzero"`

	CreatedAt   time.Time `json:"created_at"`
	SubmittedAt time.Time `json:"submitted_at,omitzero"`
	UpdatedAt   time.Time `json:"updated_at"`
	EndedAt     time.Time `json:"ended_at,omitzero"`
}

// OrderLine is one line of an order; Amount is quantity times unit price.
type OrderLine struct {
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

// OrderSummary is an order's row in a list.
type OrderSummary struct {
	OrderID    string       `json:"order_id"`
	CustomerID string       `json:"customer_id"`
	State      OrderState   `json:"state"`
	Version    uint64       `json:"version"`
	Total      events.Money `json:"total,omitzero"`
	CreatedAt  time.Time    `json:"created_at"`
	UpdatedAt  time.Time    `json:"updated_at"`
}
