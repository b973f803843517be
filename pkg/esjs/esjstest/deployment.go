package esjstest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// patience bounds every wait of this package: more than an election takes on a
// loaded machine.
const patience = 3 * time.Minute

// Deployment is one running nats-server, or a cluster of them. Its methods are
// safe for concurrent use, except Restart, Stop and Start of one server at the same time.
type Deployment struct {
	options []*server.Options
	config  config

	mu      sync.Mutex
	servers []*server.Server
	dialed  []*nats.Conn
	rigs    int // stores that were provisioned for rigs
}

// Replicas is the number of servers, and of the replicas that streams should have.
func (d *Deployment) Replicas() int { return len(d.options) }

// URL lists the client URLs of all servers, separated by commas.
func (d *Deployment) URL() string {
	urls := make([]string, len(d.options))
	for i := range d.options {
		urls[i] = d.url(i)
	}
	return strings.Join(urls, ",")
}

func (d *Deployment) url(i int) string {
	return fmt.Sprintf("nats://%s:%d", d.options[i].Host, d.options[i].Port)
}

// Servers returns the servers, in the order of their numbers. Restart replaces one.
func (d *Deployment) Servers() []*server.Server {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]*server.Server(nil), d.servers...)
}

// Dial connects to any of the servers. What it opened is closed with the test
// at the latest.
func (d *Deployment) Dial() esjs.Dial { return d.dial(d.URL(), -1, nil) }

// DialServer connects to server i only, and stays with it.
func (d *Deployment) DialServer(i int) esjs.Dial {
	return d.dial(d.url(i), i, nil, nats.IgnoreDiscoveredServers())
}

// dial connects to the servers of url, or inside the process to the server of
// that number, -1 for any; through faults unless these are nil.
func (d *Deployment) dial(url string, server int, faults *Faults, options ...nats.Option) esjs.Dial {
	return func(purpose string) (*nats.Conn, error) {
		all := append([]nats.Option{
			nats.Name(purpose), nats.Timeout(patience / 12), nats.MaxReconnects(-1),
			nats.ReconnectWait(20 * time.Millisecond), nats.ReconnectJitter(10*time.Millisecond, 10*time.Millisecond),
		}, options...)
		switch {
		case d.config.inProcess:
			all = append(all, nats.InProcessServer(pipes{d, server, faults}))
		case faults != nil:
			all = append(all, nats.SetCustomDialer(dialer{faults}))
		}
		nc, err := nats.Connect(url, all...)
		if err != nil {
			return nil, err
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.dialed = append(d.dialed, nc)
		return nc, nil
	}
}

// Connect opens a connection for the test itself.
func (d *Deployment) Connect(t testing.TB) *nats.Conn {
	t.Helper()
	nc, err := d.Dial()("test")
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	return nc
}

// Config is a store that fits the deployment, with as many replicas as servers.
func (d *Deployment) Config() esjs.Config {
	return esjs.Config{Replicas: d.Replicas(), MaxBytes: d.config.maxBytes, Partitions: d.config.partitions}
}

// Store provisions and opens the store of [Deployment.Config]. It is closed with the test.
func (d *Deployment) Store(t testing.TB) *esjs.Store {
	t.Helper()
	return d.StoreWith(t, d.Config())
}

// StoreWith is Store with another configuration.
func (d *Deployment) StoreWith(t testing.TB, cfg esjs.Config) *esjs.Store {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := esjs.Provision(ctx, d.Dial(), cfg); err != nil {
		t.Fatalf("provision the store: %v", err)
	}
	store, err := esjs.Open(ctx, d.Dial(), cfg)
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	t.Cleanup(store.Close)
	return store
}
