package esjs_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/natsproc"
)

// beServer makes the test binary a server's process, which a test can kill.
const beServer = "be-a-nats-server"

func TestMain(m *testing.M) {
	var err error
	switch {
	case len(os.Args) == 4 && os.Args[1] == beServer:
		err = natsproc.Serve(os.Args[2], os.Args[3], os.Stdin, os.Stdout)
	case len(os.Args) == 3 && os.Args[1] == beGuarded:
		err = serveGuarded(os.Args[2], os.Stdin, os.Stdout)
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// startServer starts a server in a process of its own, which ends with the test
// unless that kills it.
func startServer(t testing.TB, dir string) *natsproc.Server {
	t.Helper()
	s, err := natsproc.Start([]string{os.Args[0], beServer}, dir, natsproc.SyncDefault)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	return s
}

// kill ends the server as kill -9 does.
func kill(t testing.TB, s *natsproc.Server) {
	t.Helper()
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
}
