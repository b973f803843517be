package order

import (
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
)

// View is what a reply shows of an order.
type View struct {
	OrderID    string       `json:"order_id"`
	Status     Status       `json:"status"`
	CustomerID string       `json:"customer_id"`
	Currency   string       `json:"currency"`
	Channel    string       `json:"channel,omitzero"`
	Lines      []LineView   `json:"lines"`
	Total      events.Money `json:"total"`
	AddressRef string       `json:"address_ref,omitzero"`
	Country    string       `json:"country,omitzero"`
	MethodRef  string       `json:"method_ref,omitzero"`

	PaymentID     string        `json:"payment_id,omitzero"`
	MethodAwaited time.Time     `json:"payment_method_awaited_until,omitzero"`
	Cancellation  *Cancellation `json:"cancellation_requested,omitzero"`
	Captured      events.Money  `json:"captured,omitzero"`
	Refunded      events.Money  `json:"refund_requested,omitzero"`
	Tracking      []string      `json:"tracking,omitzero"`
	End           *End          `json:"end,omitzero"`
}

// LineView is one line of a [View].
type LineView struct {
	LineID    string       `json:"line_id"`
	SKU       string       `json:"sku"`
	Name      string       `json:"name"`
	Quantity  int          `json:"quantity"`
	UnitPrice events.Money `json:"unit_price"`
	Total     events.Money `json:"total"`
}

func viewOf(s State) View {
	v := View{
		OrderID: s.OrderID, Status: s.Status, CustomerID: s.CustomerID, Currency: s.Currency, Channel: s.Channel,
		Lines: []LineView{}, AddressRef: s.AddressRef, Country: s.Country, MethodRef: s.MethodRef,
		PaymentID: s.PaymentID, MethodAwaited: s.MethodAwaited, Cancellation: s.Cancellation,
		Captured: s.Captured, Refunded: s.Refunded, Tracking: s.Tracking, End: s.End,
	}
	for _, l := range s.Lines {
		cost, _ := l.UnitPrice.Mul(int64(l.Quantity)) // decided to be countable, with the sum
		v.Lines = append(v.Lines, LineView{
			LineID: l.LineID, SKU: l.SKU, Name: l.Name, Quantity: l.Quantity, UnitPrice: l.UnitPrice, Total: cost,
		})
	}
	if v.Total, _ = sum(s.Lines); len(s.Lines) == 0 {
		v.Total, _ = events.NewMoney(0, s.Currency)
	}
	return v
}
