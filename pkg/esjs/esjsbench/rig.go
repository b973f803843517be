package esjsbench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/internal/natsproc"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// rig is a server in a process of its own, a store on it, and a raw connection
// beside it.
type rig struct {
	scale   scale
	command []string // of the server
	sync    Sync
	dir     string // where the server stores
	server  *natsproc.Server
	store   *esjs.Store
	nc      *nats.Conn
	js      jetstream.JetStream
	turn    int
	ending  []func() error // the first one ends the server
}

// scale is how much is written and read.
type scale struct {
	aggregates int  // of the large store
	replayed   int  // events
	projected  int  // events
	appends    int  // of each concurrent writer, and beside a writer
	idle       bool // wait until the server has dropped the blocks that it holds in memory
}

// eventsMax is room for all that is measured.
const eventsMax = 16 << 30

func newRig(ctx context.Context, command []string, dir string, sync Sync, scale scale) (*rig, error) {
	server, err := natsproc.Start(command, storeDir(dir), string(sync))
	if err != nil {
		return nil, err
	}
	r := &rig{scale: scale, command: command, sync: sync, dir: dir, server: server, ending: []func() error{server.Stop}}
	if err := r.connect(); err != nil {
		return nil, errors.Join(err, r.close())
	}
	if r.store, err = r.newStore(ctx, esjs.Config{}); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func storeDir(dir string) string { return filepath.Join(dir, "nats") }

// restart ends everything, the server in the given way, and starts the server again on
// what it has stored. It tells how long that took from the process's start on.
func (r *rig) restart(end func(*natsproc.Process) error) (took time.Duration, err error) {
	server := r.server
	r.ending[0] = func() error { return end(server.Process) }
	err = r.close()
	r.ending = nil
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if r.server, err = natsproc.Start(r.command, storeDir(r.dir), string(r.sync)); err != nil {
		return 0, err
	}
	took = time.Since(start)
	r.ending = []func() error{r.server.Stop}
	return took, r.connect()
}

func (r *rig) connect() error {
	nc, err := r.dial()("raw")
	if err != nil {
		return err
	}
	r.onClose(nc.Close)
	r.nc = nc
	r.js, err = jetstream.New(nc)
	return err
}

func (r *rig) dial() esjs.Dial { return esjs.DialURL(r.server.URL()) }

// newStore makes a store, and opens it. One whose bytes are not limited gets room for all that is measured.
func (r *rig) newStore(ctx context.Context, cfg esjs.Config) (*esjs.Store, error) {
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, eventsMax)
	if err := esjs.Provision(ctx, r.dial(), cfg); err != nil {
		return nil, err
	}
	return r.openStore(ctx, cfg)
}

func (r *rig) openStore(ctx context.Context, cfg esjs.Config, opts ...nats.Option) (*esjs.Store, error) {
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, eventsMax)
	store, err := esjs.Open(ctx, esjs.DialURL(r.server.URL(), opts...), cfg)
	if err != nil {
		return nil, err
	}
	r.onClose(store.Close)
	return store, nil
}

// bucket makes a bucket for snapshots or positions.
func (r *rig) bucket(ctx context.Context, name string) error {
	return esjs.ProvisionBucket(ctx, r.dial(), name, 1)
}

func (r *rig) onClose(end func()) {
	r.ending = append(r.ending, func() error { end(); return nil })
}

// close ends what was begun, the last first.
func (r *rig) close() (err error) {
	for i := len(r.ending) - 1; i >= 0; i-- {
		err = errors.Join(err, r.ending[i]())
	}
	return err
}

// account is one that nothing was written to.
func (r *rig) account() esjs.StreamID {
	r.turn++
	return account(fmt.Sprintf("bench-%d", r.turn))
}
