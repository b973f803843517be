package inventory

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

var soon = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func asked(n int) events.Request {
	return events.Request{OrderID: "o-1", RequestID: fmt.Sprint("r-", n), Attempt: n}
}

func reserving(n int, lines ...events.StockLine) events.ReservationRequested {
	return events.ReservationRequested{Request: asked(n), Lines: lines, ExpiresAt: soon}
}

func releasing(n int) events.ReleaseRequested {
	return events.ReleaseRequested{Request: asked(n), Cause: "customer"}
}

func committing(n int) events.StockCommitRequested {
	return events.StockCommitRequested{Request: asked(n), ReservationID: "o-1"}
}

func restocking(n int, refund string, lines ...events.StockLine) events.RestockRequested {
	return events.RestockRequested{Request: asked(n), RefundID: refund, Lines: lines}
}

func line(sku string, quantity int) events.StockLine {
	return events.StockLine{SKU: sku, Quantity: quantity}
}

// story folds requests over two skus, a with 5 on hand and b with 3.
type story struct {
	reservation Reservation
	stock       map[string]Stock
}

func newStory() *story {
	return &story{stock: map[string]Stock{"a": {Registered: true, OnHand: 5}, "b": {Registered: true, OnHand: 3}}}
}

func (s *story) level(sku string) Stock { return s.stock[sku] }

func (s *story) ask(request events.Event) []events.Event {
	answer, moves := DecideRequest(s.reservation, request, s.level)
	for _, e := range answer {
		s.reservation = ApplyReservation(s.reservation, e)
	}
	for _, m := range moves {
		s.stock[m.SKU] = ApplyStock(s.stock[m.SKU], m.Event)
	}
	return answer
}

// Each story lists requests, and after each one the answers' types and what is
// on hand and reserved of both skus.
func TestRequestsAreAnswered(t *testing.T) {
	type step struct {
		request events.Event
		answer  string
		levels  string
	}
	for name, steps := range map[string][]step{
		"reserved and committed": {
			{reserving(1, line("a", 2), line("b", 3)), "ReservationConfirmed", "a 5/2 b 3/3"},
			{committing(2), "ReservationCommitted", "a 3/0 b 0/0"},
			{committing(3), "ReservationCommitted", "a 3/0 b 0/0"},
			{releasing(4), "ReservationReleased", "a 3/0 b 0/0"},
			{reserving(5, line("a", 2)), "ReservationRejected", "a 3/0 b 0/0"},
		},
		"reserved and released": {
			{reserving(1, line("a", 5)), "ReservationConfirmed", "a 5/5 b 3/0"},
			{releasing(2), "ReservationReleased", "a 5/0 b 3/0"},
			{releasing(3), "ReservationReleased", "a 5/0 b 3/0"},
			{committing(4), "ReservationCommitFailed", "a 5/0 b 3/0"},
			{reserving(5, line("a", 5)), "ReservationRejected", "a 5/0 b 3/0"},
		},
		"all or nothing": {
			{reserving(1, line("a", 1), line("b", 4)), "ReservationRejected", "a 5/0 b 3/0"},
			{reserving(2, line("a", 1), line("b", 3)), "ReservationConfirmed", "a 5/1 b 3/3"},
		},
		"a sku in two lines is one sku": {
			{reserving(1, line("a", 3), line("a", 3)), "ReservationRejected", "a 5/0 b 3/0"},
			{reserving(2, line("a", 3), line("a", 2)), "ReservationConfirmed", "a 5/5 b 3/0"},
		},
		"a sku that is not kept": {
			{reserving(1, line("x", 1)), "ReservationRejected", "a 5/0 b 3/0"},
		},
		"the release comes first": {
			{releasing(1), "ReservationVoided", "a 5/0 b 3/0"},
			{reserving(2, line("a", 1)), "ReservationRejected", "a 5/0 b 3/0"},
			{releasing(3), "ReservationReleased", "a 5/0 b 3/0"},
		},
		"a release after a refusal stops later attempts": {
			{reserving(1, line("a", 9)), "ReservationRejected", "a 5/0 b 3/0"},
			{releasing(2), "ReservationVoided", "a 5/0 b 3/0"},
			{reserving(3, line("a", 1)), "ReservationRejected", "a 5/0 b 3/0"},
		},
		"a second attempt is confirmed again": {
			{reserving(1, line("a", 1)), "ReservationConfirmed", "a 5/1 b 3/0"},
			{reserving(2, line("a", 1)), "ReservationConfirmed", "a 5/1 b 3/0"},
		},
		"held until its time ends": {
			{reserving(1, line("a", 2), line("b", 1)), "ReservationConfirmed", "a 5/2 b 3/1"},
			{Due{"o-1", soon.Add(-1)}, "", "a 5/2 b 3/1"},
			{Due{"o-1", soon}, "ReservationExpired", "a 5/0 b 3/0"},
			{releasing(2), "ReservationReleased", "a 5/0 b 3/0"},
			{committing(3), "ReservationCommitFailed", "a 5/0 b 3/0"},
			{reserving(4, line("a", 1)), "ReservationRejected", "a 5/0 b 3/0"},
		},
		"what left the house does not expire": {
			{reserving(1, line("a", 2)), "ReservationConfirmed", "a 5/2 b 3/0"},
			{committing(2), "ReservationCommitted", "a 3/0 b 3/0"},
			{Due{"o-1", soon.Add(time.Hour)}, "", "a 3/0 b 3/0"},
		},
		"what was released does not expire": {
			{reserving(1, line("a", 2)), "ReservationConfirmed", "a 5/2 b 3/0"},
			{releasing(2), "ReservationReleased", "a 5/0 b 3/0"},
			{Due{"o-1", soon.Add(time.Hour)}, "", "a 5/0 b 3/0"},
		},
		"restocked in parts, each refund once, never more than left": {
			{reserving(1, line("a", 3), line("b", 1)), "ReservationConfirmed", "a 5/3 b 3/1"},
			{restocking(2, "r-1", line("a", 1)), "ReservationRestockFailed", "a 5/3 b 3/1"},
			{committing(3), "ReservationCommitted", "a 2/0 b 2/0"},
			{restocking(4, "r-1", line("a", 1), line("a", 1), line("b", 1)), "ReservationRestocked", "a 4/0 b 3/0"},
			{restocking(5, "r-1", line("a", 1)), "ReservationRestocked", "a 4/0 b 3/0"},
			{restocking(6, "r-2", line("a", 2)), "ReservationRestockFailed", "a 4/0 b 3/0"},
			{restocking(7, "r-2", line("b", 1), line("a", 1)), "ReservationRestockFailed", "a 4/0 b 3/0"},
			{restocking(8, "r-2", line("x", 1)), "ReservationRestockFailed", "a 4/0 b 3/0"},
			{restocking(9, "r-2", line("a", 1)), "ReservationRestocked", "a 5/0 b 3/0"},
		},
		"commit without a reservation": {
			{committing(1), "ReservationCommitFailed", "a 5/0 b 3/0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			for i, step := range steps {
				answer := s.ask(step.request)
				if got := typesOf(answer); got != step.answer {
					t.Fatalf("step %d: answered %q, want %q", i+1, got, step.answer)
				}
				a, b := s.stock["a"], s.stock["b"]
				if got := fmt.Sprintf("a %d/%d b %d/%d", a.OnHand, a.Reserved, b.OnHand, b.Reserved); got != step.levels {
					t.Fatalf("step %d: levels %s, want %s", i+1, got, step.levels)
				}
				if again := s.ask(step.request); len(again) != 0 {
					t.Fatalf("step %d: the same request again was answered with %s", i+1, typesOf(again))
				}
			}
		})
	}
}

func TestARefusalSaysWhatIsMissing(t *testing.T) {
	answer := newStory().ask(reserving(1, line("a", 1), line("b", 4), line("x", 2)))
	want := events.ReservationRejected{
		OrderID: "o-1", RequestID: "r-1", Code: events.ReservationOutOfStock,
		Unavailable: []events.Unavailable{{SKU: "b", Wanted: 4, Available: 3}, {SKU: "x", Wanted: 2}},
	}
	if !reflect.DeepEqual(answer, []events.Event{want}) {
		t.Fatalf("got %+v, want %+v", answer, want)
	}
}

func typesOf(answer []events.Event) string {
	names := make([]string, len(answer))
	for i, e := range answer {
		names[i] = e.EventType()
	}
	return strings.Join(names, " ")
}

// Property P1: whatever is asked in whatever order, stock is conserved and
// never negative, and what is reserved is what reservations hold.
func TestStockIsConserved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		skus := []string{"a", "b", "c"}
		stock := map[string]Stock{}
		received, left := map[string]int{}, map[string]int{}
		reservations := map[string]Reservation{}
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			sku := rapid.SampledFrom(skus).Draw(t, "sku")
			order := rapid.SampledFrom([]string{"o-1", "o-2", "o-3"}).Draw(t, "order")
			request := events.Request{OrderID: order, RequestID: fmt.Sprint(order, "/", rapid.IntRange(0, i).Draw(t, "request"))}
			var e events.Event
			switch rapid.SampledFrom([]string{"receive", "adjust", "reserve", "release", "commit", "commit", "expire", "restock"}).Draw(t, "what") {
			case "receive":
				received[sku] += manage(t, stock, sku, Receive{Quantity: rapid.IntRange(-2, 9).Draw(t, "quantity")})
				continue
			case "adjust":
				received[sku] += manage(t, stock, sku, Adjust{Delta: rapid.IntRange(-9, 9).Draw(t, "delta"), Reason: "count"})
				continue
			case "reserve":
				e = events.ReservationRequested{Request: request, ExpiresAt: soon, Lines: []events.StockLine{
					line(sku, rapid.IntRange(1, 5).Draw(t, "quantity")), line("b", rapid.IntRange(1, 3).Draw(t, "more")),
				}}
			case "release":
				e = events.ReleaseRequested{Request: request}
			case "commit":
				e = events.StockCommitRequested{Request: request}
			case "expire":
				e = Due{order, soon.Add(rapid.SampledFrom([]time.Duration{-1, 0, 1}).Draw(t, "late"))}
			case "restock":
				e = events.RestockRequested{Request: request, RefundID: rapid.SampledFrom([]string{"r-1", "r-2"}).Draw(t, "refund"),
					Lines: []events.StockLine{line(sku, rapid.IntRange(0, 5).Draw(t, "quantity"))}}
			}
			answer, moves := DecideRequest(reservations[order], e, func(sku string) Stock { return stock[sku] })
			for _, a := range answer {
				reservations[order] = ApplyReservation(reservations[order], a)
			}
			for _, m := range moves {
				stock[m.SKU] = ApplyStock(stock[m.SKU], m.Event)
				if c, ok := m.Event.(events.StockCommitted); ok {
					left[m.SKU] += c.Quantity
				}
				if back, ok := m.Event.(events.StockReceived); ok {
					left[m.SKU] -= back.Quantity
				}
			}
			held := map[string]int{}
			for _, r := range reservations {
				if r.Status == Held {
					for _, l := range r.Lines {
						held[l.SKU] += l.Quantity
					}
				}
			}
			for _, sku := range skus {
				if left[sku] < 0 {
					t.Fatalf("of %s %d more came back than left", sku, -left[sku])
				}
				s := stock[sku]
				if s.Reserved < 0 || s.Reserved > s.OnHand || s.Reserved != held[sku] || s.OnHand != received[sku]-left[sku] {
					t.Fatalf("%s: %+v, held %d, received %d, left %d", sku, s, held[sku], received[sku], left[sku])
				}
			}
		}
	})
}

// manage handles a command and returns by how much it changed what is on hand.
func manage(t *rapid.T, stock map[string]Stock, sku string, c StockCommand) int {
	before := stock[sku].OnHand
	decided, err := DecideStock(stock[sku], c)
	if refused := (*esjs.Rejection)(nil); err != nil && (!errors.As(err, &refused) || len(decided) > 0) {
		t.Fatalf("%+v: %v", c, err)
	}
	for _, e := range decided {
		stock[sku] = ApplyStock(stock[sku], e)
	}
	return stock[sku].OnHand - before
}

func TestCommandsAreRefusedInWords(t *testing.T) {
	eur := func(amount string) events.Money { return events.MustMoney(amount, "EUR") }
	usd := events.MustMoney("1.00", "USD")
	listed := Product{Listed: true, Name: "Beans", Price: eur("24.90")}
	stocked := Stock{Registered: true, OnHand: 5, Reserved: 3}
	product := func(p Product, c ProductCommand) func() ([]events.Event, error) {
		return func() ([]events.Event, error) { return DecideProduct(p, c) }
	}
	sku := func(s Stock, c StockCommand) func() ([]events.Event, error) {
		return func() ([]events.Event, error) { return DecideStock(s, c) }
	}
	for name, c := range map[string]struct {
		decide func() ([]events.Event, error)
		want   string // the events' types, or the refusal's code
	}{
		"list":                       {product(Product{}, List{"Beans", eur("24.90")}), "ProductListed"},
		"list again":                 {product(listed, List{"Beans", eur("24.90")}), ""},
		"list otherwise":             {product(listed, List{"Peas", eur("24.90")}), "already_listed"},
		"list without a name":        {product(Product{}, List{"", eur("1.00")}), "field_required"},
		"list with a NUL":            {product(Product{}, List{"be\x00ns", eur("1.00")}), "field_invalid"},
		"list with a long name":      {product(Product{}, List{strings.Repeat("x", 201), eur("1.00")}), "field_too_long"},
		"list for nothing":           {product(Product{}, List{"Beans", eur("0.00")}), "price_not_positive"},
		"reprice":                    {product(listed, Reprice{eur("25.00")}), "ProductPriceChanged"},
		"reprice to the same":        {product(listed, Reprice{eur("24.90")}), ""},
		"reprice below zero":         {product(listed, Reprice{eur("-1.00")}), "price_not_positive"},
		"reprice what is not listed": {product(Product{}, Reprice{eur("1.00")}), "product_not_listed"},
		"reprice in dollars":         {product(listed, Reprice{usd}), "currency_mismatch"},
		"delist":                     {product(listed, Delist{}), "ProductDelisted"},
		"delist what is not listed":  {product(Product{}, Delist{}), ""},
		"register":                   {sku(Stock{}, Register{}), "StockRegistered"},
		"register again":             {sku(stocked, Register{}), ""},
		"receive an unknown sku":     {sku(Stock{}, Receive{Quantity: 1}), "StockRegistered StockReceived"},
		"receive":                    {sku(stocked, Receive{Quantity: 1}), "StockReceived"},
		"receive nothing":            {sku(stocked, Receive{}), "quantity_out_of_range"},
		"receive less than nothing":  {sku(stocked, Receive{Quantity: -1}), "quantity_out_of_range"},
		"receive too much":           {sku(stocked, Receive{Quantity: maxLevel}), "quantity_out_of_range"},
		"adjust":                     {sku(stocked, Adjust{Delta: -2, Reason: "broken"}), "StockAdjusted"},
		"adjust below the reserved":  {sku(stocked, Adjust{Delta: -3, Reason: "broken"}), "delta_out_of_range"},
		"adjust by nothing":          {sku(stocked, Adjust{Reason: "count"}), ""},
		"adjust without a reason":    {sku(stocked, Adjust{Delta: 1}), "field_required"},
		"adjust an unknown sku":      {sku(Stock{}, Adjust{Delta: 1, Reason: "count"}), "sku_not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			decided, err := c.decide()
			got := typesOf(decided)
			if refused := (*esjs.Rejection)(nil); errors.As(err, &refused) {
				got = refused.Code
			} else if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Fatalf("got %q (%v), want %q", got, err, c.want)
			}
		})
	}
}
