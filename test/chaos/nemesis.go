//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/b144f99b/orderflow/test/chaos/history"
	"github.com/b144f99b/orderflow/test/chaos/rig"
)

// recoversWithin bounds how long servers may take to be healthy again after a fault.
const recoversWithin = 3 * time.Minute

// nemesis does one fault after the other, heals each, and waits until all servers are
// healthy. Its seed says which, to whom and for how long. Each fault happens before
// any happens again.
type nemesis struct {
	c      *rig.Cluster
	r      *recorder
	random *rand.Rand
	faults []fault
	named  bool // each of them is to happen, however long that takes
	out    io.Writer

	leader  func(ctx context.Context, stream string) (string, error) // its server's name
	resign  func(stream string) error                                // lets the leader step down
	streams []string                                                 // of the registers
	stream  string                                                   // of these the one whose leader is asked for; empty where none is
	clock   *atomic.Int64                                            // by which some clients' clocks are wrong
	shop    *shop                                                    // the order system; nil without it
	current string                                                   // the servers' program
	older   string                                                   // the one of an older release
}

// fault is one thing that the nemesis can do. do does it and returns to whom, and how
// it is healed, after at least and at most so long.
type fault struct {
	name           string
	deaf           bool // see [history.Fault], and so the next one
	untimely       bool
	least, most    time.Duration
	do             func(context.Context, *nemesis) (target string, heal func(context.Context) error, err error)
	needsTheOrders bool
}

func faultNames() (names []string) {
	for _, f := range faults() {
		names = append(names, f.name)
	}
	return names
}

// newNemesis selects the faults that a run is to have.
func newNemesis(cfg config, c *rig.Cluster, r *recorder) (*nemesis, error) {
	n := &nemesis{c: c, r: r, random: rand.New(rand.NewPCG(cfg.seed, 0)), named: len(cfg.faults) > 0, streams: cfg.streams()}
	for _, name := range cfg.faults {
		if !slices.Contains(faultNames(), name) {
			return nil, fmt.Errorf("there is no fault %q; there are %s", name, strings.Join(faultNames(), ", "))
		}
	}
	for _, f := range faults() {
		switch {
		case n.named && !slices.Contains(cfg.faults, f.name), !n.named && f.needsTheOrders && !cfg.orders:
			continue
		case f.needsTheOrders && !cfg.orders:
			return nil, fmt.Errorf("the fault %s needs the -orders", f.name)
		}
		n.faults = append(n.faults, f)
	}
	return n, nil
}

// run does faults for a time, and until each that was named has happened, or until ctx ends; what it has begun it heals.
func (n *nemesis) run(ctx context.Context, takes time.Duration) error {
	over := time.Now().Add(takes)
	for happened := 0; ; {
		for _, i := range n.random.Perm(len(n.faults)) {
			if rig.Pause(ctx, 500*time.Millisecond+time.Duration(n.random.Int64N(int64(2*time.Second)))) != nil {
				return nil //nolint:nilerr // who has ended it knows why
			}
			if time.Now().After(over) && (!n.named || happened >= len(n.faults)) {
				n.missed()
				return nil
			}
			if err := n.once(ctx, n.faults[i]); err != nil {
				return err
			}
			happened++
		}
	}
}

// missed objects to a run without the faults that were named, or without any.
func (n *nemesis) missed() {
	happened := n.r.happened()
	for _, f := range n.faults {
		if n.named && !slices.Contains(happened, f.name) {
			n.r.object("%s was to happen, and has not", f.name)
		}
	}
	if len(happened) == 0 {
		n.r.object("no fault has happened")
	}
}

func (n *nemesis) once(ctx context.Context, f fault) error {
	hold := f.least
	if f.most > f.least {
		hold += time.Duration(n.random.Int64N(int64(f.most - f.least)))
	}
	n.r.begin(history.Fault{Name: f.name, Deaf: f.deaf, Untimely: f.untimely})
	background := context.WithoutCancel(ctx)
	n.stream = ""
	target, heal, err := f.do(background, n)
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	if n.stream != "" && len(n.streams) > 1 {
		target += ", which leads " + n.stream
	}
	n.r.last(func(l *history.Fault) { l.Target = target })
	fmt.Fprintf(n.out, "%7.1f s  %s %s", n.r.now().Seconds(), f.name, target)
	_ = rig.Pause(ctx, hold) // what was begun is healed
	if heal != nil {
		if err := heal(background); err != nil {
			return fmt.Errorf("%s: heal: %w", f.name, err)
		}
	}
	n.r.last(func(l *history.Fault) { l.Healed = n.r.now() })
	fmt.Fprintf(n.out, ", healed after %.1f s", hold.Seconds())
	if err := n.c.Healthy(background, recoversWithin); err != nil {
		fmt.Fprintln(n.out)
		n.r.object("after %s of %s: %v", f.name, target, err)
		return err
	}
	n.r.last(func(l *history.Fault) { l.Served = n.r.now() })
	fmt.Fprintf(n.out, ", all healthy at %.1f s\n", n.r.now().Seconds())
	return nil
}

// any is a server that chance chooses.
func (n *nemesis) any() int { return n.random.IntN(rig.Size) }

func (n *nemesis) one(context.Context) (int, error) { return n.any(), nil }

// leading is the server that leads the registers' stream; of several streams chance chooses one. There must be one soon, because all
// servers are healthy.
func (n *nemesis) leading(ctx context.Context) (int, error) {
	n.stream = n.streams[0]
	if len(n.streams) > 1 { // otherwise the seeds of runs with one stream would be others
		n.stream = n.streams[n.random.IntN(len(n.streams))]
	}
	for deadline := time.Now().Add(recoversWithin); ; {
		asked, cancel := context.WithTimeout(ctx, 5*time.Second)
		name, err := n.leader(asked, n.stream)
		cancel()
		if i := n.c.Index(name); err == nil && i >= 0 {
			return i, nil
		}
		if time.Now().After(deadline) {
			n.r.object("all servers are healthy, and for %s none leads %s: %q, %v", recoversWithin, n.stream, name, err)
			return 0, errors.New("nobody leads")
		}
		if err := rig.Pause(ctx, 200*time.Millisecond); err != nil {
			return 0, err
		}
	}
}
