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
	"unicode"

	"github.com/b144f99b/orderflow/pkg/queries"
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
	// The table of sagas has all of them, ended as their orders.
	_, table, _ := strings.Cut(stdout, "\nThe sagas of these orders (orderflow saga list):\n\n")
	table, _, _ = strings.Cut(table, "\n\n")
	lines := strings.Split(table, "\n")
	if len(lines) != 1+len(scenarios()) {
		t.Fatalf("the table of sagas is\n%s\nin\n%s", table, stdout)
	}
	for i, s := range scenarios() {
		if fields := strings.Fields(lines[i+1]); !strings.HasSuffix(fields[0], s.name) || (fields[1] == "COMPLETED") != (s.ends == queries.Completed) {
			t.Errorf("the saga of %s is %q", s.name, lines[i+1])
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

// shellLooksBack asks for an order, and the log, as they were after its draft was made.
func shellLooksBack(t *testing.T, key string) {
	t.Helper()
	status, stdout, stderr := call(t, "events", "history", "order", key, "--json")
	var draft, later stored
	lines := strings.SplitAfter(stdout, "\n")
	if err := errors.Join(json.Unmarshal([]byte(lines[1]), &draft), json.Unmarshal([]byte(lines[4]), &later)); err != nil || status != 0 {
		t.Fatalf("history: %d %v %s", status, err, stderr)
	}
	for _, moment := range []string{draft.Position.String(), later.Time.Add(-time.Nanosecond).Format(time.RFC3339Nano)} {
		var then stateThen
		status, stdout, stderr := call(t, "events", "at", moment, "order", key, "--json")
		if err := json.Unmarshal([]byte(stdout), &then); err != nil || status != 0 || then.Stream != "order/"+key || then.Version == 0 || then.Version > 4 {
			t.Errorf("at %s: %d %s %s", moment, status, stdout, stderr)
		}
	}
	if status, stdout, stderr := call(t, "events", "at", draft.Position.String(), "order", key); status != 0 ||
		!strings.Contains(stdout, "was at version 2 since") || !strings.Contains(stdout, "beans-1kg") {
		t.Errorf("at %s: %d %s %s", draft.Position, status, stdout, stderr)
	}
	status, stdout, stderr = call(t, "events", "at", draft.Position.String(), "--limit", "3")
	shown := strings.Split(strings.TrimSpace(stdout), "\n")
	if status != 0 || len(shown) != 3 || !strings.HasPrefix(shown[2], draft.Position.String()+" ") || !strings.Contains(shown[2], "ItemAdded") {
		t.Errorf("the log at %s: %d %s %s", draft.Position, status, stdout, stderr)
	}
	status, stdout, stderr = call(t, "events", "at", "2100-01-01", "--limit", "1")
	if status != 0 || strings.Count(stdout, "\n") != 1 {
		t.Errorf("the log at its end: %d %s %s", status, stdout, stderr)
	}
}

// shellCompletes asks what the functions of the shells ask.
func shellCompletes(t *testing.T, key string) {
	t.Helper()
	for line, want := range map[string][]string{
		"order show ":                  {key},
		"order cancel o":               {key},
		"order cancel x":               nil,
		"order show " + key + " ":      nil,
		"saga retry ":                  {key},
		"stock receive be":             {"beans-1kg"},
		"projections rebuild s":        {"sagas", "sales", "stock"},
		"projections promote orders":   {"orders_v1"},
		"events history ":              {"fulfilment", "order", "payment", "product", "refund", "reservation", "shipment", "stock"},
		"events history order ":        {key},
		"events history stock ":        {"beans-1kg"},
		"events history payment ":      nil,
		"events at 0-5 pr":             {"product"},
		"order add-":                   {"add-item"},
		"order show --nats-url x:1 ":   nil, // a server that is not there
		"events causes ":               nil,
		"projections release sagas_v1": {"sagas_v1"},
	} {
		fields := strings.Split(strings.ReplaceAll(line, key, "\x00"), " ")
		for i := range fields {
			fields[i] = strings.ReplaceAll(fields[i], "\x00", key)
		}
		status, stdout, stderr := call(t, append([]string{"__completeNoDesc"}, fields...)...)
		got := strings.Split(strings.TrimSpace(stdout), "\n")
		if directive := got[len(got)-1]; status != 0 || directive != ":4" {
			t.Errorf("%q: %d %s %s", line, status, stdout, stderr)
		}
		if got = got[:len(got)-1]; !slices.Equal(got, want) && len(got)+len(want) > 0 {
			t.Errorf("%q is completed by %q, want %q", line, got, want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if status, stdout, stderr := call(t, "completion", shell); status != 0 || !strings.Contains(stdout, "__complete") {
			t.Errorf("completion %s: %d %.200s %s", shell, status, stdout, stderr)
		}
	}
}

func TestDemoFailsWhenAnOrderDoesNotEndAsItShould(t *testing.T) {
	s := scenario{name: "x", ends: queries.Completed, happens: []string{"PaymentCaptured"}, never: []string{"CompensationStarted"}}
	err := s.check(queries.Order{State: queries.Rejected}, queries.Timeline{Entries: []queries.TimelineEntry{{Type: "CompensationStarted"}}})
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
	p := up(t, t.TempDir())
	if want := []string{"NATS_URL=" + p.natsURL, "ORDERFLOW_NATS_URL=" + p.natsURL}; !slices.Equal(p.exports, want) {
		t.Errorf("a shell is told to set %q, want %q", p.exports, want)
	}
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
		if status, stdout, stderr := once(t, t.TempDir(), line...); status != 0 || stderr != "" || !strings.Contains(stdout, "is at version") {
			t.Fatalf("%q: %d %s %s", line, status, stdout, stderr)
		}
	}
	awaitState(t, p.client, key, queries.Completed)
	status, stdout, stderr := call(t, "order", "show", key)
	if status != 0 || !strings.Contains(stdout, "of customer c-1: Completed") || !strings.Contains(stdout, "2 × Espresso beans 1 kg (beans-1kg) at 24.90 EUR") {
		t.Errorf("show: %d %s %s", status, stdout, stderr)
	}
	status, stdout, stderr = call(t, "events", "history", "order", key)
	if status != 0 || !strings.HasPrefix(stdout, "1  ") || !strings.Contains(stdout, "OrderCompleted") {
		t.Errorf("history: %d %s %s", status, stdout, stderr)
	}
	status, stdout, stderr = call(t, "order", "timeline", key, "--json")
	var told queries.Timeline
	if err := json.Unmarshal([]byte(stdout), &told); err != nil || status != 0 || !happened(told, "PaymentCaptured") {
		t.Errorf("timeline: %d %v %s", status, err, stderr)
	}

	for _, c := range []struct{ line, says string }{
		{"order list --customer c-1 --state Completed --text ESPRESSO --from 2020-01-01", "49.80 EUR"},
		{"saga list --state COMPLETED", key},
		{"sagas list", key},
		{"orders list --customer c-1", "49.80 EUR"},
		{"saga summary", "COMPLETED"},
		{"stock list --text beans", "24.90 EUR"},
		{"product list", "in stock"},
		{"products list --text espresso --limit 1 --timeout 1m", "beans-1kg"},
		{"stock movements beans-1kg", "+40 = 40"},
		{"sales --by product", "49.80 EUR"},
		{"payments list --state captured", "49.80 EUR"},
		{"payment summary", "captured"},
		{"customers", "c-1"},
		{"customer", "c-1"},
		{"event list --type OrderCompleted", "order/" + key},
		{"projection list", "orders_v1"},
		{"events list --type OrderCompleted --limit 1", "order/" + key},
		{"projections list", "orders_v1"},
	} {
		args := strings.Fields(c.line)
		if status, stdout, stderr := call(t, args...); status != 0 || !strings.Contains(stdout, c.says) {
			t.Errorf("%s: %d %s %s; want …%s…", c.line, status, stdout, stderr, c.says)
		}
		status, stdout, stderr := call(t, append(args, "--json")...)
		if answer := map[string]any{}; status != 0 || json.Unmarshal([]byte(stdout), &answer) != nil {
			t.Errorf("%s --json: %d %s %s", c.line, status, stdout, stderr)
		}
	}
	if status, stdout, stderr := call(t, "saga", "show", key); status != 0 || !strings.Contains(stdout, "COMPLETED") {
		t.Errorf("saga show: %d %s %s", status, stdout, stderr)
	}
	var found queries.EventPage
	status, stdout, stderr = call(t, "events", "list", "--type", "ReservationRequested", "--json")
	if err := json.Unmarshal([]byte(stdout), &found); err != nil || len(found.Events) != 1 {
		t.Fatalf("events list: %d %s %s", status, stdout, stderr)
	}
	for verb, says := range map[string]string{"show": "Inventory is asked to hold 2 × beans-1kg", "causes": "OrderSubmitted"} {
		if status, stdout, stderr := call(t, "events", verb, found.Events[0].EventID); status != 0 || !strings.Contains(stdout, says) {
			t.Errorf("events %s: %d %s %s", verb, status, stdout, stderr)
		}
	}
	shellLooksBack(t, key)
	shellCompletes(t, key)
	for _, c := range []struct{ line, says string }{
		{"projections rebuild orders --wait", "orders_v2  live"},
		{"projections promote orders_v1", "orders_v1  live"},
		{"projections pause orders_v2", "paused"},
		{"projections resume orders_v2", "by hand"},
		{"projections drop orders_v2", "orders_v2 is dropped"},
	} {
		if status, stdout, stderr := call(t, strings.Fields(c.line)...); status != 0 || !strings.Contains(stdout, c.says) {
			t.Errorf("%s: %d %s %s; want …%s…", c.line, status, stdout, stderr, c.says)
		}
	}

	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"projections", "drop", "orders_v1"}, 3, "live"},
		{[]string{"projections", "rebuild", "jars"}, 5, "view_not_found"},
		{[]string{"projections", "release", "orders_v1", "order/o-1"}, 5, "not_parked"},
		{[]string{"events", "list", "--from", "yesterday"}, 2, "2026-03-01"},
		{[]string{"sales", "--by", "hour"}, 3, "day, product, currency"},
		{[]string{"saga", "show", "o-9"}, 5, "saga_not_found"},
		{[]string{"order", "create", "o-2"}, 2, "orderflow order create needs --customer"},
		{[]string{"product", "list", "beans-1kg"}, 2, "orderflow product list needs --name"},
		{[]string{"product", "list", "beans-1kg", "--text", "beans"}, 2, "--text is for a list"},
		{[]string{"product", "list", "--name", "Beans"}, 2, "--name is to offer a product"},
		{[]string{"product", "list", "--limit", "201"}, 3, "from 1 to 200"},
		{[]string{"order", "create"}, 2, "orderflow order create needs ORDER-ID, got 0 arguments"},
		{[]string{"order", "create", strings.Repeat("x", 256), "--customer", "c", "--currency", "EUR"}, 3, "256 bytes"},
		{[]string{"order", "ship", key}, 2, `orderflow order has no command "ship"; it has`},
		{[]string{"order", "add-item", key, "--sku", "beans-1kg", "--quantity", "two"}, 2, "--quantity"},
		{[]string{"order", "cancel", key}, 3, "too_late"},
		{[]string{"order", "set-shipping", key, "--address", "a", "--country", "DE", "--expected-version", "1"}, 4, "conflict"},
		{[]string{"order", "cancel", key, "--expected-version", "-1"}, 2, "--expected-version"},
		{[]string{"events", "history", "Order", key}, 2, `the category "Order" contains 'O'`},
		{[]string{"order", "show", "o-9"}, 5, "order_not_found"},
		{[]string{"events", "history", "order", "o-9"}, 5, "order/o-9 has no events"},
		{[]string{"events", "at", "yesterday"}, 2, "0-1871"},
		{[]string{"events", "at", "0-5", "order"}, 2, "MOMENT, CATEGORY and KEY"},
		{[]string{"events", "at", "0-5", "jar", "j-1"}, 2, "fulfilment, order"},
		{[]string{"events", "at", "2020-01-01"}, 5, "nothing was stored then"},
		{[]string{"events", "at", "2020-01-01", "order", key}, 5, "had no events then"},
		{[]string{"events", "at", "0-5", "order", "o-9"}, 5, "order/o-9 has no events"},
		{[]string{"order", "show", key, "--nats-url", "nats://127.0.0.1:1"}, exitNoServer, "no NATS server can be reached"},
	} {
		if status, _, stderr := call(t, c.args...); status != c.status || !strings.Contains(stderr, c.says) {
			t.Errorf("%q: exit status %d and %q, want %d and …%s…", c.args, status, stderr, c.status, c.says)
		}
	}
	p.stop(t)
}

// Ids and names are users', and a terminal obeys what it is sent: nothing of theirs
// reaches it that it would not simply show.
func TestNothingIsWrittenThatATerminalObeys(t *testing.T) {
	dir := t.TempDir()
	p := up(t, dir)
	t.Setenv("ORDERFLOW_NATS_URL", p.natsURL)
	const (
		turned = "o\u202ezzz\u2066\U000e0001"                        // what ids and fields may hold
		evil   = "\x1b]0;mine\a\x1b[2J\u009b2J\x7f\r\nok\t" + turned // what is refused, and told in the refusal
	)
	run := func(want int, args ...string) string {
		t.Helper()
		status, stdout, stderr := call(t, args...)
		if status != want {
			t.Fatalf("%q: exit status %d, want %d\n%s%s", args, status, want, stdout, stderr)
		}
		for _, text := range []string{stdout, stderr} {
			if i := strings.IndexFunc(text, obeyed); i >= 0 {
				t.Errorf("%q writes %q", args, text[i:])
			}
		}
		return stdout
	}
	run(3, "product", "list", evil, "--name", "Beans", "--price", "24.90", "--currency", "EUR")
	run(3, "product", "list", turned, "--name", evil, "--price", "24.90", "--currency", "EUR")
	run(3, "order", "create", evil, "--customer", turned, "--currency", "EUR")
	run(3, "order", "show", evil)
	run(0, "product", "list", turned, "--name", turned, "--price", "24.90", "--currency", "EUR")
	run(0, "stock", "receive", turned, "--quantity", "40", "--reference", turned)
	run(0, "order", "create", turned, "--customer", turned, "--currency", "EUR", "--channel", turned)
	run(0, "order", "add-item", turned, "--sku", turned, "--quantity", "1")
	run(0, "order", "set-shipping", turned, "--address", turned, "--country", "DE")
	run(0, "order", "set-payment-method", turned, "--method", "card-"+turned)
	run(0, "order", "submit", turned)
	awaitState(t, p.client, turned, queries.Completed)
	tail := begin(t, dir, "events", "tail", "--from", "0-0", "--category", "order")
	for lines := 0; lines < 11; lines++ {
		if line := <-tail.lines; !strings.HasPrefix(line, "0-") || strings.ContainsFunc(line, obeyed) {
			t.Errorf("the tail writes %q", line)
		}
	}
	tail.stop(t)
	for _, args := range [][]string{
		{"order", "show", turned}, {"order", "list"}, {"order", "timeline", turned}, {"events", "history", "order", turned},
		{"events", "history", "product", turned}, {"subscriptions"},
	} {
		if shown := run(0, args...); !strings.Contains(shown, "\n") {
			t.Errorf("%q shows %q", args, shown)
		}
	}
	run(3, "order", "create", turned, "--customer", "c-1", "--currency", "EUR")
	run(5, "order", "show", turned+"9")
	run(5, "events", "history", "order", evil+"9")
	for _, service := range []string{"order", "inventory", "payment", "shipping", "saga"} {
		run(5, "subscriptions", "release", service, service, "fulfilment/"+turned, "--reason", turned)
		run(5, "subscriptions", "drop", service, service, "fulfilment/"+turned, "--from", "0-1", "--reason", turned)
	}
	run(0, "subscriptions", "rewind", "payment", "payment", "--to", "0-0", "--reason", turned) // what is handled again changes nothing below
	run(5, "subscriptions", "rewind", "payment", turned, "--to", "0-0", "--reason", turned)
	run(2, "subscriptions", "rewind", "payment", "payment", "--to", "0-1000000", "--reason", "the store ends before")
	run(2, "subscriptions", "rewind", "payment", "payment", "--reason", "to where?")
	run(6, "subscriptions", "release", "gateway", "gateway", "fulfilment/o-1", "--reason", "it has none")
	run(2, "subscriptions", "release", "payment", "payment", "fulfilment/o-1")
	run(2, "subscriptions", "drop", "payment", "payment", "fulfilment/o-1", "--reason", "of which commit?")
	run(2, "order", evil)
	run(2, "--"+evil)

	status, stdout, _ := call(t, "order", "show", turned, "--json")
	var o queries.Order
	if err := json.Unmarshal([]byte(stdout), &o); status != 0 || err != nil || o.OrderID != turned {
		t.Errorf("as JSON it is %d %v %q", status, err, o.OrderID)
	}
	p.stop(t)
}

// obeyed tells what a terminal would not simply show.
func obeyed(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }

// An order is in flight when everything is killed; started again it completes,
// and the payment provider has captured once.
func TestKilledInFlightTheOrderCompletesOnce(t *testing.T) {
	dir := t.TempDir()
	p := up(t, dir)
	p.command(t, "product", "beans", "list", map[string]any{"name": "Beans", "price": "24.90", "currency": "EUR"})
	p.command(t, "stock", "beans", "receive", map[string]any{"quantity": 40, "reference": "PO-1"})
	moments := []string{"OrderSubmitted", "AuthorizationAttempted", "CaptureAttempted", "PaymentCaptured", "DispatchRequested"}
	for _, moment := range moments {
		key := "killed-at-" + moment
		create(t, p.client, key)
		p.command(t, "order", key, "add-item", map[string]any{"sku": "beans", "quantity": 1})
		p.command(t, "order", key, "set-shipping", map[string]any{"address_ref": "addr-1", "country": "DE"})
		p.command(t, "order", key, "set-payment-method", map[string]any{"method_ref": "card-ok"})
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
		awaitState(t, p.client, key, queries.Completed)
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

func awaitState(t *testing.T, c client, key string, want queries.OrderState) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		var o queries.Order
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
