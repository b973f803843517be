package order

import (
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"github.com/b144f99b/orderflow/pkg/events"
)

// RequestRefund asks for captured money back: for quantities of lines, or,
// without lines, an amount.
type RequestRefund struct {
	Lines    []events.RefundLine
	Amount   string // "" when lines are given
	Currency string // of the amount; "" means the order's
	Reason   string
	Restock  bool // puts the goods of the lines back into stock
}

// refunds is the namespace of refund ids, which are UUIDv5 of the order id and
// the refund's number. It never changes.
var refunds = uuid.MustParse("5f0c2c52-7b43-5f0e-9d0a-3f6c1f6b8a11")

func (c RequestRefund) decide(s State) ([]events.Event, error) {
	if err := firstOf(s.existing(), optional("reason", c.Reason)); err != nil {
		return nil, err
	}
	if !s.reached(Paid) {
		return nil, reject(http.StatusConflict, "not_paid", "order %s is %s; a refund can be requested when it is Paid, Dispatched or Completed", s.OrderID, s.Status)
	}
	amount, err := c.amount(s)
	if err != nil {
		return nil, err
	}
	if amount.Sign() <= 0 {
		return nil, reject(http.StatusUnprocessableEntity, "refund_not_positive", "the refund is %s; it must be above zero", amount)
	}
	left, err := s.Captured.Sub(s.RefundsSum)
	if err != nil {
		return nil, err
	}
	if over, err := amount.Cmp(left); err != nil {
		return nil, err
	} else if over > 0 {
		return nil, reject(http.StatusUnprocessableEntity, "refund_exceeds_captured", "the refund is %s; of the captured %s at most %s are left", amount, s.Captured, left)
	}
	id := uuid.NewSHA1(refunds, fmt.Appendf(nil, "%s\x00%d", s.OrderID, len(s.Refunds)+1))
	requested := events.OrderRefundRequested{RefundID: id.String(), PaymentID: s.PaymentID, Amount: amount, Lines: c.Lines, Reason: c.Reason}
	if c.Restock {
		if len(c.Lines) == 0 {
			return nil, reject(http.StatusUnprocessableEntity, "field_required", `to restock, give "lines": an amount names no goods`)
		}
		for _, refund := range c.Lines {
			l, _ := s.line(refund.LineID)
			requested.Restock = append(requested.Restock, events.StockLine{SKU: l.SKU, Quantity: refund.Quantity})
		}
	}
	return one(requested)
}

// amount reads the amount, or prices the lines that are to be refunded.
func (c RequestRefund) amount(s State) (events.Money, error) {
	if (c.Amount != "") == (len(c.Lines) > 0) {
		return events.Money{}, reject(http.StatusUnprocessableEntity, "field_required", `give either "lines" or "amount"`)
	}
	if c.Currency != "" && c.Currency != s.Currency {
		return events.Money{}, reject(http.StatusUnprocessableEntity, "currency_mismatch", "the refund is in %q and the order was paid in %s", c.Currency, s.Currency)
	}
	if c.Amount != "" {
		amount, err := events.ParseMoney(c.Amount, s.Currency)
		if err != nil {
			return events.Money{}, reject(http.StatusUnprocessableEntity, "amount_invalid", "%v", err)
		}
		return amount, nil
	}
	var priced []Line
	seen := map[string]bool{}
	for _, refund := range c.Lines {
		l, ok := s.line(refund.LineID)
		switch left := l.Quantity - l.Refunded; {
		case !ok:
			return events.Money{}, reject(http.StatusNotFound, "line_not_found", "order %s has no line %q; its lines are %s", s.OrderID, refund.LineID, s.lineIDs())
		case seen[refund.LineID]:
			return events.Money{}, reject(http.StatusUnprocessableEntity, "field_invalid", "line %s is given twice; give it once", refund.LineID)
		case refund.Quantity < 1 || refund.Quantity > left:
			return events.Money{}, reject(http.StatusUnprocessableEntity, "quantity_out_of_range", "a refund of %d of line %s is not possible; %d of its %d are not refunded yet", refund.Quantity, l.LineID, left, l.Quantity)
		}
		seen[refund.LineID] = true
		l.Quantity = refund.Quantity
		priced = append(priced, l)
	}
	return sum(priced)
}
