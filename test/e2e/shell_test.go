package e2e

import (
	"bufio"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What the command line shows of the whole: orders, events as they come, how
// far every service is, and a refund of goods.
func TestTheShellShowsTheSystem(t *testing.T) {
	s := up(t, "--ephemeral")
	s.stocked(t, "beans-1kg", 40)
	tail := s.tail(t, "--category", "order")
	for _, line := range []string{
		"order create o-1 --customer c-1 --currency EUR",
		"order add-item o-1 --sku beans-1kg --quantity 2",
		"order set-shipping o-1 --address addr-1 --country DE",
		"order set-payment-method o-1 --method card-ok",
		"order submit o-1",
		"order create o-2 --customer c-2 --currency EUR",
	} {
		if r := s.tool(t, "orderflow", strings.Fields(line)...); r.status != 0 {
			t.Fatalf("%s: %d %s", line, r.status, r.stderr)
		}
	}
	await(t, func() order { return s.shown(t, "o-1") }, "Completed")

	r := s.tool(t, "orderflow", "order", "request-refund", "o-1", "--line", "l1=1", "--reason", "broken", "--json")
	var refund struct {
		Version uint64 `json:"version"`
		State   struct {
			Requested money `json:"refund_requested"`
		} `json:"state"`
	}
	if decode(t, r.stdout, &refund); refund.Version != 12 || refund.State.Requested != (money{"24.90", "EUR"}) {
		t.Errorf("a refund of one of two: %+v", r)
	}
	for _, c := range []struct {
		line   string
		status int
		says   string
	}{
		{"order request-refund o-1 --line l1=2", 3, "quantity_out_of_range"},
		{"order request-refund o-1 --line l1=1 --amount 1.00", 3, `give either "lines" or "amount"`},
		{"order request-refund o-1 --line l1", 2, "must be formatted as key=value"},
		{"order list --state Gone", 3, "it must be one of Draft, Submitted"},
		{"events tail --from here", 2, `"here" is not a position`},
	} {
		if r := s.tool(t, "orderflow", strings.Fields(c.line)...); r.status != c.status || !strings.Contains(r.stderr, c.says) || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("%s: %+v, want %d …%s…", c.line, r, c.status, c.says)
		}
	}

	r = s.tool(t, "orderflow", "order", "list", "--state", "Draft", "--json")
	var page struct {
		Orders []order `json:"orders"`
	}
	if decode(t, r.stdout, &page); len(page.Orders) != 1 || page.Orders[0].OrderID != "o-2" {
		t.Errorf("the drafts are %s", r.stdout)
	}
	first := s.tool(t, "orderflow", "order", "list", "--limit", "1").stdout
	_, cursor, more := strings.Cut(first, "more with --cursor ")
	second := s.tool(t, "orderflow", "order", "list", "--cursor", strings.TrimSpace(cursor)).stdout
	if !more || !strings.Contains(first, "\no-2 ") || !strings.Contains(second, "\no-1 ") || strings.Contains(second, "o-2") {
		t.Errorf("the pages are\n%s\n%s", first, second)
	}

	r = s.tool(t, "orderflow", "subscriptions", "--json")
	var subscriptions []struct {
		Service  string `json:"service"`
		Name     string `json:"name"`
		Owner    string `json:"owner"`
		Position string `json:"position"`
		Parked   []any  `json:"parked"`
	}
	decode(t, r.stdout, &subscriptions)
	known := map[string]bool{}
	for _, sub := range subscriptions {
		known[sub.Service+"/"+sub.Name] = true
		if sub.Owner == "" || len(sub.Parked) > 0 || sub.Position == "" {
			t.Errorf("subscription %+v is not active and clean", sub)
		}
	}
	for _, name := range []string{"order/order", "inventory/inventory", "payment/payment", "shipping/shipping", "saga/fulfilment", "saga/fulfilment-timers"} {
		if !known[name] {
			t.Errorf("subscription %s is missing in %v", name, known)
		}
	}

	types := tail.until(t, "OrderRefundRequested")
	want := "OrderCreated ItemAdded ShippingAddressSet PaymentMethodSet OrderSubmitted"
	if !strings.HasPrefix(types, want) || !strings.Contains(types, "OrderCompleted") {
		t.Errorf("the tail shows %s", types)
	}
	s.interrupt(t)
}

// following is a running "orderflow events tail".
type following struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

// tail starts "orderflow events tail --json" from the first event on.
func (s *system) tail(t *testing.T, args ...string) following {
	t.Helper()
	args = append([]string{"events", "tail", "--json", "--from", "0-0", "--nats-url", s.nats}, args...)
	f := following{cmd: exec.Command(filepath.Join(bin, "orderflow"), args...)}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.cmd.Process.Kill() })
	f.lines = bufio.NewScanner(out)
	return f
}

// until returns the types of the events of o-1 up to the given one, and then
// stops the tail by Ctrl-C, which is a clean end.
func (f following) until(t *testing.T, last string) string {
	t.Helper()
	var types []string
	timer := time.AfterFunc(patience, func() { _ = f.cmd.Process.Kill() })
	defer timer.Stop()
	for f.lines.Scan() {
		var e struct{ Stream, Type string }
		if err := json.Unmarshal(f.lines.Bytes(), &e); err != nil {
			t.Fatalf("%v in %s", err, f.lines.Text())
		}
		if e.Stream != "order/o-1" {
			continue
		}
		if types = append(types, e.Type); e.Type == last {
			break
		}
	}
	if err := f.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for f.lines.Scan() { // to its end, before Wait closes it
	}
	if err := f.cmd.Wait(); err != nil {
		t.Errorf("the tail ended with %v", err)
	}
	return strings.Join(types, " ")
}
