package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/test/program"
)

// members are three nats-servers with the configuration of deploy/nats, nats-1 to nats-3, each with a disk of its own, and
// further ones that may join them. The system's URL is that of the first, which is never lost.
type members struct {
	*guarded
	running   map[string]*process
	addresses map[string][2]string // of each name: for clients, and for the others
}

// cluster starts the first three of the servers that there will be, and creates the streams.
func cluster(t *testing.T, names ...string) *members {
	t.Helper()
	home := t.TempDir()
	m := &members{
		guarded: &guarded{system: &system{home: home}, keys: filepath.Join(home, "keys")},
		running: map[string]*process{}, addresses: map[string][2]string{},
	}
	if r := m.tool(t, "orderflow", "keys", m.keys); r.status != 0 {
		t.Fatalf("keys: %+v", r)
	}
	free, err := program.FreeAddresses(2 * len(names))
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		m.addresses[name] = [2]string{free[2*i], free[2*i+1]}
	}
	for _, name := range names[:3] {
		m.start(t, name)
	}
	m.nats = "nats://" + m.addresses[names[0]][0]
	t.Setenv("ORDERFLOW_NATS_NKEY", m.key("operator"))
	if r := m.tool(t, "orderflow", "provision", "--replicas", "3", "--wait", "2m", "--nats-nkey", m.key("provision")); r.status != 0 {
		t.Fatalf("provision: %+v", r)
	}
	return m
}

// disk is where a server has its streams.
func (m *members) disk(name string) string { return filepath.Join(m.home, name, "streams") }

// start starts a server, with the disk that it has or with none.
func (m *members) start(t *testing.T, name string) {
	t.Helper()
	m.running[name] = m.begin(t, name, m.keys)
	m.running[name].listens(t)
}

// begin starts a server that knows the first three, with what "orderflow keys" has made in a directory.
func (m *members) begin(t *testing.T, name, keys string) *process {
	t.Helper()
	dir := filepath.Join(m.home, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	deployed(t, dir, keys)
	moved := strings.NewReplacer("0.0.0.0:6222", m.addresses[name][1],
		"@nats:6222", "@"+m.addresses["nats-1"][1], "@nats-2:6222", "@"+m.addresses["nats-2"][1], "@nats-3:6222", "@"+m.addresses["nats-3"][1])
	for _, from := range []string{filepath.Join(root(), "deploy", "nats", "cluster.conf"), filepath.Join(keys, "routes.conf")} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(from)), []byte(moved.Replace(string(text))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("NATS_SERVER_NAME", name)
	return begin(t, m.home, "nats-server", "-c", filepath.Join(dir, "cluster.conf"), "-a", "127.0.0.1", "-p", program.Port(m.addresses[name][0]), "-m", "-1")
}

// as runs the nats CLI as a user, as deploy/README.md says. It waits its whole timeout for servers that may be there,
// and is asked again when that was too short.
func (m *members) as(t *testing.T, user string, args ...string) result {
	t.Helper()
	return m.tool(t, "nats", append([]string{"--no-context", "--nkey", m.key(user), "--inbox-prefix", "_INBOX." + user, "--timeout", "2s"}, args...)...)
}

// kept waits until each stream has a leader and its copies on these servers, all current, as "nats stream report" shows it.
func (m *members) kept(t *testing.T, names ...string) {
	t.Helper()
	program.Until(t, patience, fmt.Sprint("all streams are on ", names), func() bool {
		said := m.as(t, "operator", "stream", "report").stdout
		streams := 0
		for line := range strings.Lines(said) {
			cells := strings.Split(strings.TrimSpace(line), "│")
			if len(cells) < 4 || strings.TrimSpace(cells[2]) != "File" {
				continue
			}
			streams++
			servers := strings.TrimSpace(cells[len(cells)-2])
			if strings.Count(servers, "*") != 1 || strings.ReplaceAll(servers, "*", "") != strings.Join(names, ", ") { // "!" is behind what is not current
				return false
			}
		}
		return streams > 10
	})
}

// verified checks that each of the servers has all that was written.
func (m *members) verified(t *testing.T, names ...string) {
	t.Helper()
	r := m.tool(t, "orderflow", "verify", "--each-replica")
	if r.status != 0 || strings.Count(r.stdout, "All is as it was written.") != len(names) {
		t.Errorf("verify: %+v", r)
	}
	for _, name := range names {
		if !strings.Contains(r.stdout, "server "+name+" up to ") {
			t.Errorf("%s was not verified: %s", name, r.stdout)
		}
	}
}

// ordered writes: it is repeated with its id until it is known to be stored, because a leader may be chosen just now.
func (m *members) ordered(t *testing.T, id string) {
	t.Helper()
	program.Until(t, patience, "an order is taken", func() bool {
		return m.tool(t, "orderflow", "order", "create", id, "--customer", "c-1", "--currency", "EUR", "--command-id", id).status == 0
	})
}

// A server of three is lost for ever, as docs/operations/runbooks/lost-server.md says: one of the same name with an empty
// disk takes everything from the others by itself; one of another name does when the lost one was removed.
func TestALostServerIsReplaced(t *testing.T) {
	m := cluster(t, "nats-1", "nats-2", "nats-3", "nats-4")
	begin(t, m.home, "orderflow", "order", "--nats-url", m.nats, "--nats-nkey", m.key("order")).ready(t, m.system)
	m.ordered(t, "o-1")

	m.running["nats-3"].kill(t)
	if err := os.RemoveAll(m.disk("nats-3")); err != nil {
		t.Fatal(err)
	}
	m.ordered(t, "o-2")
	m.start(t, "nats-3")
	m.kept(t, "nats-1", "nats-2", "nats-3")
	m.verified(t, "nats-1", "nats-2", "nats-3")

	m.running["nats-3"].kill(t)
	m.ordered(t, "o-3")
	program.Until(t, patience, "there is a leader that takes it", func() bool {
		return m.as(t, "sysadmin", "server", "cluster", "peer-remove", "nats-3", "--force").status == 0
	})
	m.kept(t, "nats-1", "nats-2")
	m.ordered(t, "o-4")
	m.start(t, "nats-4")
	m.kept(t, "nats-1", "nats-2", "nats-4")
	m.verified(t, "nats-1", "nats-2", "nats-4")

	program.Until(t, patience, "another one leads", func() bool {
		r := m.as(t, "sysadmin", "server", "cluster", "step-down")
		return strings.Contains(r.stdout+r.stderr, "New leader elected")
	})
	m.ordered(t, "o-5")
}

// Two of three are lost for ever with their disks, as docs/operations/runbooks/lost-quorum.md says: the one that is left is
// told that it is enough, and has everything; new ones take it from there.
func TestTheLastServerIsRescued(t *testing.T) {
	m := cluster(t, "nats-1", "nats-2", "nats-3", "nats-4", "nats-5")
	begin(t, m.home, "orderflow", "order", "--nats-url", m.nats, "--nats-nkey", m.key("order")).ready(t, m.system)
	m.ordered(t, "o-1")
	m.kept(t, "nats-1", "nats-2", "nats-3")
	m.running["nats-2"].kill(t)
	m.running["nats-3"].kill(t)
	program.Until(t, patience, "it does not know a leader any more, and is rescued", func() bool {
		return strings.Contains(m.as(t, "sysadmin", "req", "$JS.API.META.RESCUE", `{"quorum_needed":1}`).stdout, `"new_quorum":1`)
	})
	for _, lost := range []string{"nats-2", "nats-3"} {
		program.Until(t, patience, lost+" is removed", func() bool {
			return m.as(t, "sysadmin", "server", "cluster", "peer-remove", lost, "--force").status == 0
		})
	}
	m.kept(t, "nats-1")
	m.ordered(t, "o-2")
	m.start(t, "nats-4")
	m.start(t, "nats-5")
	m.kept(t, "nats-1", "nats-4", "nats-5")
	m.verified(t, "nats-1", "nats-4", "nats-5")
}
