package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjsbench"
	"github.com/rs/zerolog"
)

// ordersBench measures the order system with so many customers.
type ordersBench struct {
	servers   []string // the command of a NATS server's process
	customers []int
	replicas  []int
	sync      esjsbench.Sync
	rounds    int
	time      time.Duration // of one round with so many customers
	dir       string
	profiles  string // directory; empty: none are written
	progress  func(esjsbench.Step)
}

func (b ordersBench) run(ctx context.Context) (report ordersReport, err error) {
	report = ordersReport{Machine: esjsbench.ThisMachine(), Began: time.Now().UTC().Truncate(time.Second), Sync: b.sync, Rounds: b.rounds, Seconds: b.time.Seconds()}
	for i, replicas := range b.replicas {
		system := ordersSystem{Replicas: replicas}
		if system.Levels, err = b.system(ctx, replicas, i); err != nil {
			return report, fmt.Errorf("with %d %s: %w", replicas, plural(replicas, "server"), err)
		}
		report.Systems = append(report.Systems, system)
	}
	return report, nil
}

// system starts servers and services, and lets customers order in rounds of all numbers of them.
func (b ordersBench) system(ctx context.Context, replicas, done int) (levels []ordersLevel, err error) {
	dir, err := os.MkdirTemp(b.dir, "orderflow-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	servers, err := esjsbench.StartServers(ctx, b.servers, dir, b.sync, replicas)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, servers.Stop()) }()
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	services, err := esjsbench.Begin(program, "bench", "system", servers.URL(), fmt.Sprint(replicas), filepath.Join(dir, "data"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, services.Stop()) }()

	store, err := esjs.Open(ctx, dialer(servers.URL(), "customers", zerolog.Nop()), esjs.Config{Replicas: replicas, MaxBytes: defaultEventsMax})
	if err != nil {
		return nil, err
	}
	defer store.Close()
	m := &market{servers: servers, services: services, seen: newSightings()}
	from, err := store.Last(ctx)
	if err != nil {
		return nil, err
	}
	ctx, leave := context.WithCancel(ctx)
	following := make(chan error, 1)
	go func() { following <- m.seen.follow(ctx, store, from) }()
	defer func() { leave(); err = errors.Join(err, <-following) }()
	m.shop = demo{client: client{store.Conn()}, sku: "bench"}
	if err := m.shop.open(ctx, loadStock, "bench"); err != nil {
		return nil, err
	}
	if _, err := m.order(ctx, "warm-up"); err != nil {
		return nil, err
	}
	pools := make([]pool, len(b.customers))
	for round := range b.rounds {
		for i := range b.customers {
			at := (i + round) % len(b.customers)
			b.progress(esjsbench.Step{
				Name: fmt.Sprintf("%d customers, %d %s, round %d", b.customers[at], replicas, plural(replicas, "server"), round+1),
				Done: (done*b.rounds+round)*len(b.customers) + i, Total: len(b.replicas) * b.rounds * len(b.customers),
			})
			if err := m.round(ctx, fmt.Sprintf("%d-%d", round, b.customers[at]), b.customers[at], b.time, &pools[at]); err != nil {
				return nil, err
			}
		}
	}
	for i := range pools {
		levels = append(levels, pools[i].level(b.customers[i]))
	}
	if b.profiles == "" {
		return levels, nil
	}
	return levels, m.profile(ctx, slices.Max(b.customers), b.time, filepath.Join(b.profiles, fmt.Sprintf("%s-r%d-", b.sync, replicas)))
}
