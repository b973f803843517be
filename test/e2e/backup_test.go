package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/test/program"
	"github.com/b144f99b/orderflow/test/truth"
	"github.com/nats-io/nats.go"
)

// The drill as an operator does it: on a server with accounts a backup is taken while orders are placed, by
// the user who may; it is brought back on another one by the user who may, and the services go on
// there. What was under way ends, and nobody pays twice.
func TestABackupIsBroughtBackBetweenServersWithAccounts(t *testing.T) {
	g := guard(t)
	g.stocked(t, "beans-1kg", 100_000)
	key, err := nats.NkeyOptionFromSeed(g.key("operator"))
	if err != nil {
		t.Fatal(err)
	}
	customers := g.customers(t, 3, key, nats.CustomInboxPrefix("_INBOX.operator"))
	program.Until(t, patience, "some orders are placed", func() bool { return len(customers.soFar()) >= 6 })
	shelf := filepath.Join(g.home, "backups")
	if err := os.Mkdir(shelf, 0o700); err != nil {
		t.Fatal(err)
	}
	before := customers.soFar()
	if r := g.tool(t, "orderflow", "backup", "--keep", "2", shelf, "--nats-nkey", g.key("backup")); r.status != 0 {
		t.Fatalf("backup: %+v", r)
	}
	all := customers.end(t)
	for _, p := range g.all {
		p.interrupt(t)
	}
	g.server.interrupt(t)
	files, err := filepath.Glob(filepath.Join(shelf, "*.backup"))
	if err != nil || len(files) != 1 {
		t.Fatalf("backups: %v %v", files, err)
	}

	g.withoutOrderflow(t, files[0])

	fresh := guardedServer(t)
	if r := fresh.tool(t, "orderflow", "provision", "--nats-nkey", fresh.key("provision")); r.status != 0 { // as a deployment does
		t.Fatalf("provision: %+v", r)
	}
	r := fresh.tool(t, "orderflow", "restore", files[0], "--nats-nkey", fresh.key("restore"))
	if r.status != 0 || !strings.HasSuffix(r.stdout, "\nAll is as it was written.\n") {
		t.Fatalf("restore: %+v", r)
	}
	if r := fresh.tool(t, "orderflow", "restore", files[0], "--nats-nkey", fresh.key("restore")); r.status != 3 || !strings.Contains(r.stderr, "has had") {
		t.Errorf("restored again: %+v", r)
	}
	// The partners are others' and remember everything.
	if err := os.CopyFS(filepath.Join(fresh.home, "partners"), os.DirFS(filepath.Join(g.home, "partners"))); err != nil {
		t.Fatal(err)
	}
	fresh.serve(t)
	for _, id := range before {
		await(t, func() order { return fresh.shown(t, id) }, "Completed")
	}
	var page struct {
		Orders []order `json:"orders"`
	}
	program.Until(t, patience, "every order that was submitted has ended", func() bool {
		decode(t, fresh.tool(t, "orderflow", "order", "list", "--limit", "200", "--json").stdout, &page)
		for _, o := range page.Orders {
			if o.State != "Draft" && o.State != "Completed" {
				return false
			}
		}
		return len(page.Orders) >= len(before)
	})
	ledger, err := truth.ReadLedger(t.Context(), http.DefaultClient, fresh.partners)
	if err != nil || len(ledger.Payments) < len(all) {
		t.Errorf("the provider has %d payments of %d orders, %v", len(ledger.Payments), len(all), err)
	}
	for _, p := range ledger.Payments {
		if p.Captures > 1 {
			t.Errorf("the provider has captured %+v", p)
		}
	}
	t.Logf("%d orders were placed, %d of them before the backup; it has %d", len(all), len(before), len(page.Orders))
	if r := fresh.tool(t, "orderflow", "verify"); r.status != 0 {
		t.Errorf("verify: %+v", r)
	}
	for _, line := range append(g.violations(), fresh.violations()...) {
		t.Errorf("a server refused what is needed: %s", line)
	}
}

// withoutOrderflow brings the events of a backup back by tar and the nats CLI alone; what they are is then verified.
func (g *guarded) withoutOrderflow(t *testing.T, file string) {
	t.Helper()
	home := t.TempDir()
	server := begin(t, home, "nats-server", "-c", config(t, home))
	s := &system{home: home, nats: server.listens(t)}
	r := s.tool(t, "/bin/sh", "-ec", `unset ORDERFLOW_NATS_NKEY NATS_CONTEXT # which are for the server that was
		tar xf "$0"
		nats backup restore stream EVENTS
		orderflow provision
		orderflow verify`, file)
	if r.status != 0 || !strings.HasSuffix(r.stdout, "\nAll is as it was written.\n") || strings.Contains(r.stdout, ": 0 aggregates") {
		t.Errorf("by tar and the nats CLI: %+v", r)
	}
	server.interrupt(t)
}
