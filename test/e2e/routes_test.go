package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/test/program"
)

// Who opens a route to a server is a server itself, whom no permission holds: he could publish every service's events. So
// servers ask each other for a password. Who reaches the port and has none, or another's, is refused by each.
func TestRoutesNeedThePasswordOfTheCluster(t *testing.T) {
	m := cluster(t, "nats-1", "nats-2", "nats-3", "nats-4")
	for _, name := range []string{"nats-1", "nats-2", "nats-3"} {
		for what, says := range map[string]string{
			"no password":      `CONNECT {"name":"stranger","cluster":"orderflow"}`,
			"another password": `CONNECT {"name":"stranger","cluster":"orderflow","user":"routes","pass":"orderflow"}`,
			"another user":     `CONNECT {"name":"stranger","cluster":"orderflow","user":"order","pass":"orderflow"}`,
			"no introduction":  "RS+ APP ev.>",
		} {
			if said := m.answered(t, name, says); !strings.Contains(said, "-ERR 'Authorization Violation'") {
				t.Errorf("%s answers to %s: %s", name, what, said)
			}
		}
	}

	strange := filepath.Join(m.home, "strange")
	if r := m.tool(t, "orderflow", "keys", strange); r.status != 0 {
		t.Fatalf("keys: %+v", r)
	}
	stranger := m.begin(t, "nats-4", strange)
	stranger.listens(t)
	for _, name := range []string{"nats-1", "nats-2", "nats-3"} {
		said := len(m.running[name].stderr.String())
		program.Until(t, patience, name+" refuses a server", func() bool {
			return strings.Contains(m.running[name].stderr.String()[said:], `authentication error - User "routes"`)
		})
	}
	if said := m.as(t, "sysadmin", "server", "list").stdout; !strings.Contains(said, "nats-3") || strings.Contains(said, "nats-4") {
		t.Errorf("the servers are %s", said)
	}
	stranger.kill(t)
	if err := os.RemoveAll(m.disk("nats-4")); err != nil {
		t.Fatal(err)
	}
	m.start(t, "nats-4") // as the stranger, but for the password
	program.Until(t, patience, "it is one of the servers", func() bool {
		return strings.Contains(m.as(t, "sysadmin", "server", "list").stdout, "nats-4")
	})
}

// answered is all that a server answers on the port of its routes until it hangs up.
func (m *members) answered(t *testing.T, name, line string) string {
	t.Helper()
	conn, err := net.Dial("tcp", m.addresses[name][1])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "%s\r\nPING\r\n", line); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s does not hang up", name)
	}
	return string(said)
}
