package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/test/program"
	"github.com/nats-io/nats.go"
)

// guarded is a system on a server with the configuration of deploy/nats, where each service is a
// user of its own.
type guarded struct {
	*system
	server *process
	keys   string // directory
	all    []*process
}

// guard starts it: keys, server, streams and services.
func guard(t *testing.T) *guarded {
	t.Helper()
	g := guardedServer(t)
	if r := g.tool(t, "orderflow", "provision", "--nats-nkey", g.key("provision")); r.status != 0 {
		t.Fatalf("provision: %+v", r)
	}
	g.serve(t)
	return g
}

// serve starts the services.
func (g *guarded) serve(t *testing.T) {
	t.Helper()
	g.all = g.services(t, func(service string) []string { return []string{"--nats-nkey", g.key(service)} })
}

// guardedServer starts the server alone, and makes people its operator.
func guardedServer(t *testing.T) *guarded {
	t.Helper()
	home := t.TempDir()
	g := &guarded{system: &system{home: home}, keys: filepath.Join(home, "keys")}
	if r := g.tool(t, "orderflow", "keys", g.keys); r.status != 0 || !strings.Contains(r.stdout, " secrets created, 0 were there") {
		t.Fatalf("keys: %+v", r)
	}
	g.server = begin(t, home, "nats-server", "-c", deployed(t, home, g.keys), "-a", "127.0.0.1", "-p", "-1", "-m", "-1")
	g.nats = g.server.listens(t)
	// People are the operator, with orderflow and with the nats CLI.
	t.Setenv("ORDERFLOW_NATS_NKEY", g.key("operator"))
	context := fmt.Sprintf(`{"nkey":%q,"inbox_prefix":"_INBOX.operator"}`, g.key("operator"))
	path := filepath.Join(home, "nats", "context", "operator.json")
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(context), 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NATS_CONTEXT", "operator")
	return g
}

func (g *guarded) key(user string) string { return filepath.Join(g.keys, user+".nk") }

// deployed is the server's configuration as it is deployed, with its streams in dir.
func deployed(t *testing.T, dir, keys string) string {
	t.Helper()
	t.Setenv("NATS_SERVER_NAME", "nats")
	t.Setenv("NATS_MAX_FILE_STORE", "4GB")
	from := filepath.Join(root(), "deploy", "nats")
	for to, source := range map[string]string{
		"nats.conf": filepath.Join(from, "nats.conf"), "accounts.conf": filepath.Join(from, "accounts.conf"), "keys.conf": filepath.Join(keys, "keys.conf"),
	} {
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		text = []byte(strings.Replace(string(text), `"/data"`, fmt.Sprintf("%q", filepath.Join(dir, "streams")), 1))
		if err := os.WriteFile(filepath.Join(dir, to), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "nats.conf")
}

// violations are what the server has logged of attempts that it refused.
func (g *guarded) violations() (lines []string) {
	for line := range strings.Lines(g.server.stderr.String()) {
		if strings.Contains(line, "Violation") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// Each service is allowed all that it needs and nothing that is another's.
func TestEachServiceIsAUserOfItsOwn(t *testing.T) {
	g := guard(t)
	t.Run("with its own key", g.mistaken)
	t.Run("and may do its work", g.work)
	if t.Failed() {
		return
	}
	t.Run("and nothing else", g.trespass)
	t.Run("and the servers are watched", g.watched)
}

// mistaken is a process that is given another's key: it says so at once.
func (g *guarded) mistaken(t *testing.T) {
	for command, user := range map[string]string{"provision": "order", "saga": "payment", "verify": "backup", "monitor": "operator"} {
		r := g.tool(t, "orderflow", command, "--nats-nkey", g.key(user))
		if r.status != 15 || !strings.Contains(r.stderr, "another user's key?") {
			t.Errorf("%s with the key of %s: %+v", command, user, r)
		}
	}
}

// work is an order with a refund, a queued command, and what operators look at and decide.
func (g *guarded) work(t *testing.T) {
	mistaken := len(g.violations())
	shell := func(args ...string) string {
		t.Helper()
		r := g.tool(t, "orderflow", args...)
		if r.status != 0 {
			t.Errorf("orderflow %q: %d %s", args, r.status, r.stderr)
		}
		return r.stdout
	}
	g.stocked(t, "beans-1kg", 40)
	for _, step := range [][2]string{
		{"create", `{"customer_id":"c-1","currency":"EUR"}`},
		{"add-item", `{"sku":"beans-1kg","quantity":2}`},
		{"set-shipping", `{"address_ref":"addr-1","country":"DE"}`},
		{"set-payment-method", `{"method_ref":"card-ok"}`},
		{"submit", `{}`},
	} {
		var p problem
		if status := g.web(t, "POST", "/v1/orders/o-1/"+step[0], step[1], &p); status != 200 {
			t.Fatalf("%s: %d %+v\n%s", step[0], status, p, strings.Join(g.violations(), "\n"))
		}
	}
	await(t, func() order { return g.shown(t, "o-1") }, "Completed")
	shell("order", "request-refund", "o-1", "--line", "l1=1", "--restock", "--reason", "one is broken")
	program.Until(t, patience, "the money is back", func() bool { return g.shown(t, "o-1").Refunded == money{"24.90", "EUR"} })
	program.Until(t, patience, "the goods are back", func() bool { return g.stock(t, "beans-1kg").Available == 39 })

	// A queued command is carried out, and one that is refused is parked and dropped.
	shell("order", "create", "o-2", "--customer", "c-1", "--currency", "EUR", "--queued")
	shell("order", "add-item", "o-2", "--sku", "tea", "--quantity", "1", "--queued")
	g.queueUntil(t, 1)
	shell("queue", "release", "order", parkedNumber(t, g.system), "--reason", "there may be tea by now")
	g.queueUntil(t, 1) // there is none
	shell("queue", "drop", "order", parkedNumber(t, g.system), "--reason", "there is no tea")
	g.queueUntil(t, 0)

	// What people look at, and decide.
	shell("order", "timeline", "o-1")
	if answer, code := g.request(t, "query.orders.at", `{"order_id":"o-1","version":2}`); code != "" {
		t.Errorf("order o-1 at version 2: %s", answer)
	}
	shell("events", "history", "order", "o-1")
	shell("events", "at", "0-9", "order", "o-1")
	shell("subscriptions")
	shell("projections", "rebuild", "orders", "--wait")
	shell("saga", "list")
	shell("payment", "reconcile")
	shell("verify")
	if r := g.tool(t, "nats", "micro", "ls"); r.status != 0 || strings.Count(r.stdout, "answered by the service ") != 18 {
		t.Errorf("nats micro ls: %+v", r)
	}
	for _, args := range [][]string{{"stream", "info", "EVENTS"}, {"stream", "ls"}, {"kv", "ls", "SUBSCRIPTIONS_order"}, {"consumer", "ls", "COMMANDS"}} {
		if r := g.tool(t, "nats", args...); r.status != 0 {
			t.Errorf("nats %q: %d %s%s", args, r.status, r.stdout, r.stderr)
		}
	}
	shell("backup", filepath.Join(g.home, "backup.tar"), "--nats-nkey", g.key("backup"))
	if r := g.tool(t, "orderflow", "provision", "--nats-nkey", g.key("provision")); r.status != 0 { // again
		t.Errorf("provision again: %+v", r)
	}
	for _, line := range g.violations()[mistaken:] {
		t.Errorf("the server refused what is needed: %s", line)
	}
}

// watched is "orderflow monitor": it tells what the server has, as the user of the system account alone.
func (g *guarded) watched(t *testing.T) {
	p := begin(t, g.home, "orderflow", "monitor", "--nats-url", g.nats, "--nats-nkey", g.key("monitor"))
	p.ready(t, g.system)
	answer, err := http.Get("http://" + p.logged(t, "service starts", "metrics") + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"jetstream_servers 1",
		"jetstream_servers_known 1",
		`jetstream_stream_first_sequence{account="APP",server="nats",stream="EVENTS"} 1`,
		`jetstream_stream_leader{account="APP",server="nats",stream="EVENTS"} 1`,
	} {
		if !strings.Contains(string(text), want+"\n") {
			t.Errorf("the monitor does not tell %s:\n%s", want, text)
		}
	}
}

func parkedNumber(t *testing.T, s *system) string {
	t.Helper()
	var status queueStatus
	decode(t, s.tool(t, "orderflow", "queue", "list", "--json").stdout, &status)
	if len(status.Parked) != 1 {
		t.Fatalf("parked: %+v", status)
	}
	return fmt.Sprint(status.Parked[0].Number)
}

// trespass tries, as each user, what is another's.
func (g *guarded) trespass(t *testing.T) {
	before := g.stored(t)
	mine := map[string][]string{ // whose events, buckets, timers and commands
		"order": {"order"}, "inventory": {"product", "stock", "reservation"}, "payment": {"payment"}, "shipping": {"shipment"},
		"saga": {"fulfilment", "refund"}, "projector": nil, "gateway": nil, "operator": nil, "provision": nil, "backup": nil, "restore": nil,
	}
	owners := g.owners(t, before)
	answers := map[string]string{"order": "order", "inventory": "stock", "saga": "saga", "projector": "projection"}
	for user, categories := range mine {
		publish := []string{
			"$JS.API.STREAM.PURGE.EVENTS", "$JS.API.STREAM.MSG.DELETE.EVENTS", "$JS.API.STREAM.RESTORE.MINE", "$JS.API.STREAM.DELETE.MINE",
			"$JS.API.STREAM.CREATE.MINE", "$JS.API.STREAM.PURGE.TIMERS", "$JS.API.ACCOUNT.PURGE.APP",
			"$JS.API.SERVER.REMOVE", "$JS.API.META.LEADER.STEPDOWN", "$SYS.REQ.SERVER.PING", "$JS.API.CONSUMER.CREATE.MINE",
		}
		if user != "restore" { // whose key nothing that runs has
			publish = append(publish, "$JS.API.STREAM.DELETE.EVENTS", "$JS.API.STREAM.RESTORE.EVENTS", "$JS.API.STREAM.DELETE.KV_SNAPSHOTS_order")
		}
		if user != "provision" && user != "restore" {
			publish = append(publish, "$JS.API.STREAM.CREATE.EVENTS", "$JS.API.STREAM.UPDATE.EVENTS")
		}
		if user != "backup" {
			publish = append(publish, "$JS.API.STREAM.SNAPSHOT.EVENTS")
		}
		if user != "gateway" && user != "operator" { // they speak for people
			publish = append(publish, "cmd.order.o-1.cancel", "cmd.payment.o-1.capture", "query.orders.get")
		}
		if user != "operator" && user != "order" { // who queues again what people release
			publish = append(publish, "cmdq.order.o-1.cancel")
		}
		for _, events := range mine {
			for _, category := range events {
				if !slices.Contains(categories, category) {
					publish = append(publish, "ev."+category+".o-1")
				}
			}
		}
		subscribe := []string{"_INBOX.>", ">", "cmd.>", "query.>", "$JS.>", "$KV.>", "$JS.ACK.>"}
		if user != "operator" {
			subscribe = append(subscribe, "ev.>")
		}
		for other := range mine {
			if other == user {
				continue
			}
			subscribe = append(subscribe, "_INBOX."+other+".>")
			if user != "operator" { // who reads everything, and writes nothing
				publish = append(publish, "$JS.API.CONSUMER.CREATE.TIMERS.x.timer."+other+".fired.>")
			}
			publish = append(publish, "timer."+other+".set.order.o-1.x.1")
			if category, answers := answers[other]; answers {
				subscribe = append(subscribe, "cmd."+category+".>")
				publish = append(publish,
					"$JS.API.CONSUMER.MSG.NEXT.COMMANDS."+category+"-0", "$JS.API.CONSUMER.DELETE.COMMANDS."+category+"-0",
					"$JS.ACK.COMMANDS."+category+"-0.1.1.1.1.0", "$KV.COMMANDS_PARKED."+category+".1")
			}
		}
		for bucket, of := range owners {
			reads := slices.Contains(of, user) || user == "operator" || user == "restore" && strings.HasPrefix(bucket, "SNAPSHOTS_") // with which it compares
			if !reads {
				publish = append(publish,
					"$JS.API.STREAM.MSG.GET.KV_"+bucket, "$JS.API.DIRECT.GET.KV_"+bucket, "$JS.API.DIRECT.GET.KV_"+bucket+".$KV."+bucket+".x",
					"$JS.API.CONSUMER.CREATE.KV_"+bucket+".x", "$JS.API.CONSUMER.MSG.NEXT.KV_"+bucket+".x")
			}
			if writes := slices.Contains(of, user) && bucket != "COMMANDS_PARKED"; !writes { // where each has keys of its own
				publish = append(publish, "$KV."+bucket+".x")
			}
		}
		if user != "backup" { // who notes that it is complete
			publish = append(publish, "$KV.BACKUPS.last")
		}
		g.refused(t, user, publish, subscribe)
	}
	g.refused(t, "monitor",
		[]string{
			"$JS.API.ACCOUNT.PURGE.APP", "$JS.API.META.LEADER.STEPDOWN", "$JS.API.SERVER.REMOVE", "$JS.API.ACCOUNT.STREAM.MOVE.APP.EVENTS",
			"$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.CONNZ", "$SYS.REQ.SERVER.x.RELOAD", "$SYS.REQ.SERVER.x.KICK", "$SYS.REQ.ACCOUNT.APP.CONNZ",
		},
		[]string{">", "$SYS.>", "_INBOX.>", "_INBOX.sysadmin.>", "$SYS.ACCOUNT.APP.CONNECT"})
	g.unheard(t, "sysadmin", "ev.order.o-1", "cmd.order.o-1.cancel", "query.orders.get", "$KV.SUBSCRIPTIONS_order.x")
	if after := g.stored(t); after != before {
		t.Errorf("what was refused has changed the streams from\n%s to\n%s", before, after)
	}
}

// owners are the services that read and write each bucket. Of the streams that are stored each that is a bucket must be in this list.
func (g *guarded) owners(t *testing.T, stored string) map[string][]string {
	t.Helper()
	of := map[string][]string{
		"SUBSCRIPTIONS_projector": {"projector"}, "RECONCILIATION_payment": {"payment"}, "INSTANCES_saga": {"saga"},
		"COMMANDS_PARKED": {"order", "inventory", "saga", "projector"}, "BACKUPS": nil,
	}
	for _, service := range []string{"order", "inventory", "payment", "shipping", "saga"} {
		of["SUBSCRIPTIONS_"+service], of["SNAPSHOTS_"+service] = []string{service}, []string{service}
	}
	var there []string
	for line := range strings.Lines(stored) {
		if bucket, isBucket := strings.CutPrefix(strings.Fields(line)[0], "KV_"); isBucket {
			there = append(there, bucket)
		}
	}
	if want := slices.Sorted(maps.Keys(of)); !slices.Equal(slices.Sorted(slices.Values(there)), want) {
		t.Fatalf("there are the buckets %q, and owners of %q are known", there, want)
	}
	return of
}

// refused checks that the server refuses the user each of these subjects, and logs that.
func (g *guarded) refused(t *testing.T, user string, publish, subscribe []string) {
	t.Helper()
	opt, err := nats.NkeyOptionFromSeed(g.key(user))
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 1000)
	nc, err := nats.Connect(g.nats, opt, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { told <- err }))
	if err != nil {
		t.Fatalf("%s: %v", user, err)
	}
	defer nc.Close()
	check := func(what, subject string, try func() error) {
		t.Helper()
		if err := errors.Join(try(), nc.FlushTimeout(patience)); err != nil {
			t.Fatalf("%s: %s %s: %v", user, what, subject, err)
		}
		// The server's refusal came before its answer to the flush; the handler is called soon.
		if nc.LastError() == nil || !strings.Contains(nc.LastError().Error(), fmt.Sprintf("%q", subject)) {
			t.Errorf("%s may %s %s", user, what, subject)
			return
		}
		if err := <-told; !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("%s: %s %s: %v", user, what, subject, err)
		}
	}
	for _, subject := range publish {
		check("publish to", subject, func() error { return nc.Publish(subject, []byte(`{"name":"MINE","subjects":["mine"]}`)) })
	}
	for _, subject := range subscribe {
		check("subscribe to", subject, func() error { _, err := nc.SubscribeSync(subject); return err })
	}
	// The server's log comes to us in its order, and a moment later.
	refusal := func(log, subject string) bool { return strings.Contains(log, fmt.Sprintf("Subject %q", subject)) }
	var logged string // of this user
	last := subscribe[len(subscribe)-1]
	program.Until(t, patience, fmt.Sprintf("the server has logged that %s was refused %s", user, last), func() bool {
		logged = strings.Join(slices.DeleteFunc(g.violations(), func(line string) bool { return !strings.Contains(line, nc.Opts.Nkey) }), "\n")
		return refusal(logged, last)
	})
	for _, subject := range slices.Concat(publish, subscribe) {
		if !refusal(logged, subject) {
			t.Errorf("the server has not logged that %s was refused %s", user, subject)
		}
	}
}

// unheard checks that what the user of the system account publishes, who may, reaches nobody.
func (g *guarded) unheard(t *testing.T, user string, subjects ...string) {
	t.Helper()
	opt, err := nats.NkeyOptionFromSeed(g.key(user))
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(g.nats, opt)
	if err != nil {
		t.Fatalf("%s: %v", user, err)
	}
	defer nc.Close()
	for _, subject := range subjects {
		if answer, err := nc.Request(subject, []byte("{}"), patience); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("%s on %s: %v, %v; want nobody", user, subject, answer, err)
		}
	}
}

// stored is how many messages each stream has, and which streams there are.
func (g *guarded) stored(t *testing.T) string {
	t.Helper()
	r := g.tool(t, "nats", "stream", "ls", "--json", "--all")
	if r.status != 0 {
		t.Fatalf("nats stream ls: %+v", r)
	}
	var streams []struct {
		Config struct {
			Name string `json:"name"`
		} `json:"config"`
		State struct {
			Messages uint64 `json:"messages"`
		} `json:"state"`
	}
	names := []string{}
	if json.Unmarshal([]byte(r.stdout), &streams) != nil {
		decode(t, r.stdout, &names)
	}
	for _, s := range streams {
		names = append(names, fmt.Sprint(s.Config.Name, " ", s.State.Messages))
	}
	slices.Sort(names)
	return strings.Join(names, "\n")
}
