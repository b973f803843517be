package esjstest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nuid"
)

// Option changes how a deployment runs.
type Option func(*config)

type config struct {
	syncAlways bool
	inProcess  bool
	maxBytes   int64
	partitions int
}

// SyncAlways makes the server sync every message to disk before it
// acknowledges it, as a production server must.
func SyncAlways() Option { return func(c *config) { c.syncAlways = true } }

// InProcess connects by a pipe instead of TCP, which is several times faster; in
// a cluster, to any of its servers.
func InProcess() Option { return func(c *config) { c.inProcess = true } }

// MaxBytes changes the limit of the event stream from 256 MiB; a server holds
// 64 GiB in all streams and buckets.
func MaxBytes(n int64) Option { return func(c *config) { c.maxBytes = n } }

// Partitions spreads the event store over so many streams. Without it the environment's
// ESJSTEST_PARTITIONS says over how many; default 1.
func Partitions(n int) Option { return func(c *config) { c.partitions = n } }

// Server runs one nats-server with file storage in a directory of the test, on
// a free loopback port. It ends with the test.
func Server(t testing.TB, options ...Option) *Deployment {
	t.Helper()
	d, stop, err := Start(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return d
}

// Start is [Server] for what is not a test: examples, and programs that try
// something out. stop ends the server and removes its files.
func Start(options ...Option) (d *Deployment, stop func(), err error) {
	dir, err := os.MkdirTemp("", "esjstest-")
	if err != nil {
		return nil, nil, err
	}
	d = newDeployment(options)
	o := d.serverOptions(filepath.Join(dir, "data"))
	o.Port = server.RANDOM_PORT
	d.options = []*server.Options{o}
	stop = func() {
		d.shutdown()
		// A server that has shut down may still be writing a last file.
		until(func() bool { return os.RemoveAll(dir) == nil })
	}
	s, err := start(o)
	if err != nil {
		stop()
		return nil, nil, fmt.Errorf("start a nats-server: %w", err)
	}
	d.servers = []*server.Server{s}
	return d, stop, nil
}

func newDeployment(options []Option) *Deployment {
	d := &Deployment{config: config{maxBytes: 256 << 20}}
	if n := os.Getenv("ESJSTEST_PARTITIONS"); n != "" {
		var err error
		if d.config.partitions, err = strconv.Atoi(n); err != nil {
			d.config.partitions = -1 // which no store has
		}
	}
	for _, change := range options {
		change(&d.config)
	}
	return d
}

func (d *Deployment) serverOptions(storeDir string) *server.Options {
	return &server.Options{
		ServerName:             "n-" + nuid.Next(),
		Host:                   "127.0.0.1",
		JetStream:              true,
		StoreDir:               storeDir,
		JetStreamMaxMemory:     256 << 20,
		JetStreamMaxStore:      64 << 30, // reserved by streams' limits, not allocated
		SyncAlways:             d.config.syncAlways,
		NoLog:                  os.Getenv("ESJSTEST_LOG") == "",
		NoSigs:                 true,
		DisableJetStreamBanner: true,
	}
}

// start runs a server until it accepts clients, and writes the port that it
// got into o, so that it keeps it when it is started again.
func start(o *server.Options) (*server.Server, error) {
	s, err := server.NewServer(o.Clone())
	if err != nil {
		return nil, err
	}
	if !o.NoLog {
		s.ConfigureLogger()
	}
	go s.Start()
	// A server that cannot listen says so in its log only.
	if !s.ReadyForConnections(patience / 4) {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, errors.New("it is not ready for connections; ESJSTEST_LOG=1 shows why")
	}
	if o.Port == server.RANDOM_PORT {
		if _, err := fmt.Sscanf(s.Addr().String(), o.Host+":%d", &o.Port); err != nil {
			return nil, fmt.Errorf("the address %s: %w", s.Addr(), err)
		}
	}
	return s, nil
}

func (d *Deployment) shutdown() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, nc := range d.dialed {
		nc.Close()
	}
	for _, s := range d.servers {
		s.Shutdown()
	}
	for _, s := range d.servers {
		s.WaitForShutdown()
	}
}

// directory is t.TempDir with patience: a server that has shut down may still
// be writing a last file, on which TempDir would fail the test.
func directory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "esjstest-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		until(func() bool { return os.RemoveAll(dir) == nil })
	})
	return filepath.Join(dir, "data")
}

// answered makes a request until it is answered; see [esjs.Answered]. ctx bounds it, and
// [patience].
func answered(ctx context.Context, request func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := esjs.Answered(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, request(ctx) })
	return err
}

// until waits for a condition that nobody signals, and tells whether it came true.
func until(condition func() bool) bool {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline.C:
			return condition()
		case <-tick.C:
		}
	}
	return true
}
