package queries

import (
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
)

// Questions about customers.
var (
	CustomerGet  = Question[CustomerRequest, Customer]{"query.customers.get", "One customer's orders and spend"}
	CustomerList = Question[CustomerFilter, CustomerPage]{"query.customers.list", "Customers with their orders and spend, by id"}
)

// CustomerRequest names a customer.
type CustomerRequest struct {
	CustomerID string `json:"customer_id"`
	ReadYourWrites
}

// CustomerFilter selects customers; the zero one selects all.
type CustomerFilter struct {
	Text string `json:"text,omitzero" jsonschema:"part of the id, in any case"`
	Paging
	ReadYourWrites
}

// CustomerPage is a part of a list. NextCursor is empty on the last one.
type CustomerPage struct {
	Customers  []Customer `json:"customers"`
	NextCursor string     `json:"next_cursor,omitzero"`
}

// Customer counts what became of a customer's orders. Orders is all of them, and
// Open those that have not ended.
type Customer struct {
	CustomerID   string          `json:"customer_id"`
	Orders       int             `json:"orders"`
	Submitted    int             `json:"submitted"` // ever
	Open         int             `json:"open"`
	Completed    int             `json:"completed"`
	Cancelled    int             `json:"cancelled"`
	Rejected     int             `json:"rejected"`
	Expired      int             `json:"expired"`
	Spend        []CustomerSpend `json:"spend"` // by currency
	FirstOrderAt time.Time       `json:"first_order_at"`
	LastOrderAt  time.Time       `json:"last_order_at"`
}

// CustomerSpend is what a customer paid in a currency. Net is Paid less Refunded.
type CustomerSpend struct {
	Currency string       `json:"currency"`
	Paid     events.Money `json:"paid"`
	Refunded events.Money `json:"refunded"`
	Net      events.Money `json:"net"`
}
