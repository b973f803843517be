package console

import (
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
)

func (m machine) class(s queries.OrderState) string {
	for _, n := range m.Nodes {
		if n.State == s {
			return n.Class
		}
	}
	return "missing"
}

func TestMachine(t *testing.T) {
	entries := []queries.TimelineEntry{
		{Category: "order", Version: 1, Type: "OrderCreated", Time: began},
		{Category: "order", Version: 2, Type: "OrderSubmitted", Time: began},
		{Category: "fulfilment", Version: 3, Type: "OrderPaid", Time: began}, // of another aggregate
		{Category: "order", Version: 3, Type: "OrderReserved", Time: began},
		{Category: "order", Version: 4, Type: "OrderCancelled", Time: began},
	}
	for _, c := range []struct {
		current queries.OrderState
		version uint64
		want    map[queries.OrderState]string
	}{
		{queries.Draft, 1, map[queries.OrderState]string{queries.Draft: "current quiet", queries.Submitted: "possible", queries.Cancelled: "possible", queries.Rejected: "possible", queries.Completed: "possible"}},
		{queries.Reserved, 3, map[queries.OrderState]string{queries.Draft: "passed", queries.Reserved: "current busy", queries.Paid: "possible", queries.Expired: "possible"}},
		{queries.Paid, 3, map[queries.OrderState]string{queries.Completed: "possible", queries.Cancelled: "closed", queries.Rejected: "closed"}},
		{queries.Cancelled, 4, map[queries.OrderState]string{queries.Submitted: "passed", queries.Reserved: "passed", queries.Paid: "closed", queries.Cancelled: "current quiet", queries.Rejected: "closed"}},
	} {
		for _, m := range machines(c.current, passedBy(entries, c.version)) {
			if len(m.Nodes) != len(queries.OrderStates()) {
				t.Errorf("%d states are drawn, and there are %d", len(m.Nodes), len(queries.OrderStates()))
			}
			for state, want := range c.want {
				if got := m.class(state); got != want {
					t.Errorf("an order that is %s, %s: %s is %q, want %q", c.current, m.Name, state, got, want)
				}
			}
			for _, n := range m.Nodes {
				if n.X < 0 || n.Y < 0 || n.X+n.W > m.Width || n.Y+n.H > m.Height {
					t.Errorf("%s %s is outside of the drawing: %+v", m.Name, n.State, n)
				}
			}
		}
	}
	if got := summary(queries.Paid, passedBy(entries, 3)); !strings.Contains(got, "It has been Draft, Submitted, Reserved. It can still become Dispatched, Completed.") {
		t.Errorf("who does not see it is told %q", got)
	}
}

func TestTree(t *testing.T) {
	event := func(id, cause string) queries.TreeEvent {
		return queries.TreeEvent{IndexedEvent: queries.IndexedEvent{EventID: id, CausationID: cause, Time: began}}
	}
	d := drawTree(queries.EventTree{Events: []queries.TreeEvent{
		event("a", "elsewhere"), event("b", "a"), event("c", "a"), event("d", "b"), event("e", ""), event("f", "c"), event("g", "g"),
	}}, "d")
	var got []string
	for i, l := range d.Leaves {
		if l.Y != 16+i*treeRow || l.X+treeText > d.Width || l.Here != (l.EventID == "d") {
			t.Errorf("%s stands at %d, %d", l.EventID, l.X, l.Y)
		}
		got = append(got, strings.Repeat(".", (l.X-14)/treeIndent)+l.EventID)
	}
	if want := "a .b .d c f e g"; strings.Join(got, " ") != want {
		t.Errorf("drawn is %v, want %s", got, want)
	}
	if len(d.Joins) != 4 {
		t.Errorf("%d are joined with their cause, want 4", len(d.Joins))
	}
	if empty := drawTree(queries.EventTree{}, ""); len(empty.Leaves) != 0 {
		t.Errorf("of nothing %d leaves are drawn", len(empty.Leaves))
	}
}

func TestPlot(t *testing.T) {
	sale := func(day, booked, refunded string) queries.Sale {
		return queries.Sale{Day: day, Booked: money(booked), Refunded: money(refunded)}
	}
	points := everyDay([]queries.Sale{sale("2026-02-27", "100.00", "0.00"), sale("2026-03-01", "370.00", "37.00")}, began)
	if len(points) != 30 || points[29].Value != 370 || points[28].Value != 0 || points[27].Value != 100 {
		t.Fatalf("the days are %+v", points[26:])
	}
	p := plots(points)[0]
	for _, drawn := range plots(points) {
		if drawn.Columns[29].Label == "" || drawn.Columns[29].Middle()+20 > float64(drawn.Width) {
			t.Errorf("of the %s plot the last day's label %q stands at %.1f of %d", drawn.Name, drawn.Columns[29].Label, drawn.Columns[29].Middle(), drawn.Width)
		}
	}
	last, before := p.Columns[29], p.Columns[27]
	if last.Y+last.H != float64(p.Base) || before.Y+before.H != float64(p.Base) || last.H <= 3.6*before.H || last.H >= 3.8*before.H {
		t.Errorf("370 is %.1f high and 100 is %.1f, from %d", last.H, before.H, p.Base)
	}
	if last.LostH < last.H/10-1 || last.LostH > last.H/10+1 {
		t.Errorf("what was refunded is %.1f of %.1f high", last.LostH, last.H)
	}
	if top := p.Lines[len(p.Lines)-1]; top.Text != "400" || top.Y > last.Y {
		t.Errorf("the axis ends at %+v", top)
	}
	if none := columns("none", 760, nil); len(none.Columns) != 0 || len(none.Lines) == 0 {
		t.Errorf("of nothing is drawn %+v", none)
	}
}

func TestWords(t *testing.T) {
	for want, got := range map[string]string{
		"24\u202f875.10 EUR": grouped(money("24875.10")), "−1\u202f000.00 EUR": grouped(money("-1000.00")), "0.50 EUR": grouped(money("0.50")), "0": grouped(events.Money{}),
		"0 ms": span(0), "999 ms": span(999 * time.Millisecond), "1.5 s": span(1500 * time.Millisecond), "59 s": span(59 * time.Second),
		"1 min": span(time.Minute), "2 h 5 min": span(2*time.Hour + 5*time.Minute), "3 d 1 h": span(73 * time.Hour),
		"out of stock": human("out_of_stock"), "Order paid": human("OrderPaid"), "auth unknown": human("AUTH_UNKNOWN"),
		"undoing the payment": stateName("COMP_PAYMENT"), "12 345": strings.ReplaceAll(group(12345), "\u202f", " "), "−1 000": strings.ReplaceAll(group(-1000), "\u202f", " "),
		"line l1 quantity": pathInWords("/lines/l1/quantity", nil), "total": pathInWords("/total/amount", nil), "payment method": pathInWords("/method_ref", nil),
		"49.80 EUR":                      valueInWords(map[string]any{"amount": "49.80", "currency": "EUR"}),
		"2 × Beans (beans) at 24.90 EUR": valueInWords(map[string]any{"sku": "beans", "name": "Beans", "quantity": 2.0, "unit_price": map[string]any{"amount": "24.90", "currency": "EUR"}}),
		`<a>`:                            valueInWords([]any{"<a>"}),
		"2026-03-01T11:30:00.124":        field(began),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if _, err := moment("yesterday"); err == nil {
		t.Error("yesterday is taken for a moment")
	}
}

func TestEveryStateOfASagaHasAPlaceAndAName(t *testing.T) {
	for _, state := range queries.SagaStates() {
		if rank(state) < 0 || stateName(state) == human(state) && state != "DISPATCHING" && state != "COMPLETING" && state != "CONFIRMING" && state != "COMPLETED" && state != "SETTLED" {
			t.Errorf("%s has no name", state)
		}
	}
	for state, want := range map[string]string{"CAPTURING": "retry compensate", "COMP_STOCK": "retry resolve", "DISPATCHING": "retry resolve", "COMP_ORDER": "retry", "COMPLETED": "resolve"} {
		var verbs []string
		for _, a := range actions(queries.Saga{State: state, Attention: "no_answer"}) {
			verbs = append(verbs, a.Verb)
		}
		if got := strings.Join(verbs, " "); got != want {
			t.Errorf("in %s an operator may %s, want %s", state, got, want)
		}
	}
	if got := actions(queries.Saga{State: "BOOKING"}); len(got) != 0 {
		t.Errorf("one that needs nobody offers %v", got)
	}
	if got := actions(queries.Saga{State: "BOOKING", Attention: "x", Quarantined: true}); len(got) != 1 || got[0].Verb != "release" {
		t.Errorf("one that is set aside offers %v", got)
	}
}
