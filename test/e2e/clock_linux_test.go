package e2e

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/test/chaos/rig"
	"github.com/b144f99b/orderflow/test/program"
)

// A service's clock is a minute ahead, then behind: it says so, is not ready, and works; when the clock is right it is
// ready again, by itself.
func TestAClockThatIsAMinuteOff(t *testing.T) {
	home := t.TempDir()
	server := begin(t, home, "nats-server", "-c", config(t, home))
	s := &system{home: home, nats: server.listens(t)}
	if r := s.tool(t, "orderflow", "provision", "--events-max-bytes", "100000000"); r.status != 0 {
		t.Fatalf("provision: %+v", r)
	}
	service := begin(t, home, "orderflow", "order", "--nats-url", s.nats)
	service.ready(t, s)
	health := service.logged(t, "service starts", "http")
	if err := rig.SetClock(service.cmd.Process.Pid, 0); err != nil {
		if os.Geteuid() == 0 && runtime.GOARCH == "amd64" {
			t.Fatal(err)
		}
		//nolint:forbidigo // whoever is not root can test everything else; what the service makes of clocks is tested without, too
		t.Skipf("NOT RUN: a process's clock can be set only by root, on amd64: %v", err)
	}
	s.must(t, "cmd.order.o-1.create", `{"customer_id":"c-1","currency":"EUR"}`)
	for wrong, says := range map[time.Duration]string{time.Minute: "1m0s ahead of", -time.Minute: "1m0s behind"} {
		if err := rig.SetClock(service.cmd.Process.Pid, wrong); err != nil {
			t.Fatal(err)
		}
		program.Until(t, patience, "the service says that the clock is "+says, func() bool {
			r := s.tool(t, "orderflow", "healthcheck", "--http", health)
			return r.status == 6 && strings.Contains(r.stderr, says)
		})
		s.must(t, "cmd.order.o-1.set-shipping", `{"address_ref":"addr-`+wrong.String()+`","country":"DE"}`)
		if err := rig.SetClock(service.cmd.Process.Pid, 0); err != nil {
			t.Fatal(err)
		}
		program.Until(t, patience, "the service is ready again", func() bool {
			return s.tool(t, "orderflow", "healthcheck", "--http", health).status == 0
		})
	}
	if r := s.tool(t, "orderflow", "verify"); r.status != 0 {
		t.Errorf("verify: %+v", r)
	}
	service.interrupt(t)
}
