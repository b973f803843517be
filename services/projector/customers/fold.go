package customers

import (
	"slices"
	"strings"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
)

// Fold applies one event of one of the customer's orders. It is total and pure.
func Fold(c queries.Customer, r esjs.Recorded[events.Event]) queries.Customer {
	switch e := r.Event.(type) {
	case events.OrderCreated:
		if c.Orders == 0 {
			c.FirstOrderAt, c.Spend = r.Time, []queries.CustomerSpend{}
		}
		c.LastOrderAt = r.Time
		c.Orders++
		c.Open++
	case events.OrderSubmitted:
		c.Submitted++
	case events.OrderPaid:
		return spent(c, e.Captured, events.Money{})
	case events.OrderRefunded:
		return spent(c, events.Money{}, e.Amount)
	case events.OrderCompleted:
		c.Open, c.Completed = c.Open-1, c.Completed+1
	case events.OrderCancelled:
		c.Open, c.Cancelled = c.Open-1, c.Cancelled+1
	case events.OrderRejected:
		c.Open, c.Rejected = c.Open-1, c.Rejected+1
	case events.OrderExpired:
		c.Open, c.Expired = c.Open-1, c.Expired+1
	}
	return c
}

// spent adds to what was paid and refunded in the amounts' currency. A sum that no
// Money can hold stays what it is.
func spent(c queries.Customer, paid, refunded events.Money) queries.Customer {
	currency := paid.Currency() + refunded.Currency() // one of them is empty
	zero, err := events.NewMoney(0, currency)
	if err != nil {
		return c
	}
	c.Spend = slices.Clone(c.Spend)
	i, found := slices.BinarySearchFunc(c.Spend, currency, func(s queries.CustomerSpend, currency string) int { return strings.Compare(s.Currency, currency) })
	if !found {
		c.Spend = slices.Insert(c.Spend, i, queries.CustomerSpend{Currency: currency, Paid: zero, Refunded: zero, Net: zero})
	}
	s := &c.Spend[i]
	if sum, err := s.Paid.Add(paid); err == nil {
		s.Paid = sum
	}
	if sum, err := s.Refunded.Add(refunded); err == nil {
		s.Refunded = sum
	}
	if net, err := s.Paid.Sub(s.Refunded); err == nil {
		s.Net = net
	}
	return c
}
