package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/b144f99b/orderflow/test/program"
)

// The disk of a NATS server is full: the service says that nothing can be stored and is not ready. When there is
// room and the server was restarted it goes on by itself, and nothing that was acknowledged is lost.
func TestAFullDiskIsSaidAndSurvived(t *testing.T) {
	home := t.TempDir()
	disk := filepath.Join(home, "nats")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=24m"); err != nil {
		if os.Geteuid() == 0 && !errors.Is(err, syscall.EPERM) { // which root is told in a container without SYS_ADMIN
			t.Fatalf("a small disk cannot be mounted: %v", err)
		}
		//nolint:forbidigo // whoever is not root can test everything else; chaos fills a disk, too, and says when it cannot
		t.Skipf("NOT RUN: a small disk can be mounted only by root with SYS_ADMIN: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	conf := config(t, home)
	server := begin(t, home, "nats-server", "-c", conf)
	s := &system{home: home, nats: server.listens(t)}
	if r := s.tool(t, "orderflow", "provision", "--events-max-bytes", "100000000"); r.status != 0 {
		t.Fatalf("provision: %+v", r)
	}
	service := begin(t, home, "orderflow", "order", "--nats-url", s.nats, "--lease", "4s")
	service.ready(t, s)
	health := service.logged(t, "service starts", "http")
	s.must(t, "cmd.order.o-1.create", `{"customer_id":"c-1","currency":"EUR"}`)

	ballast := filepath.Join(disk, "ballast")
	file, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = file.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	program.Until(t, patience, "the service says that it cannot store", func() bool {
		r := s.tool(t, "orderflow", "healthcheck", "--http", health)
		return r.status == 6 && strings.Contains(r.stderr, "its lease was not renewed in time")
	})
	server.find(t, "what the disk is", func(line string) string {
		if strings.Contains(line, "no space left on device") {
			return line
		}
		return ""
	})
	service.logged(t, "the lease was not renewed in time; it is tried again", "subscription")

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	server.kill(t)
	_, port, _ := strings.Cut(strings.TrimPrefix(s.nats, "nats://"), ":")
	begin(t, home, "nats-server", "-c", conf, "-a", "127.0.0.1", "-p", port)
	program.Until(t, patience, "the service is ready again", func() bool {
		return s.tool(t, "orderflow", "healthcheck", "--http", health).status == 0
	})
	s.must(t, "cmd.order.o-1.set-shipping", `{"address_ref":"addr-1","country":"DE"}`)
	if r := s.tool(t, "orderflow", "verify"); r.status != 0 {
		t.Errorf("verify: %+v", r)
	}
	service.interrupt(t)
}
