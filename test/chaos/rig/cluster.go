//go:build linux

package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Size is how many servers a cluster has.
const Size = 3

// Config says how a cluster is made.
type Config struct {
	Program string // nats-server
	Dir     string // for disks, configurations and logs
	Sync    string // the servers' sync_interval: "always", or a duration
	Disk    int64  // bytes of each server's disk
}

// Cluster is three servers. Its methods that do something to a server take its index.
type Cluster struct {
	network *network
	servers []*server
}

// Start starts the servers and waits until they are healthy. Stop the cluster.
func Start(ctx context.Context, cfg Config) (_ *Cluster, err error) {
	c := &Cluster{}
	defer func() {
		if err != nil {
			c.Stop()
		}
	}()
	if c.network, err = newNetwork(ctx, Size); err != nil {
		return nil, err
	}
	var routes []string
	for i := range Size {
		routes = append(routes, strconv.Quote("nats://"+c.network.Address(i)+":6222"))
	}
	for i := range Size {
		s := &server{
			name: fmt.Sprint("n", i+1), address: c.network.Address(i), namespace: c.network.servers[i],
			home: filepath.Join(cfg.Dir, fmt.Sprint("n", i+1)),
		}
		if s.disk, err = NewDisk(ctx, s.home, cfg.Disk); err != nil {
			return nil, err
		}
		c.servers = append(c.servers, s)
		if err := s.configure(cfg.Program, cfg.Sync, routes); err != nil {
			return nil, err
		}
		if err := s.process.Start(); err != nil {
			return nil, err
		}
	}
	return c, c.Healthy(ctx, time.Minute)
}

// Stop kills the servers and removes networks and mounts; files stay.
func (c *Cluster) Stop() {
	ctx := context.Background()
	for _, s := range c.servers {
		_ = s.process.End(ctx, syscall.SIGKILL) // a killed process ends
		s.disk.Remove()
	}
	if c.network != nil {
		c.network.Remove()
	}
}

// URL names all servers.
func (c *Cluster) URL() string {
	var urls []string
	for _, s := range c.servers {
		urls = append(urls, "nats://"+s.address+":4222")
	}
	return strings.Join(urls, ",")
}

// Name is a server's.
func (c *Cluster) Name(server int) string { return c.servers[server].name }

// Index finds a server by name; -1 where there is none.
func (c *Cluster) Index(name string) int {
	for i, s := range c.servers {
		if s.name == name {
			return i
		}
	}
	return -1
}

// Log is the file with what a server says.
func (c *Cluster) Log(server int) string { return c.servers[server].file("log") }

// Healthy waits until all servers are, at most for within.
func (c *Cluster) Healthy(ctx context.Context, within time.Duration) error {
	for deadline := time.Now().Add(within); ; {
		var sick error
		for _, s := range c.servers {
			sick = errors.Join(sick, s.healthy(ctx))
		}
		switch {
		case sick == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case time.Now().After(deadline):
			return fmt.Errorf("not all servers are healthy after %s: %w", within, sick)
		}
		if err := Pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

// Kill ends servers as kill -9 does, all at once.
func (c *Cluster) Kill(ctx context.Context, servers ...int) error {
	var err error
	for _, i := range servers {
		err = errors.Join(err, c.servers[i].process.Signal(syscall.SIGKILL))
	}
	for _, i := range servers {
		err = errors.Join(err, c.servers[i].process.End(ctx, syscall.SIGKILL))
	}
	return err
}

// Shutdown ends a server as an operator does.
func (c *Cluster) Shutdown(ctx context.Context, server int) error {
	return c.servers[server].process.End(ctx, syscall.SIGTERM)
}

// Run starts servers that have ended.
func (c *Cluster) Run(servers ...int) error {
	for _, i := range servers {
		if err := c.servers[i].process.Start(); err != nil {
			return err
		}
	}
	return nil
}

// Replace ends a server as an operator does, and starts another nats-server program in its place.
func (c *Cluster) Replace(ctx context.Context, server int, program string) error {
	s := c.servers[server]
	if err := s.process.End(ctx, syscall.SIGTERM); err != nil {
		return err
	}
	s.process.SetCommand(s.command(program)...)
	return s.process.Start()
}

// Version asks a server for its own.
func (c *Cluster) Version(ctx context.Context, server int) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Monitor(server)+"/varz", http.NoBody)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var varz struct {
		Version string `json:"version"`
	}
	return varz.Version, json.NewDecoder(answer.Body).Decode(&varz)
}

// Pause stops a server's process, and Resume lets it go on.
func (c *Cluster) Pause(server int) error { return c.servers[server].process.Signal(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (c *Cluster) Resume(server int) error { return c.servers[server].process.Signal(syscall.SIGCONT) }

// Cut takes the network between a server and all others; from its clients too
// where they are to be.
func (c *Cluster) Cut(ctx context.Context, server int, clients bool) error {
	d := drops{in: c.others(server), out: c.others(server)}
	if clients {
		d.in, d.out = append(d.in, c.network.clientAddress()), append(d.out, c.network.clientAddress())
	}
	return c.network.filter(ctx, server, d)
}

// Deafen lets a server send to the others and hear nothing of them.
func (c *Cluster) Deafen(ctx context.Context, server int) error {
	return c.network.filter(ctx, server, drops{in: c.others(server)})
}

// Isolate takes the network between a server and its clients alone.
func (c *Cluster) Isolate(ctx context.Context, server int) error {
	clients := []string{c.network.clientAddress()}
	return c.network.filter(ctx, server, drops{in: clients, out: clients})
}

// Lose loses a share of the packets that come to a server.
func (c *Cluster) Lose(ctx context.Context, server, percent int) error {
	return c.network.filter(ctx, server, drops{loss: percent})
}

// Heal lets everything arrive at a server again.
func (c *Cluster) Heal(ctx context.Context, server int) error {
	return c.network.filter(ctx, server, drops{})
}

// Slow slows what a server sends, and tells how; Fast ends it.
func (c *Cluster) Slow(ctx context.Context, server int) (how string, err error) {
	return c.network.slow(ctx, server)
}

// Fast ends what Slow began.
func (c *Cluster) Fast(ctx context.Context, server int) error { return c.network.fast(ctx, server) }

func (c *Cluster) others(server int) (addresses []string) {
	for i, s := range c.servers {
		if i != server {
			addresses = append(addresses, s.address)
		}
	}
	return addresses
}

// Fill leaves no room on a server's disk, and Empty gives it back.
func (c *Cluster) Fill(server int) error { return c.servers[server].disk.fill() }

// Empty gives a filled disk its room back.
func (c *Cluster) Empty(server int) error { return c.servers[server].disk.empty() }

// PowerOff kills servers, and forgets what their disks have not synced.
func (c *Cluster) PowerOff(ctx context.Context, servers ...int) error {
	err := c.Kill(ctx, servers...)
	for _, i := range servers {
		err = errors.Join(err, c.servers[i].disk.Lose(ctx))
	}
	return err
}

// Process is a server's.
func (c *Cluster) Process(server int) *Process { return c.servers[server].process }

// Monitor is the URL at which a server tells of itself.
func (c *Cluster) Monitor(server int) string { return "http://" + c.servers[server].address + ":8222" }

// Profiles is the URL at which Go's runtime tells of a server.
func (c *Cluster) Profiles(server int) string {
	return "http://" + c.servers[server].address + ":8223/debug/pprof"
}

// Data is the directory of what a server stores.
func (c *Cluster) Data(server int) string { return c.servers[server].disk.dir }
