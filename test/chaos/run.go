//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/test/chaos/history"
	"github.com/b144f99b/orderflow/test/chaos/rig"
	"github.com/b144f99b/orderflow/test/program"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

const (
	writerStores = 3 // each with connections of its own
	storeWriters = 4 // of each store
	diskSize     = 1 << 30
)

// run is one run, from the first server to the last check.
type run struct {
	config
	out     io.Writer
	dir     string
	c       *rig.Cluster
	r       *recorder
	codec   *esjs.Codec[written]
	stores  []*esjs.Store // of writers, one of which also reads
	writers []*writer
	clock   atomic.Int64 // nanoseconds by which the writers' clocks are wrong
	nc      *nats.Conn
}

func newRun(cfg config, out io.Writer) *run { return &run{config: cfg, out: out} }

// do runs, judges and reports.
func (r *run) do(ctx context.Context) (status int, err error) {
	if r.dir, err = rig.Home(r.keep); err != nil {
		return exitFailed, err
	}
	defer func() { err = errors.Join(err, r.leave(status)) }()
	if err := r.build(ctx); err != nil {
		return exitFailed, err
	}
	fmt.Fprintf(r.out, "seed %d, %s of faults, sync_interval %s, registers in %s\n", r.seed, r.time, r.sync, strings.Join(r.streams(), " "))
	if r.c, err = rig.Start(ctx, rig.Config{Program: r.program.server, Dir: r.dir, Sync: r.sync, Disk: diskSize}); err != nil {
		return exitFailed, err
	}
	defer r.c.Stop()
	r.r = newRecorder()
	err = r.play(ctx)
	if ctx.Err() != nil {
		err = errors.Join(err, context.Cause(ctx))
	}
	if err != nil && len(r.r.h.Wrong) == 0 {
		return exitFailed, err
	}
	found := r.r.h.Check()
	status, reported := report(r.out, &r.r.h, found)
	return status, errors.Join(err, reported)
}

// build builds the programs that were not given.
func (r *run) build(ctx context.Context) error {
	programs := map[*string]program.Program{&r.program.server: program.NATSServer(), &r.program.orderflow: program.Orderflow()}
	if !r.soak && (len(r.faults) == 0 || slices.Contains(r.faults, rollingUpgradeName)) {
		programs[&r.program.older] = program.OlderNATSServer()
	}
	for file, p := range programs {
		if *file != "" {
			continue
		}
		if err := program.Build(ctx, r.dir, p); err != nil {
			return err
		}
		*file = filepath.Join(r.dir, p.Name())
	}
	return nil
}

// leave removes what a run has made that passed. Another one's stays: the history, what servers and
// services have said, and the servers' disks.
func (r *run) leave(status int) error {
	if status == exitPassed {
		return os.RemoveAll(r.dir)
	}
	fmt.Fprintf(r.out, "what servers and services said, and the servers' disks, are in %s\n", r.dir)
	if r.r == nil {
		return nil
	}
	file := filepath.Join(r.dir, "history.jsonl")
	if err := r.r.h.Save(file); err != nil {
		return err
	}
	fmt.Fprintf(r.out, "the history is kept: judge it again with -check %s\n", file)
	return nil
}

// play does everything up to the end of the history. An error ends the run; what
// must not be is told to the recorder.
func (r *run) play(ctx context.Context) error {
	dial := esjs.DialURL(r.c.URL())
	if err := r.provision(ctx, dial); err != nil {
		return err
	}
	var err error
	for range writerStores + 2 { // the last two read
		s, err := esjs.Open(ctx, dial, r.store())
		if err != nil {
			return err
		}
		defer s.Close()
		r.stores = append(r.stores, s)
	}
	if r.nc, err = dial("control"); err != nil {
		return err
	}
	defer r.nc.Close()

	n, err := newNemesis(r.config, r.c, r.r)
	if err != nil {
		return err
	}
	n.out, n.leader, n.resign, n.clock, n.current, n.older = r.out, r.leader, r.resign, &r.clock, r.program.server, r.program.older
	agg, err := registers()
	if err != nil {
		return err
	}
	r.codec = agg.Codec

	running, stop := context.WithCancel(ctx)
	defer stop()
	var background sync.WaitGroup
	defer background.Wait()
	defer stop()
	v, sessions, err := r.read(running, &background)
	if err != nil {
		return err
	}
	defer v.db.Close()
	var s *shop
	if r.orders {
		if s, err = openShop(ctx, r.r, r.program.orderflow, r.dir, r.c.URL()); err != nil {
			return err
		}
		defer s.stop()
		defer background.Wait()
		defer stop()
		background.Go(func() {
			if err := s.keep(running); err != nil {
				r.r.object("a service cannot be started again: %v", err)
			}
		})
		if err := s.stock(ctx, r.nc); err != nil {
			return err
		}
		n.shop = s
	}

	for id := range writerStores * storeWriters {
		store := id / storeWriters
		r.writers = append(r.writers, &writer{id: id, store: store, r: r.r, s: r.stores[store], random: rand.New(rand.NewPCG(r.seed, 100+uint64(id))), clock: &r.clock, hot: hotKeys(r.partitions), patience: patience, believes: r.believe})
	}
	if r.soak {
		err = r.endure(ctx, s, agg)
	} else {
		err = r.suffer(ctx, s, agg, n)
	}
	return r.conclude(ctx, err, s, v, sessions)
}

// suffer lets everybody work under the nemesis, and until the store serves again.
func (r *run) suffer(ctx context.Context, s *shop, agg esjs.Aggregate[register, write, written], n *nemesis) error {
	working, stop := context.WithCancel(ctx)
	defer stop()
	var all errgroup.Group
	err := r.write(working, &all, agg)
	if err == nil {
		if s != nil {
			all.Go(func() error { return s.trade(working, r.nc, r.seed) })
		}
		err = n.run(ctx, r.time)
	}
	// Where it does not serve, the checkers say so.
	for healthy := r.r.now(); err == nil && !r.r.served(healthy) && r.r.now() < healthy+history.ServesWithin; {
		err = rig.Pause(ctx, 100*time.Millisecond)
	}
	r.r.stopped()
	stop()
	return errors.Join(err, all.Wait())
}

// provision makes the registers' streams and buckets.
func (r *run) provision(ctx context.Context, dial esjs.Dial) error {
	ctx, cancel := context.WithTimeout(ctx, recoversWithin)
	defer cancel()
	if err := esjs.Provision(ctx, dial, r.store()); err != nil {
		return err
	}
	for _, bucket := range []string{bucketSnapshots, bucketSubscriptions, bucketRows} {
		if err := esjs.ProvisionBucket(ctx, dial, bucket, rig.Size); err != nil {
			return err
		}
	}
	return nil
}

// write lets the writers work until ctx ends.
func (r *run) write(ctx context.Context, all *errgroup.Group, agg esjs.Aggregate[register, write, written]) error {
	for store := range writerStores {
		handler, err := esjs.NewCommandHandler(ctx, r.stores[store], agg, esjs.HandlerConfig[register]{
			Snapshots: &esjs.SnapshotPolicy[register]{Bucket: bucketSnapshots, Every: 50, StateVersion: 1},
		})
		if err != nil {
			return err
		}
		var of sync.WaitGroup
		for _, w := range r.writers[store*storeWriters : (store+1)*storeWriters] {
			w.handler = handler
			of.Go(func() { w.run(ctx) })
		}
		all.Go(func() error {
			of.Wait()
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), recoversWithin)
			defer cancel()
			return handler.Close(closing)
		})
	}
	return nil
}

// read starts subscriptions and projections, which read until ctx ends. sessions
// tells how often the subscription of which every instance has all events was begun.
func (r *run) read(ctx context.Context, all *sync.WaitGroup) (v *views, sessions func() int, err error) {
	a, b := r.stores[writerStores], r.stores[writerStores+1]
	var (
		mu sync.Mutex
		n  int
	)
	begin := func() int { mu.Lock(); defer mu.Unlock(); n++; return n }
	inTurns := func() int { return 0 }
	all.Go(func() { r.r.subscribe(ctx, a, r.codec, turns, bucketSubscriptions, inTurns) })
	all.Go(func() { r.r.subscribe(ctx, b, r.codec, turns, bucketSubscriptions, inTurns) })
	all.Go(func() { r.r.subscribe(ctx, b, r.codec, each, "", begin) })
	if v, err = newViews(a, r.codec, r.dir); err != nil {
		return nil, nil, err
	}
	all.Go(func() { v.run(ctx, r.r) })
	return v, func() int { mu.Lock(); defer mu.Unlock(); return n }, nil
}

// streamInfo is what the leader of a stream says of it.
type streamInfo struct {
	Error   *jetstream.APIError   `json:"error"`
	State   jetstream.StreamState `json:"state"`
	Cluster struct {
		Leader string `json:"leader"`
	} `json:"cluster"`
}

func infoOf(ctx context.Context, nc *nats.Conn, stream string) (info streamInfo, err error) {
	answer, err := nc.RequestWithContext(ctx, "$JS.API.STREAM.INFO."+stream, nil)
	if err == nil {
		err = json.Unmarshal(answer.Data, &info)
	}
	if err == nil && info.Error != nil {
		err = info.Error
	}
	return info, err
}

// leader is the server that leads a stream.
func (r *run) leader(ctx context.Context, stream string) (string, error) {
	info, err := infoOf(ctx, r.nc, stream)
	return info.Cluster.Leader, err
}

// resign lets it step down; nobody has to answer.
func (r *run) resign(stream string) error {
	return r.nc.Publish("$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil)
}
