package projector_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector"
	"github.com/b144f99b/orderflow/services/projector/view"
	"github.com/nats-io/nats.go"
)

// A query has opened a version that shows the caller's own write, and before it reads,
// another version takes over, which is behind, and the one that it opened is dropped. It
// waits for the same revision again, and is never answered from before it.
func TestAQueryWhoseVersionIsDroppedWaitsForItsRevisionAgain(t *testing.T) {
	r := newRig(t)
	first := r.append(t, "order", "o-1", esjs.Metadata{}, events.OrderCreated{OrderID: "o-1", CustomerID: "c-1", Currency: "EUR"})
	held := make(chan chan struct{}, 1)
	r.runOpening(t, func(open view.Open) view.Open {
		return func(ctx context.Context, after string) (view.Reader, error) {
			rows, err := open(ctx, after)
			select {
			case gate := <-held:
				gate <- struct{}{} // it is here
				<-gate             // and goes on
			default:
			}
			return rows, err
		}
	})
	r.ask(t, "query.orders.get", fmt.Sprintf(`{"order_id":"o-1","min_revision":%q}`, first), nil)
	for n := 1; ; n++ {
		live, next := fmt.Sprintf("orders_v%d", n), fmt.Sprintf("orders_v%d", n+1)
		r.must(t, "orders", "rebuild", `{"by_hand":true}`)
		r.version(t, next, queries.ProjectionStandby)
		r.must(t, next, "pause", ``)
		second := r.append(t, "order", "o-1", esjs.Metadata{}, events.ShippingAddressSet{AddressRef: "addr-1", Country: "DE"})
		mine := fmt.Sprintf(`{"order_id":"o-1","min_revision":%q}`, second)
		r.ask(t, "query.orders.get", mine, nil)

		gate := make(chan struct{})
		held <- gate
		answer := r.inBackground("query.orders.get", mine)
		<-gate
		r.switchTo(t, live, next)
		gate <- struct{}{}
		reply := <-answer
		late := reply != nil && reply.Header.Get("Nats-Service-Error") == "timeout" // it took longer to switch than a query may take
		if !late && (reply == nil || reply.Header.Get("Nats-Service-Error") != "not_yet" || !strings.Contains(string(reply.Data), next)) {
			t.Errorf("while %s is behind it is answered %+v", next, reply)
		}
		r.must(t, next, "resume", ``)
		var o queries.Order
		if r.ask(t, "query.orders.get", mine, &o); o.Version != uint64(n+1) {
			t.Errorf("the order is %+v, want its version %d", o, n+1)
		}
		if !late {
			return
		}
	}
}

// A query that waits for a revision goes on to wait in the version that is live then.
func TestAQueryThatWaitsFollowsTheLiveVersion(t *testing.T) {
	r := newRig(t)
	r.append(t, "order", "o-1", esjs.Metadata{}, events.OrderCreated{OrderID: "o-1", CustomerID: "c-1", Currency: "EUR"})
	waits := make(chan struct{}, 100)
	r.runOpening(t, func(open view.Open) view.Open {
		return func(ctx context.Context, after string) (view.Reader, error) {
			waits <- struct{}{}
			return open(ctx, after)
		}
	})
	for n := 1; ; n++ {
		old, next := fmt.Sprintf("orders_v%d", n), fmt.Sprintf("orders_v%d", n+1)
		r.must(t, "orders", "rebuild", `{"by_hand":true}`)
		r.version(t, next, queries.ProjectionStandby)
		answer := r.inBackground("query.orders.get", `{"order_id":"o-1","min_revision":"1-999999"}`)
		<-waits
		r.switchTo(t, old, next)
		select {
		case <-answer: // it took longer to switch than a query waits
			continue
		default:
		}
		if reply := <-answer; reply == nil || reply.Header.Get("Nats-Service-Error") != "not_yet" || !strings.Contains(string(reply.Data), next) {
			t.Errorf("after the switch to %s it is answered %+v", next, reply)
		}
		return
	}
}

// runOpening is run with questions that open their rows by what wrap makes of it.
func (r *rig) runOpening(t *testing.T, wrap func(view.Open) view.Open) {
	t.Helper()
	env := r.Env("projector")
	r.Run(projector.NewOpening(env, r.config, wrap).Run)
	r.Ready(env)
}

// inBackground asks; what comes is nil when nobody answers.
func (r *rig) inBackground(subject, body string) <-chan *nats.Msg {
	answer := make(chan *nats.Msg, 1)
	go func() {
		reply, _ := r.NC.Request(subject, []byte(body), servicetest.Patience)
		answer <- reply
	}()
	return answer
}

// switchTo makes a version live, wherever it is, and drops the one that was.
func (r *rig) switchTo(t *testing.T, old, next string) {
	t.Helper()
	r.Check(sqlsink.New(look(t, r.config)).Promote(t.Context(), old, next))
	r.must(t, old, "drop", ``)
}
