package queries

import (
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
)

// Questions about stock.
var (
	StockGet       = Question[StockRequest, Stock]{"query.stock.get", "One product's stock as it is now"}
	StockList      = Question[StockFilter, StockPage]{"query.stock.list", "Products with their stock, by sku"}
	StockMovements = Question[MovementFilter, MovementPage]{"query.stock.movements", "What moved a product's stock, newest first"}
)

// DefaultLowStock is what a stock is low at unless the request says otherwise.
const DefaultLowStock = 5

// StockRequest names a product.
type StockRequest struct {
	SKU   string `json:"sku"`
	LowAt *int   `json:"low_at,omitzero" jsonschema:"the stock is low when so many are available, or fewer; 5 when it is not given"`
	ReadYourWrites
}

// StockFilter selects products; the zero one selects all.
type StockFilter struct {
	Low   bool   `json:"low,omitzero" jsonschema:"only those whose stock is low"`
	LowAt *int   `json:"low_at,omitzero" jsonschema:"a stock is low when so many are available, or fewer; 5 when it is not given"`
	Text  string `json:"text,omitzero" jsonschema:"part of the sku or the name, in any case"`
	Paging
	ReadYourWrites
}

// StockPage is a part of a list. NextCursor is empty on the last one.
type StockPage struct {
	Stock      []Stock `json:"stock"`
	NextCursor string  `json:"next_cursor,omitzero"`
}

// Stock is a product and what there is of it. Available is what is on hand and
// not reserved. A product that is listed and was never received has no stock, one
// that was received and never listed no name and price.
type Stock struct {
	SKU       string       `json:"sku"`
	Name      string       `json:"name,omitzero"`
	Price     events.Money `json:"price,omitzero"`
	Listed    bool         `json:"listed"` // for sale
	OnHand    int          `json:"on_hand"`
	Reserved  int          `json:"reserved"`
	Available int          `json:"available"`
	Low       bool         `json:"low"`
	Version   uint64       `json:"version"` // of the stock
	UpdatedAt time.Time    `json:"updated_at"`
}

// MovementFilter selects movements of a product's stock.
type MovementFilter struct {
	SKU     string `json:"sku"`
	OrderID string `json:"order_id,omitzero" jsonschema:"only those for this order"`
	Paging
	ReadYourWrites
}

// MovementPage is a part of a list. NextCursor is empty on the last one.
type MovementPage struct {
	SKU        string     `json:"sku"`
	Movements  []Movement `json:"movements"`
	NextCursor string     `json:"next_cursor,omitzero"`
}

// Movement is one event of a product's stock: what it changed, and the levels
// after it.
type Movement struct {
	Version       uint64    `json:"version"`
	Type          string    `json:"type"`
	Time          time.Time `json:"time"`
	EventID       string    `json:"event_id"`
	OnHandDelta   int       `json:"on_hand_delta"`
	ReservedDelta int       `json:"reserved_delta"`
	OnHand        int       `json:"on_hand"`
	Reserved      int       `json:"reserved"`
	OrderID       string    `json:"order_id,omitzero"`
	Reference     string    `json:"reference,omitzero"` // of a delivery
	Reason        string    `json:"reason,omitzero"`    // of a correction
	By            string    `json:"by,omitzero"`        // who corrected
}
