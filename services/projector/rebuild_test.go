package projector_test

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector"
	"github.com/go-json-experiment/json"
)

var rebuildEvents = flag.Int("rebuild-events", 5_000, "how many events TestARebuildOfManyEvents has a view rebuilt from")

// A view is rebuilt from many events beside the live one: queries never fail and say the
// same before, meanwhile and after, what happens meanwhile is in both, and the list of
// projections tells how far it is. docs/benchmarks.md has the figures of a million.
func TestARebuildOfManyEvents(t *testing.T) {
	r := &rig{
		House:  servicetest.On(esjstest.Server(t, esjstest.MaxBytes(4<<30)), t, events.Types, projector.BucketSubscriptions),
		config: newDatabase(t), heads: make(map[esjs.StreamID]esjs.Revision),
	}
	// Thirty events a second are what a machine makes that has forty other processes to run.
	patience := 3*time.Minute + time.Duration(*rebuildEvents)*100*time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	begun := time.Now()
	orders := r.fill(t, *rebuildEvents)
	t.Logf("%d events of %d orders are stored after %v", orders*len(lifeOfAnOrder), orders, time.Since(begun).Round(time.Millisecond))

	begun = time.Now()
	env := r.Env("projector")
	r.Run(projector.NewOnly(env, r.config, "orders").Run)
	r.Check(env.Health.Wait(ctx))
	pace := func(since time.Time) string {
		took := time.Since(since)
		return fmt.Sprintf("%v, %.0f events a second", took.Round(time.Millisecond), float64(orders*len(lifeOfAnOrder))/took.Seconds())
	}
	t.Logf("the first version, with nothing beside it: %s", pace(begun))

	asked := questions(orders)
	answers := func() (all []string) {
		for _, q := range asked {
			all = append(all, string(r.ask(t, q.subject, q.body, nil)))
		}
		return all
	}
	before := answers()

	// Somebody asks all the time, and somebody goes on placing orders.
	asking, placing := make(chan struct{}), make(chan struct{})
	var took []time.Duration
	var others sync.WaitGroup
	others.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-asking:
				return
			default:
			}
			q := asked[i%len(asked)]
			sent := time.Now()
			reply := r.request(t, q.subject, q.body)
			took = append(took, time.Since(sent))
			if got := string(reply.Data); got != before[i%len(asked)] {
				t.Errorf("%s %s, while it is rebuilt:\n%.2000s\nbefore:\n%.2000s", q.subject, q.body, got, before[i%len(asked)])
				return
			}
		}
	})
	placed, last := 0, esjs.Revision{}
	place := func() {
		id := fmt.Sprint("live-", placed)
		last = r.append(t, events.CategoryOrder, id, esjs.Metadata{}, events.OrderCreated{OrderID: id, CustomerID: "meanwhile", Currency: "EUR"})
		placed++
		// Whoever placed it sees it, in the version that is live at the moment.
		r.ask(t, "query.orders.get", fmt.Sprintf(`{"order_id":%q,"min_revision":%q}`, id, last), nil)
	}
	place()
	others.Go(func() {
		for {
			select {
			case <-placing:
				return
			case <-time.After(20 * time.Millisecond): // an order is placed now and then
				place()
			}
		}
	})

	begun = time.Now()
	r.must(t, "orders", "rebuild", `{}`)
	seen := r.watch(t, ctx, "orders_v2")
	t.Logf("the version beside it: %s", pace(begun))
	compared := r.status(t, "orders_v2").Comparison
	if compared == nil || compared.With != "orders_v1" || compared.Rows == 0 || compared.Differing != 0 {
		t.Errorf("it took over after the comparison %+v", compared)
	} else {
		t.Logf("%d rows were compared with those of %s, and %d changed meanwhile", compared.Rows, compared.With, compared.Changing)
	}
	close(placing)
	checkProgress(t, seen)

	// The old version follows the new one.
	for _, name := range []string{"orders_v1", "orders_v2"} {
		r.Until(name+" has everything", func() bool {
			status := r.status(t, name)
			return status.Lag == 0 && status.Progress == 1 && status.CaughtUp
		})
	}
	if live, old := r.status(t, "orders_v2"), r.status(t, "orders_v1"); live.State != queries.ProjectionLive || old.State != queries.ProjectionStandby {
		t.Errorf("in the end they are %+v and %+v", live, old)
	}
	close(asking)
	others.Wait()
	if after := answers(); !slices.Equal(after, before) {
		t.Errorf("after the rebuild:\n%.5000s\nbefore:\n%.5000s", after, before)
	}
	r.wantSameRows(t, orders+placed)
	slices.Sort(took)
	t.Logf("%d queries meanwhile, p50 %v, p99 %v, at most %v; %d orders placed", len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1], placed)
}

// lifeOfAnOrder is what is stored of each, in commits of one event but for the first.
var lifeOfAnOrder = []esjs.Event{
	events.OrderCreated{CustomerID: "c-1", Currency: "EUR"},
	events.ItemAdded{LineID: "l1", SKU: "beans", Name: "Espresso beans 1 kg", Quantity: 2, UnitPrice: euros("24.90")},
	events.ItemAdded{LineID: "l2", SKU: "cup", Name: "Cup", Quantity: 1, UnitPrice: euros("9.90")},
	events.ShippingAddressSet{AddressRef: "addr-1", Country: "DE"},
	events.PaymentMethodSet{MethodRef: "card-ok"},
	events.OrderReserved{ReservationID: "res-1"},
	events.OrderPaymentAuthorized{PaymentID: "p-1", Amount: euros("59.70")},
	events.OrderConfirmed{RequestID: "r3"},
	events.OrderPaid{PaymentID: "p-1", Captured: euros("59.70")},
	events.OrderCompleted{RequestID: "r9"},
}

const draft = 5 // events in the first commit

// fill stores about so many events, and returns of how many orders they are.
func (r *rig) fill(t *testing.T, n int) (orders int) {
	t.Helper()
	orders = n / len(lifeOfAnOrder)
	const writers = 16
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := w; i < orders; i += writers {
				id := esjs.StreamID{Category: events.CategoryOrder, Key: fmt.Sprint("o-", i)}
				created := lifeOfAnOrder[0].(events.OrderCreated)
				created.OrderID = id.Key
				commits := [][]esjs.Event{append([]esjs.Event{created}, lifeOfAnOrder[1:draft]...)}
				for _, e := range lifeOfAnOrder[draft:] {
					commits = append(commits, []esjs.Event{e})
				}
				head := esjs.Revision{}
				for _, c := range commits {
					stored, err := r.Store.Append(t.Context(), id, esjs.AtRevision(head), c...)
					if err != nil {
						t.Error(err)
						return
					}
					head = stored.Revision
				}
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return orders
}

type question struct{ subject, body string }

// questions are those whose answers nothing changes that is placed meanwhile.
func questions(orders int) []question {
	list := []question{
		{"query.orders.list", `{"customer_id":"c-1","limit":50}`},
		{"query.orders.list", `{"state":"Completed","limit":50}`},
	}
	for i := range 10 {
		list = append(list, question{"query.orders.get", fmt.Sprintf(`{"order_id":"o-%d"}`, i*orders/10)})
	}
	return list
}

// status is what the list of projections shows of a version.
func (r *rig) status(t *testing.T, name string) queries.ProjectionStatus {
	t.Helper()
	var all queries.ProjectionStatuses
	r.Until("the projections are listed", func() bool { // on a machine that is very busy not at once
		reply := r.request(t, queries.ProjectionList.Subject, ``)
		return reply.Header.Get("Nats-Service-Error") != "timeout" && json.Unmarshal(reply.Data, &all) == nil
	})
	for _, p := range all.Projections {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("%s is not on the list", name)
	return queries.ProjectionStatus{}
}

// sight is a version as it was shown at a time.
type sight struct {
	queries.ProjectionStatus
	at time.Time
}

// watch looks at a version until it is live.
func (r *rig) watch(t *testing.T, ctx context.Context, name string) (seen []sight) {
	t.Helper()
	tenths := 0
	for {
		now := sight{r.status(t, name), time.Now()}
		seen = append(seen, now)
		if n := int(10 * now.Progress); n > tenths {
			tenths = n
			t.Logf("%s is at %.0f %%, %v after its beginning", name, 100*now.Progress, now.at.Sub(seen[0].at).Round(time.Second))
		}
		switch now.State {
		case queries.ProjectionLive:
			return seen
		case queries.ProjectionBuilding, queries.ProjectionStandby:
		default:
			t.Fatalf("%s is %+v", name, now)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%s is not live yet: %+v", name, now)
		}
	}
}

// checkProgress checks what was told of a version while it was built.
func checkProgress(t *testing.T, seen []sight) {
	t.Helper()
	between, estimates := 0, 0
	var before esjs.Position
	end := seen[len(seen)-1].at
	for i, s := range seen {
		position, err := esjs.ParsePosition(s.Position)
		if err != nil || position.Before(before) || s.Progress < 0 || s.Progress > 1 {
			t.Errorf("after %s it is shown at %s, %v: %.2f", before, s.Position, err, s.Progress)
		}
		before = position
		if s.Progress > 0 && s.Progress < 1 {
			between++
		}
		if s.RemainingSeconds > 0 {
			estimates++
			if i == len(seen)/2 {
				t.Logf("at %.0f %%, with %.0f events a second, %.1f s were left by the estimate; it were %.1f s",
					100*s.Progress, s.EventsPerSecond, s.RemainingSeconds, end.Sub(s.at).Seconds())
			}
		}
	}
	if between == 0 {
		t.Errorf("of %d times that it was looked at, it was never under way", len(seen))
	}
	// A pace is known after a second.
	if took := end.Sub(seen[0].at); took > 3*time.Second && estimates == 0 {
		t.Errorf("it took %v, and no estimate was shown", took)
	}
}

// wantSameRows compares the tables of both versions.
func (r *rig) wantSameRows(t *testing.T, orders int) {
	t.Helper()
	db := look(t, r.config)
	for query, want := range map[string]int{
		`SELECT count(*) FROM orders_v1`: orders,
		`SELECT count(*) FROM orders_v2`: orders,
		`SELECT count(*) FROM (SELECT * FROM orders_v1 EXCEPT SELECT * FROM orders_v2) AS lacking`: 0,
		`SELECT count(*) FROM (SELECT * FROM orders_v2 EXCEPT SELECT * FROM orders_v1) AS more`:    0,
	} {
		var n int
		if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil || n != want {
			t.Errorf("%s: %d, %v; want %d", strings.TrimSpace(query), n, err, want)
		}
	}
}
