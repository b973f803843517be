package inventory_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/inventory"
)

const patience = 30 * time.Second // for what is expected to come at once

// house is a server with a store and the inventory's buckets.
type house struct {
	t      testing.TB
	server *esjstest.Deployment
	store  *esjs.Store
	codec  *esjs.Codec[events.Event]
}

func newHouse(t testing.TB) *house {
	t.Helper()
	server := esjstest.Server(t)
	h := &house{t: t, server: server, store: server.Store(t)}
	for _, bucket := range []string{inventory.BucketSnapshots, inventory.BucketSubscriptions} {
		h.check(esjs.ProvisionBucket(context.Background(), server.Dial(), bucket, 1))
	}
	types := make([]esjs.EventType[events.Event], len(events.Types))
	for i, t := range events.Types {
		types[i] = esjs.EventType[events.Event](t)
	}
	var err error
	h.codec, err = esjs.NewCodec(types...)
	h.check(err)
	return h
}

func (h *house) check(err error) {
	if err != nil {
		h.t.Helper()
		h.t.Fatal(err)
	}
}

// run starts an instance; stop ends it.
func (h *house) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	s := inventory.New(&service.Env{
		Name: "inventory", Dial: h.server.Dial(), Store: h.store, Log: zerolog.Nop(),
		Metrics: service.NewMetrics(), Health: service.NewHealth(),
	}, inventory.Config{})
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			h.t.Error(err)
		}
	})
	h.t.Cleanup(stop)
	return stop
}

// receive puts goods on hand as the command would.
func (h *house) receive(sku string, quantity int) {
	h.t.Helper()
	_, err := h.store.Append(context.Background(), esjs.StreamID{Category: events.CategoryStock, Key: sku}, esjs.NoStream(),
		events.StockReceived{Quantity: quantity, OnHandAfter: quantity})
	h.check(err)
}

// request appends an order's request to its fulfilment.
func (h *house) request(order string, e events.Event) {
	_, err := h.store.Append(context.Background(), esjs.StreamID{Category: events.CategoryFulfilment, Key: order}, esjs.Any(), e)
	h.check(err)
}

func (h *house) reserve(order string, attempt int, lines ...events.StockLine) {
	h.request(order, events.ReservationRequested{Request: ask(order, attempt), Lines: lines, ExpiresAt: time.Now().Add(time.Hour)})
}

func ask(order string, attempt int) events.Request {
	return events.Request{OrderID: order, RequestID: fmt.Sprint(order, "/", attempt), Attempt: attempt}
}

// answers returns the first n answers to reservations, by order, as they come.
func (h *house) answers(n int) map[string][]events.Event {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var mu sync.Mutex
	got, count := map[string][]events.Event{}, 0
	err := esjs.Subscribe(ctx, h.store, esjs.SubscriptionConfig[events.Event]{
		Name: "answers", Codec: h.codec, Query: esjs.Query{Categories: []string{events.CategoryReservation}},
	}, func(_ context.Context, e esjs.Recorded[events.Event]) error {
		mu.Lock()
		defer mu.Unlock()
		got[e.Stream.Key] = append(got[e.Stream.Key], e.Event)
		if count++; count == n {
			cancel()
		}
		return nil
	})
	h.check(err)
	if count < n {
		h.t.Fatalf("%d answers of %d came: %v", count, n, got)
	}
	return got
}

// level returns a sku's level as its last event says, and checks that no event
// of it ever went below zero.
func (h *house) level(sku string) inventory.Stock {
	h.t.Helper()
	var s inventory.Stock
	for r, err := range h.store.Read(context.Background(), esjs.StreamID{Category: events.CategoryStock, Key: sku}, 0, 0) {
		h.check(err)
		e, err := h.codec.Decode(r)
		h.check(err)
		if s = inventory.ApplyStock(s, e.Event); s.Reserved < 0 || s.Reserved > s.OnHand {
			h.t.Fatalf("%s at version %d: %+v", sku, r.Version, s)
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
	js := h.server.Connect(t)
	// Without the stored position everything is delivered again.
	if _, err := js.Request("$JS.API.STREAM.PURGE.KV_"+inventory.BucketSubscriptions, nil, patience); err != nil {
		t.Fatal(err)
	}
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
	_, err := h.store.Append(context.Background(), esjs.StreamID{Category: events.CategoryStock, Key: "a"}, esjs.Any(),
		events.StockReceived{Quantity: 5, OnHandAfter: 6, ReservedAfter: 1})
	h.check(err)
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
