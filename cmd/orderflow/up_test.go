package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats.go"
)

// running is an "orderflow up" that is ready.
type running struct {
	*process
	natsURL string
	httpURL string
	exports []string // what it tells a shell to set
	client  client
}

func up(t *testing.T, dir string, args ...string) *running {
	t.Helper()
	p := begin(t, dir, append([]string{"up", "--nats", "127.0.0.1:0", "--http", "127.0.0.1:0"}, args...)...)
	r := &running{process: p, natsURL: p.until(t, "NATS "), httpURL: strings.Fields(p.until(t, "HTTP "))[0]}
	r.exports = strings.Fields(p.until(t, "export "))
	p.until(t, "Ctrl-C stops it.")
	r.client = connect(t, r.natsURL)
	return r
}

func connect(t *testing.T, url string) client {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return client{nc}
}

func orderID(key string) esjs.StreamID { return esjs.StreamID{Category: "order", Key: key} }

// command sends a command that is not refused.
func (r *running) command(t *testing.T, category, key, verb string, body map[string]any) {
	t.Helper()
	if _, err := r.client.command(t.Context(), esjs.StreamID{Category: category, Key: key}, verb, body, commandOptions{}); err != nil {
		t.Fatalf("%s %s: %v", verb, key, err)
	}
}

func create(t *testing.T, c client, key string) reply {
	t.Helper()
	r, err := c.command(t.Context(), orderID(key), "create", map[string]any{"customer_id": "c-1", "currency": "EUR"}, commandOptions{})
	if err != nil {
		t.Fatalf("create %q: %v", key, err)
	}
	return r
}

// showsVersion waits until the read model shows the order at a version.
func showsVersion(t *testing.T, c client, key, revision string, version uint64) {
	t.Helper()
	var o struct {
		Version uint64 `json:"version"`
	}
	err := c.query(t.Context(), "query.orders.get", map[string]any{"order_id": key, "min_revision": revision}, &o)
	if err != nil || o.Version != version {
		t.Errorf("order %q is shown at version %d (%v), want %d", key, o.Version, err, version)
	}
}

func TestUpStopsCleanlyAndGoesOnWhereItWas(t *testing.T) {
	dir := t.TempDir()
	first := up(t, dir)
	odd := "bestellung nr. 1/ä" // a space, a dot, a slash and an umlaut
	created := create(t, first.client, odd)
	if created.Version != 1 || len(created.EventIDs) != 1 {
		t.Errorf("created: %+v", created)
	}
	showsVersion(t, first.client, odd, created.Revision, 1)

	status, stdout, stderr := once(t, dir, "healthcheck", "--http", strings.TrimPrefix(first.httpURL, "http://"))
	if status != 0 || stdout != "ready\n" {
		t.Errorf("healthcheck: %d %s %s", status, stdout, stderr)
	}
	resp, err := http.Get(first.httpURL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if want := `commands_total{category="order",outcome="ok",verb="create"} 1`; err != nil || !strings.Contains(string(metrics), want) {
		t.Errorf("metrics lack %s (%v)", want, err)
	}

	// A second one on the same directory is refused and disturbs nobody.
	status, _, stderr = once(t, dir, "up", "--nats", "127.0.0.1:0", "--http", "127.0.0.1:0")
	if status != exitLocked {
		t.Errorf("a second up on the directory: %d %s", status, stderr)
	}
	partners := addressOf(t, dir, "partners")
	first.stop(t)
	if _, err := http.Get(first.httpURL + "/livez"); err == nil {
		t.Error("somebody still answers after the stop")
	}

	second := up(t, dir)
	if got := addressOf(t, dir, "partners"); got != partners {
		t.Errorf("the partners moved from %s to %s", partners, got)
	}
	showsVersion(t, second.client, odd, created.Revision, 1)
	version := uint64(1)
	changed, err := second.client.command(t.Context(), orderID(odd), "set-shipping",
		map[string]any{"address_ref": "addr-1", "country": "DE"}, commandOptions{expected: &version})
	if err != nil || changed.Version != 2 {
		t.Errorf("the order after a restart: %+v, %v", changed, err)
	}
	second.stop(t)
}

func TestUpGoesOnAfterItWasKilled(t *testing.T) {
	dir := t.TempDir()
	up(t, dir).stop(t) // which leaves indexes for the next start
	killed := up(t, dir)
	if said := warnings(t, killed.process); len(said) > 0 {
		t.Errorf("a start after a clean stop warns of %q", said)
	}
	created := create(t, killed.client, "o-1")
	if err := killed.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed.wait(t)
	next := up(t, dir)
	// The leases of what was killed are its own, and are not waited for.
	if active := metric(t, next, "subscription_active"); len(active) < 6 || slices.Contains(active, "0") {
		t.Errorf("the subscriptions are active: %q, want all to be", active)
	}
	showsVersion(t, next.client, "o-1", created.Revision, 1)
	if said := warnings(t, next.process); len(said) != 1 || !strings.HasPrefix(said[0], "the last stop was not a clean one") {
		t.Errorf("a start after a kill warns of %q, want one line", said)
	}
	next.stop(t)
}

// metric returns the values of a metric, whatever its prefix, one for each set of labels.
func metric(t *testing.T, r *running, name string) (values []string) {
	t.Helper()
	resp, err := http.Get(r.httpURL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, name+"{") {
			values = append(values, line[strings.LastIndex(line, " ")+1:len(line)-1])
		}
	}
	return values
}

// warnings are the messages that a process has logged as warnings or worse.
func warnings(t *testing.T, p *process) (messages []string) {
	t.Helper()
	for line := range strings.Lines(p.stderr.String()) {
		var entry struct{ Level, Message string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if entry.Level != "info" {
			messages = append(messages, entry.Message)
		}
	}
	return messages
}

// A page whose name resolves to this machine must not reach the API from a
// browser, and what is not there is a problem like every other.
func TestUpAnswersOnlyToItsOwnNames(t *testing.T) {
	p := up(t, t.TempDir(), "--http-host", "shop.example")
	for _, c := range []struct {
		host, path string
		status     int
	}{
		{"", "/v1/orders/o-1", 404},
		{"shop.example", "/v1/orders/o-1", 404},
		{"", "/nope", 404},
		{"evil.example", "/v1/orders/o-1", 421},
		{"evil.example", "/metrics", 421},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.httpURL+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = c.host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var problem service.Problem
		err = json.NewDecoder(resp.Body).Decode(&problem)
		resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || problem.Status != c.status || problem.Code == "" {
			t.Errorf("%s of %q: %d %+v, %v", c.path, c.host, resp.StatusCode, problem, err)
		}
	}
	p.stop(t)
}

func TestUpEphemeralLeavesNothing(t *testing.T) {
	dir, tmp := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", tmp)
	p := up(t, dir, "--ephemeral")
	create(t, p.client, "o-1")
	p.stop(t)
	for _, where := range []string{dir, tmp} {
		left, err := os.ReadDir(where)
		if err != nil || len(left) != 0 {
			t.Errorf("left in %s: %v, %v", where, left, err)
		}
	}
}

// The accounts are there from the first day, and who connects without
// credentials is in APP.
func TestUpHasAccounts(t *testing.T) {
	p := up(t, t.TempDir())
	msg, err := p.client.nc.Request("$SYS.REQ.USER.INFO", nil, patience)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(msg.Data), `"account":"APP"`) {
		t.Errorf("a client without credentials is %s", msg.Data)
	}
	if _, err := nats.Connect(p.natsURL, nats.UserInfo("sys", "sys")); err == nil {
		t.Error("somebody can log in as sys")
	}
	p.stop(t)
}

// addressOf reads where a part of "up" listens, as its data directory says.
func addressOf(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "data", addressesFile))
	if err != nil {
		t.Fatal(err)
	}
	var known addresses
	if err := json.Unmarshal(data, &known); err != nil {
		t.Fatal(err)
	}
	return known[name]
}
