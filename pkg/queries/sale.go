package queries

import (
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
)

// SaleList asks what was sold: an order is booked on the day on which it is paid,
// a refund on the day on which the customer has it.
var SaleList = Question[SaleFilter, SalePage]{"query.sales.list", "What was sold, by product, day and currency, less refunds"}

// SaleGrouping says over what sales are summed.
type SaleGrouping string

// Groupings of sales. Currencies are never added up.
const (
	SalesByProductAndDay SaleGrouping = ""
	SalesByDay           SaleGrouping = "day"
	SalesByProduct       SaleGrouping = "product"
	SalesByCurrency      SaleGrouping = "currency"
)

// SaleGroupings returns every grouping that has a name.
func SaleGroupings() []SaleGrouping {
	return []SaleGrouping{SalesByDay, SalesByProduct, SalesByCurrency}
}

// SaleFilter selects sales; the zero one selects all.
type SaleFilter struct {
	SKU      string       `json:"sku,omitzero"`
	Currency string       `json:"currency,omitzero"`
	From     time.Time    `json:"from,omitzero" jsonschema:"the first day, as a time in it (UTC)"`
	Before   time.Time    `json:"before,omitzero" jsonschema:"the day after the last one, as a time in it (UTC)"`
	By       SaleGrouping `json:"by,omitzero" jsonschema:"day, product or currency: sums over everything else; without it every product and day"`
	Paging
	ReadYourWrites
}

// SalePage is a part of a list, ordered by day, product and currency. NextCursor
// is empty on the last one.
type SalePage struct {
	Sales      []Sale `json:"sales"`
	NextCursor string `json:"next_cursor,omitzero"`
}

// Sale is what was sold of a product on a day in a currency, or a sum of such.
// Net is Booked less Refunded. A refund of an amount without lines is shared by
// the order's lines, in proportion to their amounts, and has no quantity.
type Sale struct {
	Day              string       `json:"day,omitzero"` // 2026-03-01; missing in sums over days
	SKU              string       `json:"sku,omitzero"` // missing in sums over products
	Name             string       `json:"name,omitzero"`
	Currency         string       `json:"currency"`
	Quantity         int64        `json:"quantity"`
	Booked           events.Money `json:"booked"`
	RefundedQuantity int64        `json:"refunded_quantity"`
	Refunded         events.Money `json:"refunded"`
	Net              events.Money `json:"net"`
}
