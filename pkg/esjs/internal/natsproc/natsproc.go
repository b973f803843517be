// Package natsproc runs a nats-server in a process of its own, as users run it: what
// it allocates and collects is then not counted as that of the program that uses
// it, a round trip costs what it costs users, and it can be killed.
//
// The process is the program itself, started again: its main function calls [Serve]
// with the two arguments that [Start] has put behind the command.
package natsproc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// How a server syncs what it stores, as Serve's second argument.
const (
	SyncDefault = "default" // every two minutes
	SyncAlways  = "always"  // each write, before it is acknowledged
)

// recoveryTime bounds how long a server reads what it has stored.
const recoveryTime = 10 * time.Minute

// Serve runs a server that stores in dir, on a free port of the loopback interface.
// It writes the server's URL to out, answers what [Process] asks, and ends when in does.
func Serve(dir, sync string, in io.Reader, out io.Writer) error {
	if sync != SyncDefault && sync != SyncAlways {
		return fmt.Errorf("natsproc: the sync is %q; it must be %s or %s", sync, SyncDefault, SyncAlways)
	}
	opts := &server.Options{
		ServerName: "natsproc",
		Host:       "127.0.0.1", Port: server.RANDOM_PORT,
		JetStream: true, StoreDir: dir, JetStreamMaxStore: 64 << 30,
		SyncAlways: sync == SyncAlways,
		NoLog:      true, NoSigs: true,
	}
	if err := join(opts, dir); err != nil {
		return fmt.Errorf("natsproc: %w", err)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("natsproc: %w", err)
	}
	fatal := make(fatalErrors, 1)
	s.SetLogger(fatal, false, false)
	go s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	ready := make(chan bool, 1)
	go func() { ready <- s.ReadyForConnections(recoveryTime) }()
	select {
	case err := <-fatal: // such as a port that somebody has taken
		return err
	case ok := <-ready:
		if !ok {
			return errors.New("natsproc: the server does not accept connections")
		}
	}
	return Answer(s.ClientURL(), in, out, nil)
}

// fatalErrors is a server's log that keeps why it cannot start.
type fatalErrors chan error

// Fatalf keeps the first one.
func (f fatalErrors) Fatalf(format string, args ...any) {
	select {
	case f <- fmt.Errorf("natsproc: "+format, args...):
	default:
	}
}

func (fatalErrors) Noticef(string, ...any) {}
func (fatalErrors) Warnf(string, ...any)   {}
func (fatalErrors) Errorf(string, ...any)  {}
func (fatalErrors) Debugf(string, ...any)  {}
func (fatalErrors) Tracef(string, ...any)  {}

// Server is a process that runs [Serve].
type Server struct{ *Process }

// Start starts command with dir and sync as its last arguments and waits until the
// server in it accepts connections.
func Start(command []string, dir, sync string) (*Server, error) {
	p, err := Begin(append(command[:len(command):len(command)], dir, sync)...)
	if err != nil {
		return nil, err
	}
	return &Server{p}, nil
}

// URL is where the server is reached.
func (s *Server) URL() string { return s.Greeting() }

// member is what a server of a cluster finds beside its directory.
type member struct {
	Name   string   `json:"name"`
	Port   int      `json:"port"` // for the others
	Routes []string `json:"routes"`
}

func memberFile(dir string) string { return dir + ".cluster.json" }

// join makes the server one of a cluster, where [StartCluster] says so.
func join(opts *server.Options, dir string) error {
	text, err := os.ReadFile(memberFile(dir))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var m member
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		return err
	}
	opts.ServerName = m.Name
	opts.Cluster = server.ClusterOpts{Name: "natsproc", Host: opts.Host, Port: m.Port}
	for _, route := range m.Routes {
		u, err := url.Parse(route)
		if err != nil {
			return err
		}
		opts.Routes = append(opts.Routes, u)
	}
	return nil
}

// clusterTime bounds how long a new cluster takes to choose its leader.
const clusterTime = 3 * time.Minute

// StartCluster is [Start] for so many servers that keep copies of each other's streams, each in a
// directory of its own in dir, which must be there. It waits until they have a leader. Stop or kill each.
func StartCluster(ctx context.Context, command []string, dir, syncs string, size int) (servers []*Server, err error) {
	ports, err := FreePorts(size)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			for _, s := range servers {
				err = errors.Join(err, s.Stop())
			}
			servers = nil
		}
	}()
	var routes []string
	for _, port := range ports {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", port))
	}
	started := make([]*Server, size)
	errs := make([]error, size)
	var starting sync.WaitGroup
	for i, port := range ports { // together: none is ready without another one
		home := filepath.Join(dir, fmt.Sprint(i))
		starting.Go(func() {
			var text []byte
			if text, errs[i] = json.Marshal(member{Name: fmt.Sprintf("natsproc-%d", i), Port: port, Routes: routes}); errs[i] != nil {
				return
			}
			if errs[i] = os.WriteFile(memberFile(home), text, 0o600); errs[i] != nil {
				return
			}
			started[i], errs[i] = Start(command, home, syncs)
		})
	}
	starting.Wait()
	servers = slices.DeleteFunc(started, func(s *Server) bool { return s == nil })
	if err := errors.Join(errs...); err != nil {
		return servers, err
	}
	return servers, leads(ctx, servers[0].URL())
}

// leads waits until the cluster answers for its streams.
func leads(ctx context.Context, url string) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return fmt.Errorf("natsproc: %w", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("natsproc: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, clusterTime)
	defer cancel()
	for {
		once, cancel := context.WithTimeout(ctx, time.Second) // who is asked before there is a leader does not answer
		_, err = js.AccountInfo(once)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("natsproc: the cluster has no leader: %w", err)
		}
	}
}

// FreePorts finds ports that nobody listens on, below the range that the system gives to
// outgoing connections: for servers that must know each other's before they listen.
func FreePorts(n int) (ports []int, err error) {
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 15000+rand.IntN(15000)))
		if err != nil {
			continue
		}
		defer l.Close()
		if ports = append(ports, l.Addr().(*net.TCPAddr).Port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.New("natsproc: there are no free ports")
}
