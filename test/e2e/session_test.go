package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/test/program"
)

// The session that README begins with, sent by the real nats CLI.
func TestSessionWithTheNATSCLI(t *testing.T) {
	if r := (&system{home: t.TempDir()}).tool(t, "nats", "--version"); strings.TrimSpace(r.stdout+r.stderr) != "v0.5.1" {
		t.Errorf("the nats CLI is %s%s, want v0.5.1", r.stdout, r.stderr)
	}
	s := up(t, "--ephemeral", "--log-level", "warn")
	for i, step := range [][2]string{
		{"cmd.product.beans-1kg.list", `{"name":"Espresso beans 1 kg","price":"24.90","currency":"EUR"}`},
		{"cmd.stock.beans-1kg.receive", `{"quantity":40,"reference":"PO-1"}`},
		{"cmd.order.o-1.create", `{"customer_id":"c-1","currency":"EUR"}`},
		{"cmd.order.o-1.add-item", `{"sku":"beans-1kg","quantity":2}`},
		{"cmd.order.o-1.set-shipping", `{"address_ref":"addr-1","country":"DE"}`},
		{"cmd.order.o-1.set-payment-method", `{"method_ref":"card-ok"}`},
		{"cmd.order.o-1.submit", `{}`},
	} {
		answer, code := s.cli(t, step[0], step[1])
		var reply struct {
			Version  uint64          `json:"version"`
			Revision string          `json:"revision"`
			EventIDs []string        `json:"event_ids"`
			State    json.RawMessage `json:"state"`
		}
		if err := json.Unmarshal([]byte(answer), &reply); err != nil || code != "" {
			t.Fatalf("%s: %s %v", step[0], answer, err)
		}
		if want := max(uint64(i)-1, 1); i >= 2 && reply.Version != want || reply.Revision == "" || len(reply.EventIDs) == 0 || len(reply.State) < 2 {
			t.Errorf("%s answered %s", step[0], answer)
		}
	}
	o := await(t, func() order { return s.shown(t, "o-1") }, "Completed")
	if o.Captured != (money{"49.80", "EUR"}) {
		t.Errorf("captured %v, want 49.80 EUR", o.Captured)
	}
	for _, look := range []struct {
		command string
		shows   []string
	}{
		{"sub --stream EVENTS --all --terminate-at-end --raw ev.order.o-1", []string{`"type":"OrderCreated"`, `"type":"ItemAdded"`, `"type":"OrderSubmitted"`, `"type":"OrderPaid"`, `"type":"OrderCompleted"`}},
		{"stream info EVENTS", []string{"ev.>", "Atomic"}},
		{"stream subjects EVENTS", []string{"ev.order.o-1", "ev.stock.beans-1kg"}},
		{"stream get EVENTS --last-for ev.order.o-1", []string{`"type":"OrderCompleted"`}},
		{"micro ls", []string{"order", "product", "stock", "projector"}},
		{"micro info projector", []string{"query.orders.get", "query.orders.timeline"}},
		{"micro stats order", []string{"commands"}},
		{"kv ls", []string{"SNAPSHOTS_order", "SUBSCRIPTIONS_saga"}},
		{"kv ls SUBSCRIPTIONS_saga", []string{"sub.fulfilment"}},
	} {
		r := s.tool(t, "nats", strings.Fields(look.command)...)
		for _, want := range look.shows {
			if r.status != 0 || !strings.Contains(r.stdout, want) {
				t.Errorf("nats %s does not show %s: %d\n%s%s", look.command, want, r.status, r.stdout, r.stderr)
			}
		}
	}
	seen := begin(t, s.home, "nats", "--no-context", "--server", s.nats, "sub", "ev.order.>", "--raw")
	orders := 1
	program.Until(t, patience, "an event is seen when it is published", func() bool { // once the subscription is there
		orders++
		s.must(t, fmt.Sprintf("cmd.order.o-%d.create", orders), `{"customer_id":"c-1","currency":"EUR"}`)
		select {
		case line := <-seen.lines:
			return strings.Contains(line, `"type":"OrderCreated"`)
		default:
			return false
		}
	})
	s.interrupt(t)
	if log := s.stderr.String(); log != "" {
		t.Errorf("nothing was wrong, and yet it was said:\n%s", log)
	}
}

// Ids that a subject cannot carry as they are, through the command line and the
// gateway; both see the same order.
func TestEveryIDWorksInTheShellAndOverHTTP(t *testing.T) {
	s := up(t, "--ephemeral")
	shell := func(args ...string) string {
		t.Helper()
		r := s.tool(t, "orderflow", args...)
		if r.status != 0 || r.stderr != "" {
			t.Fatalf("orderflow %q: %d %s", args, r.status, r.stderr)
		}
		return r.stdout
	}
	const sku = "Kaffee 1,0 kg / crème"
	shell("product", "list", sku, "--name", "Kaffee", "--price", "10.00", "--currency", "EUR")
	shell("stock", "receive", sku, "--quantity", "100", "--reference", "PO-1")
	for _, id := range []string{"order no. 1", "Größe/ß 100%", "注文-1", "*", ">", strings.Repeat("ä", 100)} {
		shell("order", "create", id, "--customer", "c-1", "--currency", "EUR")
		shell("order", "add-item", id, "--sku", sku, "--quantity", "2")
		path := "/v1/orders/" + url.PathEscape(id)
		for verb, body := range map[string]string{
			"set-shipping":       `{"address_ref":"addr-1","country":"DE"}`,
			"set-payment-method": `{"method_ref":"card-ok"}`,
		} {
			var p problem
			if status := s.web(t, "POST", path+"/"+verb, body, &p); status != 200 {
				t.Fatalf("%s of %q: %d %+v", verb, id, status, p)
			}
		}
		shell("order", "submit", id, "--expected-version", "4")
		o := await(t, func() (o order) {
			s.web(t, "GET", path, "", &o)
			return o
		}, "Completed")
		if o.OrderID != id || o.Captured != (money{"20.00", "EUR"}) {
			t.Errorf("%q is shown as %+v", id, o)
		}
		var same order
		if err := json.Unmarshal([]byte(shell("order", "show", id, "--json")), &same); err != nil || same != o {
			t.Errorf("the shell shows %q as %+v (%v), the gateway as %+v", id, same, err, o)
		}
		history := shell("events", "history", "order", id)
		for _, event := range []string{"OrderCreated", "ItemAdded", "OrderSubmitted", "OrderCompleted"} {
			if !strings.Contains(history, event) {
				t.Errorf("the history of %q lacks %s:\n%s", id, event, history)
			}
		}
	}
	// What NATS cannot carry is refused in a sentence, and nothing is sent.
	long := strings.Repeat("x", 256)
	r := s.tool(t, "orderflow", "order", "create", long, "--customer", "c-1", "--currency", "EUR")
	if r.status != 3 || !strings.Contains(r.stderr, "1 to 255 bytes of UTF-8 are allowed") || strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("the shell says %d %s", r.status, r.stderr)
	}
	var p problem
	if status := s.web(t, "POST", "/v1/orders/"+long+"/create", `{}`, &p); status != 400 || p.Code != "bad_key" || !strings.Contains(p.Detail, "1 to 255 bytes of UTF-8 are allowed") {
		t.Errorf("the gateway says %d %+v", status, p)
	}
	s.interrupt(t)
}

func lastSequence(t *testing.T, s *system) uint64 {
	t.Helper()
	r := s.tool(t, "nats", "stream", "info", "EVENTS", "--json")
	var info struct {
		State struct {
			LastSequence uint64 `json:"last_seq"`
		} `json:"state"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &info); err != nil || r.status != 0 {
		t.Fatalf("nats stream info: %s %v", fmt.Sprint(r), err)
	}
	return info.State.LastSequence
}
