package queries

import (
	"encoding/json"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
)

// Questions about how an order was. The order service answers them from the
// order's own events: there is no view that could be behind.
var (
	OrderAt     = Question[OrderAtRequest, OrderMoment]{"query.orders.at", "One order as it was at a version or a time"}
	OrderDiff   = Question[OrderDiffRequest, OrderDifference]{"query.orders.diff", "What changed between two versions of an order"}
	OrderEvents = Question[OrderEventsRequest, OrderEventPage]{"query.orders.events", "The order's own events as they are stored, oldest first"}
)

// OrderAtRequest names an order and either a version, counted from 1, or a time
// that is not in the future.
type OrderAtRequest struct {
	OrderID string    `json:"order_id"`
	Version *uint64   `json:"version,omitzero" jsonschema:"as of this many events"`
	AsOf    time.Time `json:"as_of,omitzero" jsonschema:"as of this time"`
}

// OrderMoment is an order at one of its versions.
type OrderMoment struct {
	Version uint64    `json:"version"`
	Time    time.Time `json:"time"` // of the version's event
	State   OrderView `json:"state"`
}

// OrderDiffRequest names an order and two of its versions, in any order.
type OrderDiffRequest struct {
	OrderID string `json:"order_id"`
	From    uint64 `json:"from" jsonschema:"version, counted from 1"`
	To      uint64 `json:"to" jsonschema:"version, counted from 1"`
}

// OrderDifference is what changed between two versions of an order.
type OrderDifference struct {
	From    OrderMoment   `json:"from"`
	To      OrderMoment   `json:"to"`
	Changes []OrderChange `json:"changes"`
}

// OrderChange is one value of the state that differs. Path is a JSON pointer into
// it; Old is missing for what is new, and New for what is gone.
type OrderChange struct {
	Path string `json:"path"`
	Old  any    `json:"old,omitzero"`
	New  any    `json:"new,omitzero"`
}

// OrderView is an order as the order service decides on it, and as the reply to a
// command shows it.
type OrderView struct {
	OrderID    string          `json:"order_id"`
	Status     OrderState      `json:"status"`
	CustomerID string          `json:"customer_id"`
	Currency   string          `json:"currency"`
	Channel    string          `json:"channel,omitzero"`
	Lines      []OrderViewLine `json:"lines"`
	Total      events.Money    `json:"total,omitzero"`
	AddressRef string          `json:"address_ref,omitzero"`
	Country    string          `json:"country,omitzero"`
	MethodRef  string          `json:"method_ref,omitzero"`

	PaymentID     string             `json:"payment_id,omitzero"`
	MethodAwaited time.Time          `json:"payment_method_awaited_until,omitzero"`
	Cancellation  *OrderCancellation `json:"cancellation_requested,omitzero"` // that is open
	Captured      events.Money       `json:"captured,omitzero"`
	RefundsSum    events.Money       `json:"refund_requested,omitzero"` // in all
	Refunds       []OrderRefund      `json:"refunds,omitzero"`
	Tracking      []string           `json:"tracking,omitzero"`
	End           *OrderEnd          `json:"end,omitzero"`
}

// OrderViewLine is one line of an [OrderView].
type OrderViewLine struct {
	LineID    string       `json:"line_id"`
	SKU       string       `json:"sku"`
	Name      string       `json:"name"`
	Quantity  int          `json:"quantity"`
	UnitPrice events.Money `json:"unit_price"`
	Total     events.Money `json:"total"`
}

// OrderCancellation is a customer's wish to cancel.
type OrderCancellation struct {
	Reason string `json:"reason,omitzero"`
	By     string `json:"by,omitzero"`
}

// OrderRefund is captured money that goes back, or went back when it is Done.
type OrderRefund struct {
	RefundID string       `json:"refund_id"`
	Amount   events.Money `json:"amount"`
	Reason   string       `json:"reason,omitzero"`
	Done     bool         `json:"done"`
}

// OrderEnd is why an order was cancelled, rejected or expired.
type OrderEnd struct {
	Code        string               `json:"code,omitzero"`
	Unavailable []events.Unavailable `json:"unavailable,omitzero"`
	Reason      string               `json:"reason,omitzero"`
	By          string               `json:"by,omitzero"`
}

// OrderEventsRequest names an order and the version to begin with, 1 when it is
// not given.
type OrderEventsRequest struct {
	OrderID string `json:"order_id"`
	From    uint64 `json:"from,omitzero" jsonschema:"version to begin with"`
	Limit   int    `json:"limit,omitzero" jsonschema:"at most so many, 1 to 500; 100 when it is 0 or not given"`
}

// OrderEventPage is a part of an order's history. Next is the version to go on
// with; 0 when there are no more events yet.
type OrderEventPage struct {
	OrderID string        `json:"order_id"`
	Events  []StoredEvent `json:"events"`
	Next    uint64        `json:"next,omitzero"`
}

// StoredEvent is one event with its envelope. Position is the place of its commit
// in the store's one order of all.
type StoredEvent struct {
	Position      string          `json:"position"`
	Category      string          `json:"category"`
	Key           string          `json:"key"`
	Version       uint64          `json:"version"`
	Type          string          `json:"type"`
	SchemaVersion int             `json:"schema_version"`
	Time          time.Time       `json:"time"`
	EventID       string          `json:"event_id"`
	CorrelationID string          `json:"correlation_id,omitzero"`
	CausationID   string          `json:"causation_id,omitzero"`
	CommandID     string          `json:"command_id,omitzero"`
	Actor         string          `json:"actor,omitzero"`
	Data          json.RawMessage `json:"data"`
}
