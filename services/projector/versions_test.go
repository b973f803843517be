package projector_test

import (
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector"
	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// command sends a command to the projector, and returns the version that it
// answers with, or the problem.
func (r *rig) command(t *testing.T, key, verb, body string) (status queries.ProjectionStatus, problem *service.Problem) {
	t.Helper()
	return r.commandAs(t, "", key, verb, body)
}

// commandAs is [rig.command] with a command's id.
func (r *rig) commandAs(t *testing.T, id, key, verb, body string) (status queries.ProjectionStatus, problem *service.Problem) {
	t.Helper()
	msg := &nats.Msg{Subject: "cmd.projection." + key + "." + verb, Data: []byte(body), Header: nats.Header{}}
	if id != "" {
		msg.Header.Set(service.HeaderCommandID, id)
	}
	reply, err := r.NC.RequestMsg(msg, servicetest.Patience)
	r.Check(err)
	if reply.Header.Get("Nats-Service-Error") != "" {
		problem = &service.Problem{}
		if err := json.Unmarshal(reply.Data, problem); err != nil {
			t.Fatal(err)
		}
		return status, problem
	}
	var answer struct {
		State queries.ProjectionStatus `json:"state"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		t.Fatalf("%s: %v", reply.Data, err)
	}
	return answer.State, nil
}

// must is a command that succeeds. On a machine that is busy its answer may come too late: then it is sent
// again, and is the same one by its id.
func (r *rig) must(t *testing.T, key, verb, body string) (status queries.ProjectionStatus) {
	t.Helper()
	var problem *service.Problem
	id := nuid.Next()
	r.Until(verb+" "+key+" is answered", func() bool {
		status, problem = r.commandAs(t, id, key, verb, body)
		return problem == nil || problem.Code != "timeout"
	})
	if problem != nil {
		t.Fatalf("%s %s: %v", verb, key, problem)
	}
	return status
}

// version waits until a version is in a state, "" for gone.
func (r *rig) version(t *testing.T, name string, state queries.ProjectionState) (found queries.ProjectionStatus) {
	t.Helper()
	r.Until(fmt.Sprintf("%s is %s", name, state), func() bool {
		var all queries.ProjectionStatuses
		r.ask(t, "query.projections.list", ``, &all)
		found = queries.ProjectionStatus{}
		for _, p := range all.Projections {
			if p.Name == name {
				found = p
			}
		}
		return found.State == state
	})
	return found
}

func TestAViewIsRebuiltBesideTheLiveOne(t *testing.T) {
	r := newRig(t)
	stop := r.run(t)
	var last esjs.Revision
	for i := range 40 {
		last = r.append(t, "order", fmt.Sprint("o-", i), esjs.Metadata{}, events.OrderCreated{OrderID: fmt.Sprint("o-", i), CustomerID: "c-1", Currency: "EUR"})
	}
	ask := func() string {
		return string(r.ask(t, "query.orders.list", fmt.Sprintf(`{"limit":200,"min_revision":%q}`, last), nil))
	}
	before := ask()

	// Queries are asked all the time, and never fail.
	asking, done := make(chan struct{}), sync.WaitGroup{}
	done.Go(func() {
		for {
			select {
			case <-asking:
				return
			default:
			}
			if got := ask(); got != before {
				t.Errorf("while it is rebuilt:\n%s\nbefore:\n%s", got, before)
				return
			}
		}
	})
	begun := r.must(t, "orders", "rebuild", `{}`)
	if begun.Name != "orders_v2" || begun.View != "orders" || begun.ByHand {
		t.Errorf("begun is %+v", begun)
	}
	r.version(t, "orders_v2", queries.ProjectionLive)
	r.version(t, "orders_v1", queries.ProjectionStandby)
	r.must(t, "orders_v1", "drop", ``)
	r.version(t, "orders_v1", "")
	close(asking)
	done.Wait()
	if after := ask(); after != before {
		t.Errorf("after the rebuild:\n%s\nbefore:\n%s", after, before)
	}

	// What is on record is so after a restart.
	stop()
	r.run(t)
	r.version(t, "orders_v2", queries.ProjectionLive)
	last = r.append(t, "order", "o-new", esjs.Metadata{}, events.OrderCreated{OrderID: "o-new"})
	r.ask(t, "query.orders.get", fmt.Sprintf(`{"order_id":"o-new","min_revision":%q}`, last), nil)
}

// A version that nobody has begun yet has not caught up, however little there was when the
// program started.
func TestAVersionThatIsNotBegunHasNotCaughtUp(t *testing.T) {
	r := newRig(t)
	r.run(t)
	last := r.append(t, "order", "o-1", esjs.Metadata{}, events.OrderCreated{OrderID: "o-1", CustomerID: "c-1", Currency: "EUR"})
	r.ask(t, "query.orders.get", fmt.Sprintf(`{"order_id":"o-1","min_revision":%q}`, last), nil)
	_, err := look(t, r.config).ExecContext(t.Context(), `
		INSERT INTO projector_versions (name, view, version, form, by_hand, paused, tables, created_at)
		SELECT 'orders_v2', view, 2, form, 1, 1, 'orders_v2', created_at FROM projector_versions WHERE name = 'orders_v1'`)
	r.Check(err)
	if v := r.version(t, "orders_v2", queries.ProjectionPaused); v.CaughtUp || v.Progress != 0 {
		t.Errorf("it is %+v", v)
	}
}

func TestAVersionIsPromotedByHandAndGoneBackFrom(t *testing.T) {
	r := newRig(t)
	env := r.Env("projector")
	r.Run(projector.New(env, r.config).Run)
	r.Ready(env)
	noted := func(version string) bool { // as what runs
		families, err := env.Metrics.Registry.Gather()
		r.Check(err)
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == "esjs_subscription_parked_keys" && m.GetLabel()[1].GetValue() == version {
					return true
				}
			}
		}
		return false
	}
	r.complete(t, "o-1")
	r.must(t, "stock", "rebuild", `{"by_hand":true}`)
	if waits := r.version(t, "stock_v2", queries.ProjectionStandby); !waits.ByHand || !waits.CaughtUp {
		t.Errorf("the new version is %+v", waits)
	}
	r.version(t, "stock_v1", queries.ProjectionLive)
	if _, problem := r.command(t, "stock", "rebuild", `{}`); problem == nil || problem.Code != "already_building" {
		t.Errorf("a second rebuild is answered %v", problem)
	}
	if !noted("stock_v2") {
		t.Error("the metrics tell nothing of the new version")
	}
	if paused := r.must(t, "stock_v2", "pause", ``); paused.State != queries.ProjectionPaused || noted("stock_v2") {
		t.Errorf("paused is %+v, and noted as if it ran: %t", paused, noted("stock_v2"))
	}
	if _, problem := r.command(t, "stock_v2", "promote", ``); problem == nil || problem.Code != "paused" {
		t.Errorf("the promotion of a paused version is answered %v", problem)
	}
	r.must(t, "stock_v2", "resume", ``)
	r.version(t, "stock_v2", queries.ProjectionStandby)
	if live := r.must(t, "stock_v2", "promote", `{}`); live.State != queries.ProjectionLive {
		t.Errorf("promoted is %+v", live)
	}
	if back := r.must(t, "stock_v1", "promote", `{}`); back.State != queries.ProjectionLive {
		t.Errorf("gone back is %+v", back)
	}
	for _, verb := range []string{"drop", "pause"} {
		if _, problem := r.command(t, "stock_v1", verb, ``); problem == nil || problem.Code != "live" || problem.Status != 409 {
			t.Errorf("%s of the live version is answered %v", verb, problem)
		}
	}
	if r.must(t, "stock_v2", "drop", ``); noted("stock_v2") {
		t.Error("a version that is dropped is noted as if it ran")
	}
	var s queries.Stock
	last := r.append(t, "stock", "beans-1kg", esjs.Metadata{}, events.StockReceived{Quantity: 1, OnHandAfter: 41})
	r.ask(t, "query.stock.get", fmt.Sprintf(`{"sku":"beans-1kg","min_revision":%q}`, last), &s)
	if s.OnHand != 41 {
		t.Errorf("the stock is %+v", s)
	}
	if again := r.must(t, "stock", "rebuild", ``); again.Name != "stock_v2" {
		t.Errorf("the version after one that was dropped is %+v", again)
	}
	r.version(t, "stock_v2", queries.ProjectionLive)
}

// However often a view is rebuilt, one version is there to go back to; those before it
// go with their tables.
func TestOfEarlierVersionsThePreviousOneIsKept(t *testing.T) {
	r := newRig(t)
	r.append(t, "order", "o-1", esjs.Metadata{}, events.OrderCreated{OrderID: "o-1", CustomerID: "c-1", Currency: "EUR"})
	stop := r.run(t)
	name := func(n int) string { return fmt.Sprint("orders_v", n) }
	const last = 4
	for n := 2; n <= last; n++ {
		r.must(t, "orders", "rebuild", ``)
		if live := r.version(t, name(n), queries.ProjectionLive); live.Previous {
			t.Errorf("the live version is shown as one of before: %+v", live)
		}
	}
	db := look(t, r.config)
	wantKept := func() {
		t.Helper()
		for n := 1; n < last-1; n++ {
			r.version(t, name(n), "")
			if _, err := db.ExecContext(t.Context(), `SELECT 1 FROM `+name(n)); err == nil {
				t.Errorf("the table %s is still there", name(n))
			}
		}
		if kept := r.version(t, name(last-1), queries.ProjectionStandby); !kept.Previous {
			t.Errorf("the one before is shown as %+v", kept)
		}
	}
	wantKept()
	stop()
	r.run(t)
	wantKept()
	// Going back and forth loses neither.
	r.must(t, name(last-1), "promote", ``)
	if later := r.version(t, name(last), queries.ProjectionStandby); later.Previous {
		t.Errorf("the later one is shown as %+v", later)
	}
	r.must(t, name(last), "promote", ``)
	wantKept()
}

// A command that comes again is answered as the first time and changes nothing, also
// when it would have an effect again, and after a restart.
func TestACommandThatComesAgainHasOneEffect(t *testing.T) {
	r := newRig(t)
	stop := r.run(t)
	again := func(id, key, verb, body string, state queries.ProjectionState) {
		t.Helper()
		for range 2 {
			if status, problem := r.commandAs(t, id, key, verb, body); problem != nil || status.State != state {
				t.Errorf("%s %s is answered %v, %+v, want %s", verb, key, problem, status, state)
			}
		}
	}
	begun, problem := r.commandAs(t, "c-rebuild", "stock", "rebuild", `{"by_hand":true}`)
	if problem != nil || begun.Name != "stock_v2" {
		t.Fatalf("begun is %+v, %v", begun, problem)
	}
	r.version(t, "stock_v2", queries.ProjectionStandby)
	again("c-promote", "stock_v2", "promote", ``, queries.ProjectionLive)
	r.must(t, "stock_v1", "promote", ``) // somebody goes back
	again("c-promote", "stock_v2", "promote", ``, queries.ProjectionLive)
	r.version(t, "stock_v1", queries.ProjectionLive)
	again("c-drop", "stock_v2", "drop", ``, "")
	stop()
	r.run(t)
	r.version(t, "stock_v1", queries.ProjectionLive)
	if status, problem := r.commandAs(t, "c-rebuild", "stock", "rebuild", `{"by_hand":true}`); problem != nil || status.Name != "stock_v2" {
		t.Errorf("the rebuild that comes again is answered %v, %+v", problem, status)
	}
	r.version(t, "stock_v2", "") // and is not begun again
	if _, problem := r.commandAs(t, "c-rebuild", "stock", "rebuild", `{}`); problem == nil || problem.Code != "command_id_reused" {
		t.Errorf("another command with its id is answered %v", problem)
	}
	// What was refused is not kept: it may be possible later.
	if _, problem := r.commandAs(t, "c-early", "stock_v2", "promote", ``); problem == nil || problem.Code != "projection_not_found" {
		t.Errorf("promoting what is not there is answered %v", problem)
	}
	r.must(t, "stock", "rebuild", `{"by_hand":true}`)
	r.version(t, "stock_v2", queries.ProjectionStandby)
	again("c-early", "stock_v2", "promote", ``, queries.ProjectionLive)
}

func TestAParkedKeyIsSeenAndReleased(t *testing.T) {
	r := newRig(t)
	r.run(t)
	// The order of a customer who never opened it cannot be counted.
	last := r.append(t, "order", "o-1", esjs.Metadata{}, events.OrderCompleted{})
	good := r.append(t, "order", "o-2", esjs.Metadata{}, events.OrderCreated{OrderID: "o-2", CustomerID: "c-2"})
	r.ask(t, "query.customers.get", fmt.Sprintf(`{"customer_id":"c-2","min_revision":%q}`, good), nil) // others go on
	var parked queries.ProjectionStatus
	r.Until("the key is parked", func() bool {
		parked = r.version(t, "customers_v1", queries.ProjectionLive)
		return len(parked.Parked) == 1
	})
	if k := parked.Parked[0]; k.Key != "order/o-1" || k.Count != 1 || !strings.Contains(k.Reason, "OrderCompleted") || k.Since.IsZero() {
		t.Errorf("parked is %+v; it was stored as %s", k, last)
	}
	for body, want := range map[string]string{
		`{"key":"order/o-1"}`: "still_failing", `{"key":"order/o-2"}`: "not_parked", `{}`: "field_required", `{"kei":"x"}`: "bad_request",
	} {
		if _, problem := r.command(t, "customers_v1", "release", body); problem == nil || problem.Code != want {
			t.Errorf("release %s is answered %v, want %s", body, problem, want)
		}
	}
}

func TestCommandsToWhatIsNotThereAreRefusedInWords(t *testing.T) {
	r := newRig(t)
	r.run(t)
	for _, test := range []struct{ key, verb, body, code, says string }{
		{"orders_v9", "drop", ``, "projection_not_found", "orders_v1"},
		{"orders", "promote", ``, "projection_not_found", "orders_v1"},
		{"jars", "rebuild", ``, "view_not_found", "timeline"},
		{"orders", "rebuild", `{"byhand":true}`, "bad_request", `"by_hand"`},
		{"orders_v1", "paint", ``, "unknown_verb", "rebuild"},
		{"orders_v1", "release", `{"key":7}`, "bad_request", "a string"},
	} {
		if _, problem := r.command(t, test.key, test.verb, test.body); problem == nil || problem.Code != test.code || !strings.Contains(problem.Detail, test.says) {
			t.Errorf("%s %s is answered %v, want %s with %s", test.verb, test.key, problem, test.code, test.says)
		}
	}
}

var pairs = flag.Int("pairs", 200, "how many pairs of a write and a query TestReadYourWrites makes")

func TestReadYourWrites(t *testing.T) {
	r := newRig(t)
	r.run(t)
	const (
		writers   = 8
		mostTries = 10
	)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			id := esjs.StreamID{Category: "order", Key: fmt.Sprint("o-", w)}
			head := esjs.Revision{}
			for n := range *pairs / writers {
				event := esjs.Event(events.OrderConfirmed{RequestID: fmt.Sprint(n)})
				if n == 0 {
					event = events.OrderCreated{OrderID: id.Key, CustomerID: "c-1"}
				}
				stored, err := r.Store.AppendWrite(t.Context(), esjs.Write{Stream: id, Expect: esjs.AtRevision(head), Events: []esjs.Event{event}})
				if err != nil {
					t.Error(err)
					return
				}
				head = stored.Revision
				var o queries.Order
				var p service.Problem
				for tries := 1; ; tries++ { // "not yet" says so, and is asked again
					reply, err := r.NC.Request("query.orders.get", fmt.Appendf(nil, `{"order_id":%q,"min_revision":%q}`, id.Key, head), servicetest.Patience)
					if err != nil {
						t.Error(err)
						return
					}
					if reply.Header.Get("Nats-Service-Error") == "" {
						err = json.Unmarshal(reply.Data, &o)
					} else if err = json.Unmarshal(reply.Data, &p); p.Code == "not_yet" && tries < mostTries {
						continue
					}
					if err != nil || o.Version != uint64(n+1) {
						t.Errorf("after %d events the order is %+v, %v %v", n+1, o, p, err)
						return
					}
					break
				}
			}
		})
	}
	all.Wait()
}
