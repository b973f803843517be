package console

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/gateway/signin"
)

// Of an order can be given back what was captured and not asked back yet: of each line
// what is left of it, as far as the money goes.
func TestWhatIsLeftToRefund(t *testing.T) {
	order := queries.Order{
		OrderID: "o-1", Currency: "EUR", State: queries.Completed, Captured: money("100.00"),
		Lines: []queries.OrderLine{
			{LineID: "l1", Name: "Cup", Quantity: 4, UnitPrice: money("20.00")},
			{LineID: "l2", Name: "Tea", Quantity: 2, UnitPrice: money("10.00")},
		},
	}
	asked := func(lines ...events.RefundLine) events.OrderRefundRequested {
		return events.OrderRefundRequested{Lines: lines}
	}
	for _, c := range []struct {
		name      string
		requested string // "" for nothing
		back      []events.OrderRefundRequested
		left      string
		lines     []int // left of l1 and l2
	}{
		{name: "nothing was asked back", left: "100.00", lines: []int{4, 2}},
		{name: "three cups", requested: "60.00", back: []events.OrderRefundRequested{asked(events.RefundLine{LineID: "l1", Quantity: 2}), asked(events.RefundLine{LineID: "l1", Quantity: 1})}, left: "40.00", lines: []int{1, 2}},
		{name: "an amount", requested: "75.00", back: []events.OrderRefundRequested{asked()}, left: "25.00", lines: []int{1, 2}},
		{name: "nearly all", requested: "95.00", back: []events.OrderRefundRequested{asked()}, left: "5.00", lines: []int{0, 0}},
		{name: "all", requested: "100.00", back: []events.OrderRefundRequested{asked()}},
	} {
		o := order
		if c.requested != "" {
			o.RefundRequested = money(c.requested)
		}
		of := refundableOf(o, c.back)
		lines := make([]int, 2)
		for _, l := range of.Lines {
			lines[slices.Index([]string{"l1", "l2"}, l.LineID)] = l.Left
		}
		switch {
		case c.left == "" && (of.Left.Sign() != 0 || len(of.Lines) != 0):
			t.Errorf("%s: %v are left", c.name, of)
		case c.left != "" && (of.Left != money(c.left) || !slices.Equal(lines, c.lines)):
			t.Errorf("%s: %s and %v are left, want %s and %v", c.name, of.Left, lines, c.left, c.lines)
		}
	}
	data := evilPages()["order"].(orderData)
	data.Order, data.May, data.Refund = order, may{Refund: true}, refundableOf(order, nil)
	if body := rendered(t, "order", signin.Customer, data); !strings.Contains(body, `max="4"`) || !strings.Contains(body, "up to 100.00 EUR") {
		t.Errorf("the form says no limit: %s", body)
	}
}

// A timeline says why something happened as far as it is known to who reads it.
func TestATimelineSaysWhy(t *testing.T) {
	data := evilPages()["order"].(orderData)
	data.Stories = stories([]queries.TimelineEntry{
		{Category: "order", Version: 1, Type: "OrderCreated", EventID: "e-1", Actor: "ann", Time: began},
		{Category: "order", Version: 2, Type: "OrderSubmitted", EventID: "e-2", Time: began},
		{Category: "order", Version: 3, Type: "OrderReserved", EventID: "e-3", CausationID: "not shown", Time: began},
		{Category: "shipment", Version: 1, Type: "ShipmentDispatched", EventID: "e-4", Time: began},
		{Category: "order", Version: 4, Type: "OrderDispatched", EventID: "e-5", CausationID: "e-4", Time: began},
	})
	var said []string
	for _, m := range regexp.MustCompile(`<p class="why">(.*?)</p>`).FindAllStringSubmatch(rendered(t, "order", signin.Operator, data), -1) {
		said = append(said, m[1])
	}
	want := []string{"asked for by ann", "asked for", "in the course of things", "told from outside", `because of <a href="#e-e-4">Shipment dispatched</a>`}
	if !slices.Equal(said, want) {
		t.Errorf("it says %q, want %q", said, want)
	}
}
