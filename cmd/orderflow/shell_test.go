package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/services/projector/orders"
	"github.com/b144f99b/orderflow/services/projector/timeline"
	"github.com/nats-io/nats.go"
)

func TestDemoSucceeds(t *testing.T) {
	status, stdout, stderr := once(t, t.TempDir(), "up", "--demo", "--ephemeral", "--nats", "127.0.0.1:0", "--http", "127.0.0.1:0")
	if status != 0 {
		t.Fatalf("exit status %d\n%s\n%s", status, stdout, stderr)
	}
	for _, s := range scenarios() {
		if want := fmt.Sprintf("  ok      %-14s ended as it should: %s", s.name, s.ends); !strings.Contains(stdout, want) {
			t.Errorf("the output lacks %q:\n%s", want, stdout)
		}
	}
	// What is shown while it happens is what is stored, and not what was tried.
	const each = "   Created Submitted "
	shown := 0
	for line := range strings.Lines(stdout) {
		if !strings.HasPrefix(line, each) {
			continue
		}
		shown++
		names := strings.Fields(line)
		if slices.Sort(names); len(slices.Compact(slices.Clone(names))) != len(names) {
			t.Errorf("shown more than once: %s", line)
		}
	}
	if shown != len(scenarios()) {
		t.Errorf("%d orders were shown while they went on, want %d:\n%s", shown, len(scenarios()), stdout)
	}
}

func TestDemoFailsWhenAnOrderDoesNotEndAsItShould(t *testing.T) {
	s := scenario{name: "x", ends: orders.Completed, happens: []string{"PaymentCaptured"}, never: []string{"CompensationStarted"}}
	err := s.check(orders.Order{State: orders.Rejected}, timeline.Timeline{Entries: []timeline.Entry{{Type: "CompensationStarted"}}})
	if want := "it is Rejected and not Completed; PaymentCaptured did not happen; CompensationStarted happened"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	var out strings.Builder
	err = demo{out: &out}.report([]outcome{{scenario: s, err: err}})
	if exitStatus(err) != exitDemoFailed || !strings.Contains(out.String(), "FAILED  x") {
		t.Errorf("got %v and %q", err, out.String())
	}
}

// A session at the shell, from an empty shop to a completed order.
func TestShell(t *testing.T) {
	dir := t.TempDir()
	p := up(t, dir)
	t.Setenv("ORDERFLOW_NATS_URL", p.natsURL)
	const key = "o 1.ü" // what a subject cannot hold as it is
	for _, line := range [][]string{
		{"product", "list", "beans-1kg", "--name", "Espresso beans 1 kg", "--price", "24.90", "--currency", "EUR"},
		{"stock", "receive", "beans-1kg", "--quantity", "40", "--reference", "PO-1"},
		{"order", "create", key, "--customer", "c-1", "--currency", "EUR"},
		{"order", "add-item", key, "--sku", "beans-1kg", "--quantity", "2"},
		{"order", "set-shipping", key, "--address", "addr-1", "--country", "DE"},
		{"order", "set-payment-method", key, "--method", "card-ok"},
		{"order", "submit", key, "--expected-version", "4"},
	} {
		if status, stdout, stderr := once(t, dir, line...); status != 0 || stderr != "" || !strings.Contains(stdout, "is at version") {
			t.Fatalf("%q: %d %s %s", line, status, stdout, stderr)
		}
	}
	awaitState(t, p.client, key, orders.Completed)
	status, stdout, stderr := once(t, dir, "order", "show", key)
	if status != 0 || !strings.Contains(stdout, "of customer c-1: Completed") || !strings.Contains(stdout, "2 × Espresso beans 1 kg (beans-1kg) at 24.90 EUR") {
		t.Errorf("show: %d %s %s", status, stdout, stderr)
	}
	status, stdout, stderr = once(t, dir, "events", "history", "order", key)
	if status != 0 || !strings.HasPrefix(stdout, "1  ") || !strings.Contains(stdout, "OrderCompleted") {
		t.Errorf("history: %d %s %s", status, stdout, stderr)
	}
	status, stdout, stderr = once(t, dir, "order", "timeline", key, "--json")
	var told timeline.Timeline
	if err := json.Unmarshal([]byte(stdout), &told); err != nil || status != 0 || !happened(told, "PaymentCaptured") {
		t.Errorf("timeline: %d %v %s", status, err, stderr)
	}

	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"order", "create", "o-2"}, 2, "orderflow order create needs --customer"},
		{[]string{"order", "create"}, 2, "orderflow order create needs ORDER-ID, got 0 arguments"},
		{[]string{"order", "create", strings.Repeat("x", 256), "--customer", "c", "--currency", "EUR"}, 3, "256 bytes"},
		{[]string{"order", "ship", key}, 2, `orderflow order has no command "ship"; it has`},
		{[]string{"order", "add-item", key, "--sku", "beans-1kg", "--quantity", "two"}, 2, "--quantity"},
		{[]string{"order", "cancel", key}, 3, "too_late"},
		{[]string{"order", "set-shipping", key, "--address", "a", "--country", "DE", "--expected-version", "1"}, 4, "conflict"},
		{[]string{"order", "cancel", key, "--expected-version", "-1"}, 2, "--expected-version"},
		{[]string{"events", "history", "Order", key}, 2, `the category "Order" contains 'O'`},
		{[]string{"order", "show", "o-9"}, 3, "order_not_found"},
		{[]string{"events", "history", "order", "o-9"}, 5, "order/o-9 has no events"},
		{[]string{"order", "show", key, "--nats-url", "nats://127.0.0.1:1"}, exitNoServer, "no NATS server can be reached"},
	} {
		if status, _, stderr := once(t, dir, c.args...); status != c.status || !strings.Contains(stderr, c.says) {
			t.Errorf("%q: exit status %d and %q, want %d and …%s…", c.args, status, stderr, c.status, c.says)
		}
	}
	p.stop(t)
}

// An order is in flight when everything is killed; started again it completes,
// and the payment provider has captured once.
func TestKilledInFlightTheOrderCompletesOnce(t *testing.T) {
	dir := t.TempDir()
	p := up(t, dir)
	command := func(category, key, verb string, body map[string]any) {
		t.Helper()
		if _, err := p.client.command(t.Context(), esjs.StreamID{Category: category, Key: key}, verb, body, commandOptions{}); err != nil {
			t.Fatalf("%s %s: %v", verb, key, err)
		}
	}
	command("product", "beans", "list", map[string]any{"name": "Beans", "price": "24.90", "currency": "EUR"})
	command("stock", "beans", "receive", map[string]any{"quantity": 40, "reference": "PO-1"})
	moments := []string{"OrderSubmitted", "AuthorizationAttempted", "CaptureAttempted", "PaymentCaptured", "DispatchRequested"}
	for _, moment := range moments {
		key := "killed-at-" + moment
		create(t, p.client, key)
		command("order", key, "add-item", map[string]any{"sku": "beans", "quantity": 1})
		command("order", key, "set-shipping", map[string]any{"address_ref": "addr-1", "country": "DE"})
		command("order", key, "set-payment-method", map[string]any{"method_ref": "card-ok"})
		submit := func(ctx context.Context) error {
			_, err := p.client.command(ctx, orderID(key), "submit", map[string]any{}, commandOptions{id: "submit-" + key})
			return err
		}
		alive := p.killedBy(t, moment)
		_ = submit(alive) // the answer may be lost with the process
		<-alive.Done()
		if !errors.Is(context.Cause(alive), errKilled) {
			t.Fatalf("%s was not seen", moment)
		}
		p.wait(t)
		p = up(t, dir)
		if err := submit(t.Context()); err != nil { // the same command again
			t.Fatalf("submit %s again: %v", key, err)
		}
		awaitState(t, p.client, key, orders.Completed)
	}
	var ledger struct {
		Payments []struct {
			Reference string `json:"reference"`
			Captures  int    `json:"captures"`
		} `json:"payments"`
	}
	resp, err := http.Get("http://" + addressOf(t, dir, "partners") + pspPath + "/payments")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&ledger); err != nil {
		t.Fatal(err)
	}
	if len(ledger.Payments) != len(moments) {
		t.Errorf("the payment provider has %d payments, want %d", len(ledger.Payments), len(moments))
	}
	for _, payment := range ledger.Payments {
		if payment.Captures != 1 {
			t.Errorf("payment %s was captured %d times", payment.Reference, payment.Captures)
		}
	}
	p.stop(t)
}

var errKilled = errors.New("killed")

// killedBy kills the process with SIGKILL as soon as an event of the type is
// published, and then ends the context that it returns.
func (r *running) killedBy(t *testing.T, event string) context.Context {
	t.Helper()
	ctx, end := context.WithCancelCause(t.Context())
	time.AfterFunc(patience, func() { end(context.DeadlineExceeded) })
	_, err := r.client.nc.Subscribe("ev.>", func(m *nats.Msg) {
		var commit []struct {
			Type string `json:"type"`
		}
		if err := json.Unmarshal(m.Data, &commit); err != nil {
			t.Errorf("%s: %v in %s", m.Subject, err, m.Data)
		}
		for _, e := range commit {
			if e.Type == event && ctx.Err() == nil {
				_ = r.cmd.Process.Signal(syscall.SIGKILL)
				end(errKilled)
			}
		}
	})
	if err == nil {
		err = r.client.nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

func awaitState(t *testing.T, c client, key string, want orders.State) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		var o orders.Order
		err := c.query(t.Context(), "query.orders.get", map[string]any{"order_id": key}, &o)
		if err == nil && o.State == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("order %s is %s (%v), want %s", key, o.State, err, want)
		}
		<-time.After(20 * time.Millisecond)
	}
}
