//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/test/chaos/rig"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// conclude ends a run whose faults are over, or in which something failed. Where that is an objection already, such as
// servers that do not become healthy, what is stored of the registers is judged all the same, if it can be read.
func (r *run) conclude(ctx context.Context, failed error, s *shop, v *views, sessions func() int) error {
	switch {
	case ctx.Err() != nil:
		return failed
	case failed == nil:
		fmt.Fprintf(r.out, "%7.1f s  no more faults, and nobody writes any more\n", r.r.now().Seconds())
		return r.finish(ctx, s, v, sessions)
	case !r.r.objected():
		return failed
	}
	fmt.Fprintf(r.out, "%7.1f s  nobody writes any more, because of %v\n", r.r.now().Seconds(), failed)
	return errors.Join(failed, r.finish(ctx, nil, v, sessions))
}

// finish waits until everybody has come to the end of the log, and reads it from each replica.
func (r *run) finish(ctx context.Context, s *shop, v *views, sessions func() int) error {
	patience := settlesWithin
	if r.r.objected() { // it need not become well
		patience = recoversWithin
	}
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	store := r.stores[writerStores]
	if last, whole := r.readLog(within, store); whole {
		r.settle(within, last, v, sessions())
	}
	r.replicas(ctx, store)
	if s == nil {
		return ctx.Err()
	}
	orders, err := esjs.Open(ctx, esjs.DialURL(r.c.URL()), esjs.Config{Replicas: rig.Size})
	if err != nil {
		return err
	}
	defer orders.Close()
	return s.judge(ctx, orders, r.out)
}

// readLog reads the registers' log into the history, and tells whether all of it was there to be read. A stream that the servers do not have any
// more is lost with everything in it. What could not be read for another reason is not taken for lost.
func (r *run) readLog(ctx context.Context, store *esjs.Store) (last esjs.Position, whole bool) {
	last, err := store.Last(ctx)
	gone := errors.Is(err, jetstream.ErrStreamNotFound)
	if gone {
		last, err = r.left(ctx, store.Conn())
	}
	if err == nil && !last.IsZero() {
		for record, failed := range store.ReadAll(ctx, esjs.Query{Until: last}) {
			if err = failed; err != nil {
				break
			}
			r.r.stored(record, operationOf(record))
		}
	}
	r.r.read(err)
	return last, err == nil && !gone
}

// left is the last commit of each stream that the servers still have.
func (r *run) left(ctx context.Context, nc *nats.Conn) (last esjs.Position, err error) {
	for p, stream := range r.streams() {
		var info streamInfo
		for {
			asked, cancel := context.WithTimeout(ctx, 5*time.Second)
			info, err = infoOf(asked, nc, stream)
			cancel()
			if err == nil || errors.Is(err, jetstream.ErrStreamNotFound) || rig.Pause(ctx, 200*time.Millisecond) != nil {
				break
			}
		}
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			r.r.object("the stream %s of the registers is gone", stream)
			continue
		case err != nil:
			return esjs.Position{}, err
		case info.State.LastSeq == 0:
			continue
		}
		end, err := esjs.ParsePosition(fmt.Sprintf("%d-%d", p, info.State.LastSeq))
		if err != nil {
			return esjs.Position{}, err
		}
		last = last.Later(end)
	}
	return last, nil
}

// settle waits until projections and subscriptions have come to the end of the log.
func (r *run) settle(ctx context.Context, last esjs.Position, v *views, session int) {
	events, keys := 0, map[string]bool{}
	for _, c := range r.r.h.Log {
		events += len(c.Ops)
		keys[c.Key] = true
	}
	rows, err := v.rows(ctx, last, slices.Sorted(maps.Keys(keys)))
	if err != nil {
		r.r.object("projections do not come to the end of the log: %v", err)
	}
	r.r.h.Rows = rows
	r.r.h.Sessions = map[string][]int{turns: {0}, each: {session}}
	for r.r.deliveries(turns, 0) < events || r.r.deliveries(each, session) < events {
		if rig.Pause(ctx, 500*time.Millisecond) != nil {
			r.r.object("subscriptions do not come to the end of the log")
			break
		}
	}
}

// replicas compares what the servers have of the registers.
func (r *run) replicas(ctx context.Context, store *esjs.Store) {
	ctx, cancel := context.WithTimeout(ctx, recoversWithin)
	defer cancel()
	reports, err := esjs.VerifyReplicas(ctx, store, r.codec, esjs.VerifyConfig{})
	for _, report := range reports {
		for _, f := range report.Findings {
			stream, _ := r.store().StreamOf(report.Until.Partition())
			r.r.object("verify %s on %s: %v", stream, report.Leader, f)
		}
	}
	if err != nil {
		r.r.object("the replicas of the registers' log cannot be verified: %v", err)
		return
	}
	streams := r.streams()
	for of := range slices.Chunk(reports, len(reports)/len(streams)) {
		fmt.Fprintf(r.out, "registers in %s: %d commits, read on %d replicas: digest %.12s\n", streams[0], of[0].Commits, len(of), of[0].Digest)
		streams = streams[1:]
	}
}
