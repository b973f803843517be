package esjs_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// guarded is a server with the user "admin", who may do everything, and others who may publish and subscribe as they
// are given.
//
// It is a process of its own because users change while it serves: nats-server 2.15.2 then writes an account's imports
// (server.configureAccounts) that its connections read (client.setupResponseServiceImport), a race of its own which is
// rare, harmless here, and would fail the tests of the process that has it. The race detector reports nothing there.
type guarded struct {
	mu    sync.Mutex
	in    io.Writer
	out   *bufio.Reader
	where string // host and port
}

// beGuarded makes the test binary that server's process: see serveGuarded.
const beGuarded = "be-a-guarded-nats-server"

type rights = map[string]*server.Permissions

func startGuarded(t *testing.T, all rights) *guarded {
	t.Helper()
	cmd := exec.Command(os.Args[0], beGuarded, t.TempDir())
	cmd.Env, cmd.Stderr = append(os.Environ(), "GORACE="+os.Getenv("GORACE")+" report_bugs=0"), os.Stderr
	in, errIn := cmd.StdinPipe()
	out, errOut := cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server with users ended with %v", err)
		}
	})
	g := &guarded{in: in, out: bufio.NewReader(out)}
	g.where = g.become(t, all)
	return g
}

// become gives the server these users, and returns its address.
func (g *guarded) become(t *testing.T, all rights) string {
	t.Helper()
	line, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	_, err = fmt.Fprintf(g.in, "%s\n", line)
	answer, errRead := g.out.ReadString('\n')
	where, ok := strings.CutPrefix(strings.TrimSpace(answer), "at ")
	if err := errors.Join(err, errRead); err != nil || !ok {
		t.Fatalf("the server with users says %q: %v", answer, err)
	}
	return where
}

func (g *guarded) url(user string) string { return "nats://" + user + ":x@" + g.where }

// deny takes rights of the user "denied" away, also on connections that are there, and gives others back.
func (g *guarded) deny(t *testing.T, subjects ...string) {
	t.Helper()
	g.become(t, denied(subjects...))
}

// serveGuarded runs a server that stores in dir, with the users that each line of in has from then on, and says on out
// where it is. It ends when in does.
func serveGuarded(dir string, in io.Reader, out io.Writer) error {
	var s *server.Server
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var others rights
		if err := json.Unmarshal(lines.Bytes(), &others); err != nil {
			return err
		}
		all := []*server.User{{Username: "admin", Password: "x"}}
		for name, may := range others {
			all = append(all, &server.User{Username: name, Password: "x", Permissions: may})
		}
		opts := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true, Users: all}
		if s != nil {
			if err := s.ReloadOptions(opts); err != nil {
				return err
			}
		} else {
			var err error
			if s, err = server.NewServer(opts); err != nil {
				return err
			}
			go s.Start()
			defer s.WaitForShutdown()
			defer s.Shutdown()
			if !s.ReadyForConnections(30 * time.Second) {
				return errors.New("the server does not start")
			}
		}
		if _, err := fmt.Fprintln(out, "at", s.Addr()); err != nil {
			return err
		}
	}
	return lines.Err()
}
