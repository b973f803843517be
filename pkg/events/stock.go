package events

// Every stock event carries the levels after it, so that deciding needs the
// last event alone. Always 0 <= reserved_after <= on_hand_after.

// StockRegistered is appended by inventory: the sku (the stream's key) is kept in stock.
type StockRegistered struct {
	OnHandAfter   int `json:"on_hand_after"`
	ReservedAfter int `json:"reserved_after"`
}

// StockReceived is appended by inventory: goods arrived; Reference names the delivery.
type StockReceived struct {
	Quantity      int    `json:"quantity"`
	Reference     string `json:"reference,omitzero"`
	OnHandAfter   int    `json:"on_hand_after"`
	ReservedAfter int    `json:"reserved_after"`
}

// StockReserved is appended by inventory: goods are held for an order.
type StockReserved struct {
	OrderID       string `json:"order_id"`
	RequestID     string `json:"request_id"`
	ReservationID string `json:"reservation_id"`
	Quantity      int    `json:"quantity"`
	OnHandAfter   int    `json:"on_hand_after"`
	ReservedAfter int    `json:"reserved_after"`
}

// StockReleased is appended by inventory: goods that were held are free again.
type StockReleased struct {
	OrderID       string `json:"order_id"`
	RequestID     string `json:"request_id"`
	ReservationID string `json:"reservation_id"`
	Quantity      int    `json:"quantity"`
	OnHandAfter   int    `json:"on_hand_after"`
	ReservedAfter int    `json:"reserved_after"`
}

// StockCommitted is appended by inventory: goods that were held have left the house.
type StockCommitted struct {
	OrderID       string `json:"order_id"`
	RequestID     string `json:"request_id"`
	ReservationID string `json:"reservation_id"`
	Quantity      int    `json:"quantity"`
	OnHandAfter   int    `json:"on_hand_after"`
	ReservedAfter int    `json:"reserved_after"`
}

// StockAdjusted is appended by inventory: a count found another level.
type StockAdjusted struct {
	Delta         int    `json:"delta"`
	Reason        string `json:"reason"`
	By            string `json:"by,omitzero"`
	OnHandAfter   int    `json:"on_hand_after"`
	ReservedAfter int    `json:"reserved_after"`
}

func (StockRegistered) EventType() string { return "StockRegistered" }
func (StockReceived) EventType() string   { return "StockReceived" }
func (StockReserved) EventType() string   { return "StockReserved" }
func (StockReleased) EventType() string   { return "StockReleased" }
func (StockCommitted) EventType() string  { return "StockCommitted" }
func (StockAdjusted) EventType() string   { return "StockAdjusted" }
