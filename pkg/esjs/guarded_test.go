package esjs_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/natsproc"
	"github.com/nats-io/nats-server/v2/server"
)

// guarded is a server with the user "admin", who may do everything, and others who may publish and subscribe as they
// are given.
//
// It is a process of its own because users change while it serves: nats-server 2.15.2 then writes an account's imports
// (server.configureAccounts) that its connections read (client.setupResponseServiceImport), a race of its own which is
// rare, harmless here, and would fail the tests of the process that has it. The race detector reports nothing there.
type guarded struct{ *natsproc.Process }

// beGuarded makes the test binary that server's process: see serveGuarded.
const beGuarded = "be-a-guarded-nats-server"

type rights = map[string]*server.Permissions

func startGuarded(t *testing.T, users rights) guarded {
	t.Helper()
	p, err := natsproc.Begin("env", "GORACE="+os.Getenv("GORACE")+" report_bugs=0", os.Args[0], beGuarded, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	g := guarded{p}
	g.become(t, users)
	return g
}

// become gives the server these users, also on connections that are there.
func (g guarded) become(t *testing.T, users rights) {
	t.Helper()
	line, err := json.Marshal(users)
	if err == nil {
		err = g.Tell(string(line))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (g guarded) url(user string) string {
	return strings.Replace(g.Greeting(), "nats://", "nats://"+user+":x@", 1)
}

// deny takes rights of the user "denied" away, also on connections that are there, and gives others back.
func (g guarded) deny(t *testing.T, subjects ...string) {
	t.Helper()
	g.become(t, denied(subjects...))
}

// serveGuarded runs a server that stores in dir, with the users that it is told on in, and ends when in does.
func serveGuarded(dir string, in io.Reader, out io.Writer) error {
	options := func(users rights) *server.Options {
		all := []*server.User{{Username: "admin", Password: "x"}}
		for name, may := range users {
			all = append(all, &server.User{Username: name, Password: "x", Permissions: may})
		}
		return &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true, Users: all}
	}
	s, err := server.NewServer(options(nil))
	if err != nil {
		return err
	}
	go s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	if !s.ReadyForConnections(30 * time.Second) {
		return errors.New("the server does not start")
	}
	return natsproc.Answer("nats://"+s.Addr().String(), in, out, func(line string) error {
		var users rights
		if err := json.Unmarshal([]byte(line), &users); err != nil {
			return err
		}
		return s.ReloadOptions(options(users))
	})
}
