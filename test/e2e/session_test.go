package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// answer is what a command, a query or a problem answers, as far as it matters here.
type answer struct {
	Version  uint64   `json:"version"`
	Revision string   `json:"revision"`
	EventIDs []string `json:"event_ids"`
	Code     string   `json:"code"`
	Status   int      `json:"status"`
	Detail   string   `json:"detail"`
	State    any      `json:"state"` // an object in a reply, a name in the view
}

// req is "nats req subject body".
func (s *system) req(t *testing.T, subject, body string) answer {
	t.Helper()
	stdout, stderr, err := s.cli(t, "req", "--raw", subject, body)
	if err != nil {
		t.Fatalf("nats req %s: %v\n%s%s", subject, err, stdout, stderr)
	}
	var a answer
	if err := json.Unmarshal([]byte(stdout), &a); err != nil {
		t.Fatalf("nats req %s answers %q: %v", subject, stdout, err)
	}
	return a
}

// events counts what the store holds.
func (s *system) events(t *testing.T) (messages int) {
	t.Helper()
	stdout, stderr, err := s.cli(t, "stream", "info", "EVENTS", "--json")
	var info struct {
		State struct {
			Messages int `json:"messages"`
		} `json:"state"`
	}
	if err == nil {
		err = json.Unmarshal([]byte(stdout), &info)
	}
	if err != nil {
		t.Fatalf("nats stream info: %v\n%s%s", err, stdout, stderr)
	}
	return info.State.Messages
}

// placed sends the commands of README's session for one order.
func (s *system) placed(t *testing.T, order string) {
	t.Helper()
	for i, step := range []struct{ verb, body string }{
		{"create", `{"customer_id":"c-1","currency":"EUR"}`},
		{"add-item", `{"sku":"beans-1kg","quantity":2}`},
		{"set-shipping", `{"address_ref":"addr-1","country":"DE"}`},
		{"set-payment-method", `{"method_ref":"card-ok"}`},
		{"submit", `{}`},
	} {
		a := s.req(t, "cmd.order."+order+"."+step.verb, step.body)
		if a.Version != uint64(i+1) || len(a.EventIDs) != 1 || !strings.HasPrefix(a.Revision, fmt.Sprintf("%d-", i+1)) {
			t.Fatalf("%s answers %+v", step.verb, a)
		}
	}
}

func (s *system) completes(t *testing.T, order string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		a := s.req(t, "query.orders.get", fmt.Sprintf(`{"order_id":%q}`, order))
		if a.State == "Completed" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("order %s is %v, not Completed", order, a)
		}
	}
}

func (s *system) openShop(t *testing.T) {
	t.Helper()
	if a := s.req(t, "cmd.product.beans-1kg.list", `{"name":"Espresso beans 1 kg","price":"24.90","currency":"EUR"}`); a.Version != 1 {
		t.Fatalf("list: %+v", a)
	}
	if a := s.req(t, "cmd.stock.beans-1kg.receive", `{"quantity":40,"reference":"PO-1"}`); len(a.EventIDs) == 0 {
		t.Fatalf("receive: %+v", a)
	}
}

// The session of README, by the real CLI.
func TestSession(t *testing.T) {
	s := start(t, t.TempDir())
	s.openShop(t)
	s.placed(t, "o-1")
	s.completes(t, "o-1")
	// An id with a space, a dot and an umlaut, escaped by the one rule.
	s.placed(t, "o=202=2E=C3=BC")
	s.completes(t, "o 2.ü")

	history, stderr, err := s.cli(t, "sub", "--stream", "EVENTS", "--all", "--terminate-at-end", "--raw", "ev.order.o-1")
	if err != nil {
		t.Fatalf("history: %v\n%s", err, stderr)
	}
	for _, name := range []string{"OrderCreated", "ItemAdded", "OrderSubmitted", "OrderPaid", "OrderCompleted"} {
		if !strings.Contains(history, `"type":"`+name+`"`) {
			t.Errorf("the history by the CLI lacks %s:\n%s", name, history)
		}
	}
	for _, look := range []struct {
		args []string
		says []string
	}{
		{[]string{"micro", "ls"}, []string{"order", "product", "stock", "projector"}},
		{[]string{"micro", "info", "projector"}, []string{"query.orders.get", "query.orders.timeline"}},
		{[]string{"stream", "info", "EVENTS"}, []string{"ev.>", "Atomic"}},
		{[]string{"stream", "subjects", "EVENTS"}, []string{"ev.order.o-1", "ev.stock.beans-1kg"}},
		{[]string{"kv", "ls"}, []string{"SNAPSHOTS_order", "SUBSCRIPTIONS_saga"}},
	} {
		stdout, stderr, err := s.cli(t, look.args...)
		if err != nil {
			t.Errorf("nats %s: %v\n%s", strings.Join(look.args, " "), err, stderr)
		}
		for _, want := range look.says {
			if !strings.Contains(stdout, want) {
				t.Errorf("nats %s does not show %s:\n%s", strings.Join(look.args, " "), want, stdout)
			}
		}
	}
}

// What cannot be a command is refused in a sentence, stores nothing and does
// not disturb the next one.
func TestBadInput(t *testing.T) {
	s := start(t, t.TempDir())
	s.openShop(t)
	if a := s.req(t, "cmd.order.o-1.create", `{"customer_id":"c-1","currency":"EUR"}`); a.Version != 1 {
		t.Fatalf("create: %+v", a)
	}
	if a := s.req(t, "cmd.order.o-usd.create", `{"customer_id":"c-1","currency":"USD"}`); a.Version != 1 {
		t.Fatalf("create: %+v", a)
	}
	before := s.events(t)
	for _, c := range []struct {
		name, subject, body string
		code                string
		says                string
	}{
		{"broken JSON", "cmd.order.o-1.add-item", `{"sku":`, "bad_request", "not valid JSON"},
		{"unknown field", "cmd.order.o-1.add-item", `{"sku":"beans-1kg","quantity":1,"price":"0.01"}`, "bad_request", `the field "price" is not known; allowed are "sku", "quantity"`},
		{"wrong type", "cmd.order.o-1.add-item", `{"sku":"beans-1kg","quantity":"1"}`, "bad_request", `the field "quantity" must be a whole number`},
		{"negative quantity", "cmd.order.o-1.add-item", `{"sku":"beans-1kg","quantity":-1}`, "", "9999"},
		{"unknown sku", "cmd.order.o-1.add-item", `{"sku":"nope","quantity":1}`, "unknown_sku", `"nope"`},
		{"another currency", "cmd.order.o-usd.add-item", `{"sku":"beans-1kg","quantity":1}`, "", "EUR"},
		{"unknown currency", "cmd.order.o-2.create", `{"customer_id":"c-1","currency":"XXY"}`, "", "XXY"},
		{"unknown verb", "cmd.order.o-1.ship", `{}`, "unknown_verb", "it has add-item"},
		{"star", "cmd.order.*.create", `{}`, "bad_subject", "without wildcards"},
		{"greater than", "cmd.order.>", `{}`, "bad_subject", "cmd.order.<key>.<verb>"},
		{"extra tokens", "cmd.order.o.1.create", `{}`, "bad_subject", "a dot inside a key is written =2E"},
		{"unescaped umlaut", "cmd.order.ü.create", `{}`, "bad_key", "=C3=BC"},
		{"body over the limit", "cmd.order.o-1.add-item", `{"sku":"` + strings.Repeat("x", 70_000) + `"}`, "body_too_large", "65536"},
		{"order that is not there", "query.orders.get", `{"order_id":"o-9"}`, "order_not_found", "o-9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.req(t, c.subject, c.body)
			if a.Code == "" || c.code != "" && a.Code != c.code || a.Status < 400 || a.Status >= 500 || !strings.Contains(a.Detail, c.says) {
				t.Errorf("answers %+v, want %s …%s…", a, c.code, c.says)
			}
		})
	}
	if after := s.events(t); after != before {
		t.Errorf("%d commits are stored, want %d as before", after, before)
	}
	if a := s.req(t, "cmd.order.o-1.add-item", `{"sku":"beans-1kg","quantity":1}`); a.Version != 2 {
		t.Errorf("the next good command answers %+v", a)
	}
	// The client refuses what a subject cannot hold.
	if _, stderr, err := s.cli(t, "req", "cmd.order.o 1.create", "{}"); err == nil || !strings.Contains(stderr, "subject") {
		t.Errorf("a subject with a space: %v %q", err, stderr)
	}
}
