package esjsbench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// What a guard costs on one server: an append alone, against an append to two
// aggregates and against one that guards the second one.
func BenchmarkGuardedAppend(b *testing.B) {
	m := measurement{name: "guarded", setUp: func(ctx context.Context, r *rig) (measure, error) {
		one, err := r.appends(ctx, 1)
		if err != nil {
			return nil, err
		}
		still := r.account()
		out, err := r.store.Append(ctx, still, esjs.NoStream(), aDeposit())
		if err != nil {
			return nil, err
		}
		return compare([]side{one,
			{"two", batches(ctx, r.store, nil, r.account(), r.account())},
			{"guarded", batches(ctx, r.store, []esjs.Write{esjs.Unchanged(still, out.Revision)}, r.account())},
		}), nil
	}}
	for _, sync := range []Sync{SyncDefault, SyncAlways} {
		b.Run("sync="+string(sync), func(b *testing.B) { benchmark(b, m, sync) })
	}
}

// batches appends to all of the aggregates at once, with the guards.
func batches(ctx context.Context, store *esjs.Store, guards []esjs.Write, ids ...esjs.StreamID) func() error {
	revisions := make([]esjs.Revision, len(ids))
	return func() error {
		var writes []esjs.Write
		for i, id := range ids {
			writes = append(writes, esjs.Write{Stream: id, Expect: esjs.AtRevision(revisions[i]), Events: []esjs.Event{aDeposit()}})
		}
		out, err := store.AppendAll(ctx, append(writes, guards...)...)
		if err != nil {
			return err
		}
		for i := range ids {
			revisions[i] = out[i].Revision
		}
		return nil
	}
}

// One category of a store, as the server selects it and as the reader selects it
// from everything, by turns, for different shares of the store. Each commit is of
// an aggregate of its own.
func BenchmarkSelectCategory(b *testing.B) {
	commits := stored(40_000)
	category := func(i int) string {
		switch {
		case i%100 == 0:
			return "one"
		case i%10 == 1:
			return "ten"
		}
		return "most"
	}
	for share, name := range map[string]string{"1%": "one", "10%": "ten", "89%": "most"} {
		b.Run("share="+share, func(b *testing.B) {
			benchmark(b, measurement{name: "category", setUp: func(ctx context.Context, r *rig) (measure, error) {
				all := deposits(1, 1, numbered)
				all.id = func(n int) esjs.StreamID { return esjs.StreamID{Category: category(n), Key: fmt.Sprint(n)} }
				if err := fill(ctx, r.store, all, 0, commits); err != nil {
					return nil, err
				}
				return compare([]side{
					{"server", func() error { return readAll(ctx, r.store, name) }},
					{"reader", func() error { return readAll(ctx, r.store, name, "none") }}, // the server is asked for one or for all
				}), nil
			}}, SyncDefault)
		})
	}
}

func readAll(ctx context.Context, store *esjs.Store, categories ...string) error {
	for _, err := range store.ReadAll(ctx, esjs.Query{Categories: categories}) {
		if err != nil {
			return err
		}
	}
	return nil
}

// How fast a subscription goes through history with a handler that does nothing.
func BenchmarkSubscribeCatchUp(b *testing.B) {
	const each = 50
	aggregates := stored(1_000)
	benchmark(b, measurement{name: "subscribe", setUp: func(ctx context.Context, r *rig) (measure, error) {
		codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, deposited]())
		if err != nil {
			return nil, err
		}
		if err := fill(ctx, r.store, deposits(each, 1, numbered), 0, aggregates); err != nil {
			return nil, err
		}
		return compareRates(aggregates*each, []side{{"commits", func() error {
			ctx, stop := context.WithCancel(ctx)
			defer stop()
			return esjs.Subscribe(ctx, r.store, esjs.SubscriptionConfig[esjs.Event]{Name: "history", EveryInstance: true, Codec: codec, OnCaughtUp: stop},
				func(context.Context, esjs.Recorded[esjs.Event]) error { return nil })
		}}}), nil
	}}, SyncDefault)
}

// S2 compression of the event stream against none, on commits as an order system stores
// them: what is on disk, and an append, a load of 20 commits and a replay by turns.
// Blocks are compressed when they are full, 8 MB each, so that the newest one is not. With
// ESJS_BENCH_SIZE loads are also measured when the server has dropped its blocks from memory.
func BenchmarkCompression(b *testing.B) {
	events := stored(50_000)
	benchmark(b, measurement{name: "compression", setUp: func(ctx context.Context, r *rig) (measure, error) {
		r.scale.idle = r.scale.aggregates >= 100_000
		var appends, loads, replays []side
		var measures []measure
		cold := map[string]func(block int) error{}
		for _, name := range []string{"none", "s2"} {
			store, err := r.newStore(ctx, esjs.Config{Stream: name, Prefix: name, Compress: name == "s2"})
			if err != nil {
				return nil, err
			}
			if err := fill(ctx, store, orders(1), 0, events/ordersCommits); err != nil {
				return nil, err
			}
			load := func(order int) error {
				n := 0
				for _, err := range store.Read(ctx, orders(1).id(order), 1, 0) {
					if err != nil {
						return err
					}
					n++
				}
				if n != ordersCommits {
					return fmt.Errorf("%d commits were read", n)
				}
				return nil
			}
			cold[name] = func(block int) error { return load(block * events / 100) }
			appends = append(appends, side{"append-" + name, appendTo(ctx, store, esjs.StreamID{Category: "order", Key: "appended"}, anOrder(1))})
			loads = append(loads, side{"load-" + name, func() error { return load(0) }})
			replays = append(replays, side{"replay-" + name, func() error { return readAll(ctx, store) }})
		}
		measures = append(measures, compare(appends), compare(loads), compare(replays))
		return func(loop func() bool) (figures []figure, err error) {
			turns := 0
			for ; loop(); turns++ {
			}
			for _, m := range measures {
				more, err := m(times(turns))
				if err != nil {
					return nil, err
				}
				figures = append(figures, more...)
			}
			if r.scale.idle {
				more, err := coldLoads(ctx, r, cold)
				if err != nil {
					return nil, err
				}
				figures = append(figures, more...)
			}
			none, err := r.onDisk("none")
			if err != nil {
				return nil, err
			}
			s2, err := r.onDisk("s2")
			return append(figures, figure{"none-B/event", float64(none) / float64(events)}, figure{"s2-B/event", float64(s2) / float64(events)},
				figure{"s2/none-on-disk", float64(s2) / float64(none)}), err
		}, nil
	}}, SyncDefault)
}

// coldLoads loads from five blocks, none of which the server has in memory.
func coldLoads(ctx context.Context, r *rig, load map[string]func(block int) error) ([]figure, error) {
	if err := r.idle(ctx); err != nil {
		return nil, err
	}
	took := map[string][]time.Duration{}
	for block := range 5 {
		for name, load := range load {
			start := time.Now()
			if err := load(block); err != nil {
				return nil, err
			}
			took[name] = append(took[name], time.Since(start))
		}
	}
	none, s2 := median(took["none"]), median(took["s2"])
	return []figure{{"cold-none-µs", microseconds(none)}, {"cold-s2-µs", microseconds(s2)}, {"cold-s2/none", float64(s2) / float64(none)}}, nil
}
