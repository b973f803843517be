package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// queueOrder queues the commands of an order, each of them twice: the second time as
// somebody does who has not heard of the first.
func queueOrder(t *testing.T, js jetstream.JetStream, id string) {
	t.Helper()
	for i, step := range [][2]string{
		{"create", `{"customer_id":"c-1","currency":"EUR"}`},
		{"add-item", `{"sku":"beans-1kg","quantity":2}`},
		{"set-shipping", `{"address_ref":"addr-1","country":"DE"}`},
		{"set-payment-method", `{"method_ref":"card-ok"}`},
		{"submit", `{}`},
	} {
		for range 2 {
			msg := &nats.Msg{Subject: "cmdq.order." + id + "." + step[0], Header: nats.Header{}, Data: []byte(step[1])}
			msg.Header.Set("Command-Id", fmt.Sprintf("%s-%d", id, i))
			if _, err := js.PublishMsg(t.Context(), msg); err != nil {
				t.Fatalf("queue %s of %s: %v", step[0], id, err)
			}
		}
	}
}

// Commands that were queued when the program is killed, wherever they were, are
// carried out once, in their order, when it runs again.
func TestKilledWhileCommandsAreQueuedTheyHappenOnce(t *testing.T) {
	const orders, kills = 12, 2
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	s := up(t, "--data", dir)
	s.stocked(t, "beans-1kg", 100)
	for kill := range kills {
		nc := connect(t, s)
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		for i := range orders / kills {
			queueOrder(t, js, fmt.Sprintf("q-%d", kill*orders/kills+i))
		}
		<-time.After(time.Duration(random.Int64N(int64(50 * time.Millisecond)))) // the moment of the kill
		s.kill(t)
		nc.Close()
		s = up(t, "--data", dir)
	}
	for i := range orders {
		await(t, func() order { return s.shown(t, fmt.Sprintf("q-%d", i)) }, "Completed")
	}
	s.paidOnce(t, orders)
	if stock := s.stock(t, "beans-1kg"); stock != (level{OnHand: 100 - 2*orders, Available: 100 - 2*orders}) {
		t.Errorf("the stock is %+v after %d orders of 2 from 100", stock, orders)
	}
	s.queueUntil(t, 0) // what was queued a second time may come after the orders' end
	if r := s.tool(t, "orderflow", "queue", "list"); r.status != 0 || r.stdout != "no commands wait\nnone is parked\n" {
		t.Errorf("the queue is %+v", r)
	}
	s.interrupt(t)
}

// queueStatus is "orderflow queue list".
type queueStatus struct {
	Waiting map[string]int `json:"waiting"`
	Parked  []struct {
		Number  uint64 `json:"number"`
		Subject string `json:"subject"`
		Code    string `json:"code"`
		Detail  string `json:"detail"`
	} `json:"parked"`
}

// queueUntil reads the queue until nothing waits and so many commands are parked.
func (s *system) queueUntil(t *testing.T, parked int) (status queueStatus) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
		status = queueStatus{}
		r := s.tool(t, "orderflow", "queue", "list", "--json")
		if err := json.Unmarshal([]byte(r.stdout), &status); err != nil || r.status != 0 {
			t.Fatalf("queue list: %v in %+v", err, r)
		}
		if len(status.Waiting) == 0 && len(status.Parked) == parked {
			return status
		}
		if time.Now().After(deadline) {
			t.Fatalf("the queue is %+v, want %d parked", status, parked)
		}
	}
}

// An operator at the shell sees why a queued command was not carried out, and decides.
func TestTheShellDecidesAboutParkedCommands(t *testing.T) {
	s := up(t, "--ephemeral")
	must := func(says string, args ...string) {
		t.Helper()
		if r := s.tool(t, "orderflow", args...); r.status != 0 || !strings.Contains(r.stdout, says) {
			t.Fatalf("orderflow %q: %+v, want …%s…", args, r, says)
		}
	}
	must("order o-1: create is queued as number", "order", "create", "o-1", "--customer", "c-1", "--currency", "EUR", "--queued")
	must("is queued", "order", "add-item", "o-1", "--sku", "beans-1kg", "--quantity", "2", "--queued")
	must("is queued", "stock", "adjust", "beans-1kg", "--delta=-1", "--reason", "counted", "--queued")
	status := s.queueUntil(t, 2)
	item, stock := status.Parked[0], status.Parked[1]
	if item.Subject != "cmdq.order.o-1.add-item" || item.Code != "unknown_sku" || stock.Subject != "cmdq.stock.beans-1kg.adjust" || stock.Detail == "" {
		t.Fatalf("parked are %+v", status.Parked)
	}
	must(item.Detail, "queue", "list")

	s.stocked(t, "beans-1kg", 40)
	must("is queued again", "queue", "release", "order", strconv.FormatUint(item.Number, 10), "--reason", "it is listed now")
	must("is given up", "queue", "drop", "stock", strconv.FormatUint(stock.Number, 10), "--reason", "counted before it came")
	s.queueUntil(t, 0)
	await(t, func() order {
		o := s.shown(t, "o-1")
		o.State = fmt.Sprint(o.State, " ", o.Version)
		return o
	}, "Draft 2")

	for _, c := range []struct {
		line   string
		status int
		says   string
	}{
		{"queue release order 1", 2, "needs --reason"},
		{"queue release order 1 --reason x", 5, "no command is parked as order.1"},
		{"queue release order one --reason x", 3, "bad_key"},
		{"queue release shelf 1 --reason x", 6, "not_running"},
		{"queue drop order", 2, "needs CATEGORY and NUMBER"},
	} {
		if r := s.tool(t, "orderflow", strings.Fields(c.line)...); r.status != c.status || !strings.Contains(r.stderr, c.says) {
			t.Errorf("%s: %+v, want %d …%s…", c.line, r, c.status, c.says)
		}
	}
	if r := s.tool(t, "nats", "req", "cmdq.shelf.a.fill", `{}`); !strings.Contains(r.stderr, "No responders are available") {
		t.Errorf("a command that nobody will take: %+v", r)
	}
}
