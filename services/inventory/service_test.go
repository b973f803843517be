package inventory_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/inventory"
)

// house is one with the inventory in it.
type house struct {
	*servicetest.House[events.Event]
}

func newHouse(t testing.TB) *house {
	t.Helper()
	return houseOn(t, esjstest.Server(t))
}

func houseOn(t testing.TB, server *esjstest.Deployment) *house {
	t.Helper()
	h := &house{servicetest.On(server, t, events.Types, inventory.BucketSnapshots, inventory.BucketSubscriptions)}
	h.Check(esjs.ProvisionTimers(t.Context(), server.Dial(), server.Config().Replicas))
	return h
}

// run starts an instance and returns when it is ready. stop ends it.
func (h *house) run() (stop func()) {
	h.T.Helper()
	return h.runAs(inventory.Config{})
}

func (h *house) runAs(cfg inventory.Config) (stop func()) {
	h.T.Helper()
	env := h.Env("inventory")
	stop = h.Run(inventory.New(env, cfg).Run)
	h.Ready(env)
	return stop
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

// Goods of a refund, which comes on another stream than the order's fulfilment, are back once.
func TestGoodsOfARefundAreBackOnce(t *testing.T) {
	h := newHouse(t)
	h.receive("beans", 10)
	h.run()
	h.reserve("o", 1, events.StockLine{SKU: "beans", Quantity: 3})
	h.request("o", events.StockCommitRequested{Request: ask("o", 2), ReservationID: "o"})
	h.answers(2)
	for attempt := range 2 {
		h.Append(events.CategoryRefund, "r-1", events.RestockRequested{
			Request: ask("o", 3+attempt), RefundID: "r-1", Lines: []events.StockLine{{SKU: "beans", Quantity: 2}},
		})
	}
	answers := h.answers(4)["o"]
	first, second := servicetest.As[events.ReservationRestocked](t, answers[2]), servicetest.As[events.ReservationRestocked](t, answers[3])
	if first.AlreadyBack || !second.AlreadyBack {
		t.Errorf("answered %+v and %+v", first, second)
	}
	if beans := h.level("beans"); beans.OnHand != 9 || beans.Reserved != 0 {
		t.Errorf("beans %+v", beans)
	}
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

// vanished is an event that this version of the program cannot read.
type vanished struct{}

func (vanished) EventType() string { return "StockVanished" }

// Orders that wait together are decided together, and one sku whose events cannot be
// read stops its own orders alone, and what they ask later with them.
func TestALevelThatCannotBeReadStopsItsOwnOrdersAlone(t *testing.T) {
	h := newHouse(t)
	h.receive("a", 1000)
	h.receive("bad", 1000)
	_, err := h.Store.Append(t.Context(), esjs.StreamID{Category: events.CategoryStock, Key: "bad"}, esjs.Any(), vanished{})
	h.Check(err)
	const orders = 20
	for i := range orders {
		h.reserve(fmt.Sprint("o-", i), 1, events.StockLine{SKU: "a", Quantity: 2})
	}
	h.reserve("stuck", 1, events.StockLine{SKU: "a", Quantity: 1}, events.StockLine{SKU: "bad", Quantity: 1})
	h.request("stuck", events.ReleaseRequested{Request: ask("stuck", 2)})
	h.run()
	h.Until("the order whose sku cannot be read is set aside, and no other", func() bool {
		all, err := esjs.Subscriptions(t.Context(), h.Store, inventory.BucketSubscriptions)
		h.Check(err)
		var parked []string
		for _, s := range all {
			for _, p := range s.Parked {
				parked = append(parked, p.Key)
			}
		}
		if len(parked) > 1 {
			t.Fatalf("set aside are %v", parked)
		}
		return len(parked) == 1 && parked[0] == "fulfilment/stuck"
	})
	for order, answers := range h.answers(orders) {
		if _, ok := answers[0].(events.ReservationConfirmed); !ok || len(answers) != 1 {
			t.Errorf("%s was answered %+v", order, answers)
		}
	}
	if stuck := h.History(events.CategoryReservation, "stuck"); len(stuck) > 0 {
		t.Errorf("what cannot be decided is answered %+v", stuck)
	}
	if s := h.level("a"); s.Reserved != 2*orders {
		t.Errorf("level %+v", s)
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

// Fulfilment never says what becomes of the order: the goods are free again when
// the reservation's time has ended, and only those that are still held.
func TestWhatIsHeldTooLongIsFreeAgain(t *testing.T) {
	h := newHouse(t)
	h.receive("a", 10)
	h.receive("b", 10)
	h.Append(events.CategoryReservation, "sold",
		events.ReservationConfirmed{OrderID: "sold", RequestID: "sold/1", ReservationID: "sold", ExpiresAt: time.Now(), Lines: []events.StockLine{{SKU: "a", Quantity: 4}}},
		events.ReservationCommitted{OrderID: "sold", RequestID: "sold/2"})
	h.run()
	ending := time.Now().Add(100 * time.Millisecond)
	h.request("silent", events.ReservationRequested{Request: ask("silent", 1), ExpiresAt: ending, Lines: []events.StockLine{
		{SKU: "a", Quantity: 4}, {SKU: "b", Quantity: 1},
	}})
	feed := h.Follow(esjs.Query{Categories: []string{events.CategoryReservation}, Types: []string{"ReservationExpired"}})
	expired := feed.Find("the reservation expires", func(esjs.Recorded[events.Event]) bool { return true })
	if expired.Stream.Key != "silent" || expired.Time.Before(ending) || expired.Metadata.CorrelationID != "silent" {
		t.Fatalf("expired: %+v, due at %s", expired, ending)
	}
	for _, sku := range []string{"a", "b"} {
		if s := h.level(sku); s.Reserved != 0 || s.OnHand != 10 {
			t.Fatalf("%s: %+v", sku, s)
		}
	}
}

// The time of a hold ends while nobody knows whether the money was captured: who paid
// gets the goods. Where they are still held when the order has been undone, as an operator
// can decide, they are free again.
func TestWhatIsBeingPaidStaysHeld(t *testing.T) {
	h := newHouse(t)
	h.receive("a", 10)
	h.run()
	feed := h.Follow(esjs.Query{Categories: []string{events.CategoryReservation}, Types: []string{"ReservationExpired", "ReservationCommitted"}})
	next := func(order string) events.Event {
		t.Helper()
		e := feed.Find("news of a hold", func(esjs.Recorded[events.Event]) bool { return true })
		if e.Stream.Key != order {
			t.Fatalf("%s of %s, not of %s", e.Type, e.Stream.Key, order)
		}
		return e.Event
	}
	line := []events.StockLine{{SKU: "a", Quantity: 3}}
	for _, order := range []string{"paid", "undone"} {
		h.request(order, events.CaptureRequested{Request: ask(order, 1), PaymentID: "p"})
		h.request(order, events.ReservationRequested{Request: ask(order, 2), ExpiresAt: time.Now(), Lines: line})
	}
	h.answers(2)
	// Holds end in the order of their times, so theirs have when this one has.
	h.request("silent", events.ReservationRequested{Request: ask("silent", 1), ExpiresAt: time.Now(), Lines: line})
	servicetest.As[events.ReservationExpired](t, next("silent"))
	h.request("undone", events.FulfilmentCompensated{OrderID: "undone"})
	servicetest.As[events.ReservationExpired](t, next("undone"))
	h.request("paid", events.StockCommitRequested{Request: ask("paid", 3)})
	servicetest.As[events.ReservationCommitted](t, next("paid"))
	if s := h.level("a"); s.OnHand != 7 || s.Reserved != 0 {
		t.Errorf("level %+v", s)
	}
}

func TestEveryRequiredFieldIsAskedFor(t *testing.T) {
	h := newHouse(t)
	h.run()
	type says = map[string]string
	money := says{"price": "such as 24.90", "currency": "such as EUR"}
	h.Requires("cmd.product.beans.list", `{"name":"Beans","price":"1.00","currency":"EUR"}`, money)
	h.Requires("cmd.product.beans.list", `{"name":"Beans","price":"1.00","currency":"EUR"}`, says{"name": "a string of 1 to 200 bytes"})
	h.Requires("cmd.product.beans.reprice", `{"price":"1.00","currency":"EUR"}`, money)
	h.Requires("cmd.stock.beans.receive", `{"quantity":1}`, says{"quantity": "a whole number above 0"})
	h.Requires("cmd.stock.beans.adjust", `{"delta":-1,"reason":"counted"}`, says{
		"delta": "a whole number that is negative when goods are missing", "reason": "a string of 1 to 200 bytes",
	})
}

// Whoever corrects the stock says who he is and why, and both are kept.
func TestACorrectionOfTheStockSaysWhoDecidedAndWhy(t *testing.T) {
	h := newHouse(t)
	h.receive("beans", 10)
	h.run()
	h.refused("cmd.stock.beans.adjust", `{"delta":-2,"reason":"counted"}`, "422 actor_required")
	h.refused("cmd.stock.beans.adjust", `{"delta":-2}`, "422 field_required")
	_, err := service.Client{Conn: h.NC}.Send(t.Context(), service.Command{
		Category: "stock", Key: "beans", Verb: "adjust", Body: []byte(`{"delta":-2,"reason":"counted"}`), Actor: "alice",
	})
	h.Check(err)
	history := h.History(events.CategoryStock, "beans")
	adjusted := servicetest.As[events.StockAdjusted](t, history[len(history)-1].Event)
	if len(history) != 2 || adjusted.By != "alice" || adjusted.Reason != "counted" || adjusted.OnHandAfter != 8 {
		t.Errorf("after %d events: %+v", len(history), adjusted)
	}
}

// Amounts that are none, and none of the product's: refused in words, and nothing changed.
func TestBadAmountsAreRefused(t *testing.T) {
	h := newHouse(t)
	h.run()
	list := func(price string) string { return `{"name":"Beans","price":` + price + `,"currency":"EUR"}` }
	h.Append(events.CategoryProduct, "peas", events.ProductListed{Name: "Peas", Price: events.MustMoney("2.00", "EUR")})
	for body, want := range map[string]string{
		list(`"24.901"`):               "422 price_invalid",
		list(`"24.900"`):               "422 price_invalid",
		list(`"92233720368547758.08"`): "422 price_invalid",
		list(`"1e3"`):                  "422 price_invalid",
		list(`""`):                     "422 price_invalid",
		list(`"-24.90"`):               "422 price_not_positive",
		list(`"0.00"`):                 "422 price_not_positive",
		list(`24.90`):                  "400 bad_request",
		`{"name":"Beans","price":"24.90","currency":"DEM"}`: "422 price_invalid",
	} {
		h.refused("cmd.product.beans.list", body, want)
	}
	h.refused("cmd.product.peas.reprice", `{"price":"3.00","currency":"USD"}`, "422 currency_mismatch")
	h.refused("cmd.product.peas.reprice", `{"price":"3.001","currency":"EUR"}`, "422 price_invalid")
	if n := len(h.History(events.CategoryProduct, "beans")) + len(h.History(events.CategoryProduct, "peas")); n != 1 {
		t.Fatalf("%d events instead of the one before", n)
	}
}

// refused sends a command and expects a problem: its status and code.
func (h *house) refused(subject, body, want string) {
	h.T.Helper()
	answer, err := h.NC.Request(subject, []byte(body), servicetest.Patience)
	h.Check(err)
	var p service.Problem
	h.Check(json.Unmarshal(answer.Data, &p))
	if got := fmt.Sprint(p.Status, " ", p.Code); got != want {
		h.T.Errorf("%s %s is answered %s, want %s", subject, body, answer.Data, want)
	}
}

// What waits together is stored together as far as an append takes it: requests that
// name an order alone, such as those to commit, touch more than that.
func TestRequestsOfManySKUsAreAnsweredHoweverManyWait(t *testing.T) {
	h := newHouse(t)
	const orders, lines = 6, 200 // 1206 aggregates; an append takes 1000
	sku := func(order, line int) string { return fmt.Sprintf("s-%d-%d", order, line) }
	for order := range orders {
		var all []events.StockLine
		for line := range lines {
			h.receive(sku(order, line), 1)
			all = append(all, events.StockLine{SKU: sku(order, line), Quantity: 1})
		}
		h.reserve(fmt.Sprint("o-", order), 1, all...)
	}
	stop := h.run()
	h.answers(orders)
	stop()
	for order := range orders {
		id := fmt.Sprint("o-", order)
		h.request(id, events.StockCommitRequested{Request: ask(id, 2), ReservationID: id})
	}
	env := h.Env("inventory")
	h.Run(inventory.New(env, inventory.Config{}).Run)
	for _, answers := range h.answers(2 * orders) {
		servicetest.As[events.ReservationCommitted](t, answers[1])
	}
	for order := range orders {
		for line := range lines {
			if s := h.level(sku(order, line)); s.OnHand != 0 || s.Reserved != 0 {
				t.Fatalf("%s: %+v", sku(order, line), s)
			}
		}
	}
	if n := failures(t, env); n > 0 {
		t.Errorf("%v requests were not answered at once", n)
	}
}

// failures are the deliveries that an instance could not handle.
func failures(t *testing.T, env *service.Env) (n float64) {
	t.Helper()
	families, err := env.Metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "esjs_deliveries_total" {
			continue
		}
		for _, one := range f.GetMetric() {
			for _, label := range one.GetLabel() {
				if label.GetName() == "outcome" && label.GetValue() != "ok" {
					n += one.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}
