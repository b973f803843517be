package inventory_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/inventory"
)

// house is one with the inventory in it.
type house struct {
	*servicetest.House[events.Event]
}

func newHouse(t testing.TB) *house {
	t.Helper()
	return &house{servicetest.New(t, events.Types, inventory.BucketSnapshots, inventory.BucketSubscriptions)}
}

// run starts an instance; stop ends it.
func (h *house) run() (stop func()) {
	return h.Run(inventory.New(h.Env("inventory"), inventory.Config{}).Run)
}

// receive puts goods on hand as the command would.
func (h *house) receive(sku string, quantity int) {
	h.T.Helper()
	h.Append(events.CategoryStock, sku, events.StockReceived{Quantity: quantity, OnHandAfter: quantity})
}

// request appends an order's request to its fulfilment.
func (h *house) request(order string, e events.Event) {
	h.T.Helper()
	h.Append(events.CategoryFulfilment, order, e)
}

func (h *house) reserve(order string, attempt int, lines ...events.StockLine) {
	h.request(order, events.ReservationRequested{Request: ask(order, attempt), Lines: lines, ExpiresAt: time.Now().Add(time.Hour)})
}

func ask(order string, attempt int) events.Request {
	return events.Request{OrderID: order, RequestID: fmt.Sprint(order, "/", attempt), Attempt: attempt}
}

// answers returns the first n answers to reservations, by order, as they come.
func (h *house) answers(n int) map[string][]events.Event {
	h.T.Helper()
	got, count := map[string][]events.Event{}, 0
	feed := h.Follow(esjs.Query{Categories: []string{events.CategoryReservation}})
	feed.Find(fmt.Sprint(n, " answers"), func(e esjs.Recorded[events.Event]) bool {
		got[e.Stream.Key] = append(got[e.Stream.Key], e.Event)
		count++
		return count == n
	})
	return got
}

// level returns a sku's level as its events say, and checks that it never went
// below zero.
func (h *house) level(sku string) inventory.Stock {
	h.T.Helper()
	var s inventory.Stock
	for _, e := range h.History(events.CategoryStock, sku) {
		if s = inventory.ApplyStock(s, e.Event); s.Reserved < 0 || s.Reserved > s.OnHand {
			h.T.Fatalf("%s at version %d: %+v", sku, e.Version, s)
		}
	}
	return s
}

// A hot sku and orders over several skus: nothing is sold twice, every request
// is answered once, and the answers add up to the levels.
func TestScarceStockIsNeverSoldTwice(t *testing.T) {
	h := newHouse(t)
	h.receive("hot", 100)
	h.receive("other", 1000)
	h.run()
	const orders = 150
	for i := range orders {
		h.reserve(fmt.Sprint("o-", i), 1, events.StockLine{SKU: "hot", Quantity: 1}, events.StockLine{SKU: "other", Quantity: 2})
	}
	confirmed := 0
	for order, answers := range h.answers(orders) {
		if len(answers) != 1 {
			t.Fatalf("%s was answered %d times: %v", order, len(answers), answers)
		}
		switch e := answers[0].(type) {
		case events.ReservationConfirmed:
			confirmed++
		case events.ReservationRejected:
			if e.Code != events.ReservationOutOfStock || len(e.Unavailable) != 1 || e.Unavailable[0].SKU != "hot" {
				t.Fatalf("%s: %+v", order, e)
			}
		default:
			t.Fatalf("%s: %+v", order, e)
		}
	}
	if confirmed != 100 {
		t.Fatalf("%d of 100 were sold", confirmed)
	}
	if hot, other := h.level("hot"), h.level("other"); hot.Reserved != 100 || other.Reserved != 200 {
		t.Fatalf("hot %+v, other %+v", hot, other)
	}
}

// What an instance handled and did not note is handled again by the next one,
// and changes nothing.
func TestARestartAnswersNothingTwice(t *testing.T) {
	h := newHouse(t)
	h.receive("a", 10)
	stop := h.run()
	h.reserve("o-1", 1, events.StockLine{SKU: "a", Quantity: 4})
	h.answers(1)
	stop()
	// Without the stored position everything is delivered again.
	_, err := h.NC.Request("$JS.API.STREAM.PURGE.KV_"+inventory.BucketSubscriptions, nil, servicetest.Patience)
	h.Check(err)
	h.run()
	h.request("o-1", events.StockCommitRequested{Request: ask("o-1", 2)})
	answers := h.answers(2)["o-1"]
	if _, ok := answers[1].(events.ReservationCommitted); !ok || len(answers) != 2 {
		t.Fatalf("answered %+v", answers)
	}
	if s := h.level("a"); s.OnHand != 6 || s.Reserved != 0 {
		t.Fatalf("level %+v", s)
	}
}

// A level that this instance has in memory, and that another one raised, does
// not refuse an order.
func TestARefusalIsNeverTakenFromAnOldLevel(t *testing.T) {
	h := newHouse(t)
	h.receive("a", 1)
	h.run()
	h.reserve("o-1", 1, events.StockLine{SKU: "a", Quantity: 1})
	h.answers(1) // the level is in memory now
	h.Append(events.CategoryStock, "a", events.StockReceived{Quantity: 5, OnHandAfter: 6, ReservedAfter: 1})
	h.reserve("o-2", 1, events.StockLine{SKU: "a", Quantity: 5})
	if e, ok := h.answers(2)["o-2"][0].(events.ReservationConfirmed); !ok {
		t.Fatalf("answered %+v", e)
	}
}

// BenchmarkReservations reports how many orders of three skus are answered in a
// second: with one hot sku in each, and over 1,000 skus.
func BenchmarkReservations(b *testing.B) {
	for name, skus := range map[string]int{"skus=1-hot": 3, "skus=1000": 1000} {
		b.Run(name, func(b *testing.B) {
			const orders = 500
			for b.Loop() {
				b.StopTimer()
				h := newHouse(b)
				for i := range skus {
					h.receive(fmt.Sprint("s-", i), 1_000_000)
				}
				for i := range orders {
					first := i * 3 % skus
					h.reserve(fmt.Sprint("o-", i), 1,
						events.StockLine{SKU: fmt.Sprint("s-", first), Quantity: 1},
						events.StockLine{SKU: fmt.Sprint("s-", (first+1)%skus), Quantity: 1},
						events.StockLine{SKU: fmt.Sprint("s-", (first+2)%skus), Quantity: 1})
				}
				b.StartTimer()
				stop := h.run()
				h.answers(orders)
				b.StopTimer()
				stop()
				b.StartTimer()
			}
			b.ReportMetric(float64(orders*b.N)/b.Elapsed().Seconds(), "reservations/s")
		})
	}
}
