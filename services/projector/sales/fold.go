package sales

import (
	"maps"
	"slices"

	"github.com/b144f99b/orderflow/pkg/events"
)

// Order is what bookings need to know of an order: what it was submitted with,
// and the refunds that are asked for.
type Order struct {
	Lines   []events.OrderLine  `json:"lines"`
	Refunds map[string][]Refund `json:"refunds,omitzero"` // by refund id
}

// Refund is a quantity of a line that goes back.
type Refund = events.RefundLine

// Booking is what one event adds to a product's row of the day.
type Booking struct {
	SKU, Name, Currency string
	Quantity            int64
	Booked              events.Money
	RefundedQuantity    int64
	Refunded            events.Money
}

// Fold applies one event of the order, and returns what it books. It is total and
// pure. What was captured, or refunded, is shared by the lines in proportion to
// their amounts, so that the bookings sum up to it exactly.
func Fold(o Order, e events.Event) (Order, []Booking) {
	switch e := e.(type) {
	case events.OrderSubmitted:
		o.Lines = e.Lines
	case events.OrderPaid:
		var sold []Booking
		for _, p := range o.share(e.Captured, everything(o.Lines)) {
			sold = append(sold, Booking{SKU: p.line.SKU, Name: p.line.Name, Currency: p.amount.Currency(), Quantity: p.quantity, Booked: p.amount})
		}
		return o, sold
	case events.OrderRefundRequested:
		o.Refunds = maps.Clone(o.Refunds)
		if o.Refunds == nil {
			o.Refunds = make(map[string][]Refund)
		}
		o.Refunds[e.RefundID] = e.Lines
	case events.OrderRefunded:
		lines := o.Refunds[e.RefundID]
		o.Refunds = maps.Clone(o.Refunds)
		delete(o.Refunds, e.RefundID)
		goods := len(lines) > 0
		if !goods {
			lines = everything(o.Lines)
		}
		var back []Booking
		for _, p := range o.share(e.Amount, lines) {
			b := Booking{SKU: p.line.SKU, Name: p.line.Name, Currency: p.amount.Currency(), Refunded: p.amount}
			if goods {
				b.RefundedQuantity = p.quantity
			}
			back = append(back, b)
		}
		return o, back
	}
	return o, nil
}

// part is what a line has of an amount.
type part struct {
	line     events.OrderLine
	quantity int64
	amount   events.Money
}

// share gives every line its part of an amount; nothing when the lines are not
// known, or have no amounts to go by.
func (o Order) share(amount events.Money, lines []Refund) []part {
	parts, weights := make([]part, len(lines)), make([]int64, len(lines))
	for i, l := range lines {
		at := slices.IndexFunc(o.Lines, func(known events.OrderLine) bool { return known.LineID == l.LineID })
		if at < 0 {
			return nil
		}
		parts[i] = part{line: o.Lines[at], quantity: int64(l.Quantity)}
		if cost, err := parts[i].line.UnitPrice.Mul(parts[i].quantity); err == nil {
			weights[i] = cost.Minor()
		}
	}
	amounts, err := amount.Split(weights...)
	if err != nil {
		return nil
	}
	for i, amount := range amounts {
		parts[i].amount = amount
	}
	return parts
}

// everything is all of the lines.
func everything(lines []events.OrderLine) []Refund {
	all := make([]Refund, len(lines))
	for i, l := range lines {
		all[i] = Refund{LineID: l.LineID, Quantity: l.Quantity}
	}
	return all
}
