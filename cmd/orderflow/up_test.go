package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go"
)

// running is an "orderflow up" that is ready.
type running struct {
	*process
	natsURL string
	httpURL string
	client  client
}

func up(t *testing.T, dir string, args ...string) *running {
	t.Helper()
	p := begin(t, dir, append([]string{"up", "--nats", "127.0.0.1:0", "--http", "127.0.0.1:0"}, args...)...)
	r := &running{process: p, natsURL: p.until(t, "NATS "), httpURL: strings.Fields(p.until(t, "HTTP "))[0]}
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
	first := up(t, dir)
	created := create(t, first.client, "o-1")
	if err := first.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	first.wait(t)
	second := up(t, dir)
	showsVersion(t, second.client, "o-1", created.Revision, 1)
	second.stop(t)
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

// The same services as processes of their own, against a server that is there.
func TestServicesRunOnTheirOwn(t *testing.T) {
	dir := t.TempDir()
	server := esjstest.Server(t, esjstest.SyncAlways())
	for range 2 { // again changes nothing
		if status, _, stderr := once(t, dir, "provision", "--nats-url", server.URL()); status != 0 {
			t.Fatalf("provision: %d %s", status, stderr)
		}
	}
	t.Setenv("ORDERFLOW_NATS_URL", server.URL())
	t.Setenv("ORDERFLOW_DATA", dir)
	t.Setenv("ORDERFLOW_WEBHOOKS", "127.0.0.1:0")
	t.Setenv("ORDERFLOW_LISTEN", "127.0.0.1:0")
	var processes []*process
	for _, s := range services() {
		processes = append(processes, begin(t, dir, s.name))
	}
	for i, s := range services() {
		awaitReady(t, dir, processes[i], s.name)
	}
	c := connect(t, server.URL())
	created := create(t, c, "o-1")
	showsVersion(t, c, "o-1", created.Revision, 1)
	for i, p := range processes {
		p.stop(t)
		if !strings.Contains(p.stderr.String(), "service stopped") {
			t.Errorf("%s did not say that it stopped:\n%s", services()[i].name, p.stderr)
		}
	}
}

// awaitReady finds a service's HTTP address in its log and waits until it says
// that it is ready.
func awaitReady(t *testing.T, dir string, p *process, name string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		for line := range strings.Lines(p.stderr.String()) {
			var entry struct {
				Message string `json:"message"`
				HTTP    string `json:"http"`
			}
			if json.Unmarshal([]byte(line), &entry) != nil || entry.Message != "service starts" {
				continue
			}
			if status, _, _ := once(t, dir, "healthcheck", "--http", entry.HTTP); status == 0 {
				return
			}
		}
		select {
		case <-p.ended:
			t.Fatalf("%s ended:\n%s", name, p.stderr)
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not ready:\n%s", name, p.stderr)
		}
	}
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
