package esjs_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Every benchmark runs the operation and its baseline by turns in one run and
// reports their medians and the ratio; the bars of docs/benchmarks.md are
// ratios. ns/op is the time of one turn of all operations and means nothing.

// operation is one side of a comparison.
type operation struct {
	name string
	run  func()
}

// compare runs all operations b.N times by turns, and reports each one's
// median in microseconds and its ratio to the first one.
func compare(b *testing.B, operations ...operation) {
	b.Helper()
	took := make([][]time.Duration, len(operations))
	for i := 0; b.Loop(); i++ {
		for j := range operations {
			k := (i + j) % len(operations) // nobody always follows the same one
			start := time.Now()
			operations[k].run()
			took[k] = append(took[k], time.Since(start))
		}
	}
	base := median(took[0])
	for i, o := range operations {
		m := median(took[i])
		b.ReportMetric(float64(m.Nanoseconds())/1e3, o.name+"-µs")
		if i > 0 {
			b.ReportMetric(float64(m)/float64(base), o.name+"/"+operations[0].name)
		}
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// bench is a store on one server beside a raw connection to it.
type bench struct {
	b     *testing.B
	ctx   context.Context
	store *esjs.Store
	nc    *nats.Conn
	js    jetstream.JetStream
	turn  int
}

// onBothSyncs runs a benchmark with the server's default sync, where nothing
// hides our own cost, and with always, which an event store needs.
func onBothSyncs(b *testing.B, run func(*bench)) {
	for _, sync := range []string{"default", "always"} {
		b.Run("sync="+sync, func(b *testing.B) { run(newBenchWith(b, sync)) })
	}
}

func newBench(b *testing.B) *bench { return newBenchWith(b, "default") }

func newBenchWith(b *testing.B, sync string) *bench {
	n := &bench{b: b, ctx: context.Background()}
	dial := esjs.DialURL(startServerProcess(b, sync))
	cfg := esjs.Config{MaxBytes: 8 << 30}
	n.check(esjs.Provision(n.ctx, dial, cfg))
	var err error
	n.nc, err = dial("raw")
	n.check(err)
	b.Cleanup(n.nc.Close)
	n.js, err = jetstream.New(n.nc)
	n.check(err)
	n.store, err = esjs.Open(n.ctx, dial, cfg)
	n.check(err)
	b.Cleanup(n.store.Close)
	return n
}

func (n *bench) check(err error) {
	if err != nil {
		n.b.Helper()
		n.b.Fatal(err)
	}
}

// appends appends commits of so many events to one aggregate of its own, whose
// pointers are as many as they get.
func (n *bench) appends(events int) operation {
	id := n.account()
	batch := slices.Repeat([]esjs.Event{deposited{Amount: 1, Note: "a usual event has some text in it"}}, events)
	var rev esjs.Revision
	run := func() {
		out, err := n.store.Append(n.ctx, id, esjs.AtRevision(rev), batch...)
		n.check(err)
		rev = out.Revision
	}
	for range 70 {
		run()
	}
	return operation{fmt.Sprintf("append-%d", events), run}
}

// raw publishes the body of a commit of so many events with the client's own
// call and the same expectation.
func (n *bench) raw(events int) operation {
	model := n.account()
	n.turn--
	n.appends(events)
	last, err := n.lastMessage(model)
	n.check(err)
	subject := "ev.account." + n.account().Key
	var sequence uint64
	return operation{fmt.Sprintf("raw-%d", events), func() {
		ack, err := n.js.PublishMsg(n.ctx, &nats.Msg{
			Subject: subject, Data: last.Data,
			Header: nats.Header{"Content-Type": []string{"application/cloudevents-batch+json"}},
		}, jetstream.WithExpectLastSequencePerSubject(sequence))
		n.check(err)
		sequence = ack.Sequence
	}}
}

func (n *bench) lastMessage(id esjs.StreamID) (*jetstream.RawStreamMsg, error) {
	stream, err := n.js.Stream(n.ctx, "EVENTS")
	n.check(err)
	return stream.GetLastMsgForSubject(n.ctx, "ev.account."+id.Key)
}

func (n *bench) account() esjs.StreamID {
	n.turn++
	return account(fmt.Sprintf("bench-%d", n.turn))
}

// Bar 1: append of one event against a raw publish of the same body.
func BenchmarkAppend(b *testing.B) {
	onBothSyncs(b, func(n *bench) {
		compare(n.b, n.raw(1), n.appends(1))
	})
}

// Bar 4: allocations per append of one event; bar 1 has the time.
func BenchmarkAppendAllocations(b *testing.B) {
	n := newBench(b)
	op := n.appends(1)
	b.ReportAllocs()
	for b.Loop() {
		op.run()
	}
}

// Bar 2: commits of 5, 10 and 100 events against one of 1, and each against a
// raw publish of its own body.
func BenchmarkAppendCommit(b *testing.B) {
	for _, events := range []int{5, 10, 100} {
		b.Run(fmt.Sprintf("events=%d", events), func(b *testing.B) {
			n := newBench(b)
			compare(n.b, n.appends(1), n.appends(events))
		})
		b.Run(fmt.Sprintf("events=%d/raw", events), func(b *testing.B) {
			n := newBench(b)
			compare(n.b, n.raw(events), n.appends(events))
		})
	}
}

// Bar 3: 64 concurrent writers against 64 raw publishers, in turns of 200
// commits each; the ratio is of rates, so above 1 is faster than raw.
func BenchmarkAppendConcurrent(b *testing.B) {
	const writers, each = 64, 200
	onBothSyncs(b, func(n *bench) {
		round := func(name string, one func() operation) operation {
			ops := make([]operation, writers)
			for i := range ops {
				ops[i] = one()
			}
			return operation{name, func() {
				var wg sync.WaitGroup
				for _, op := range ops {
					wg.Go(func() {
						for range each {
							op.run()
						}
					})
				}
				wg.Wait()
			}}
		}
		raw := round("raw", func() operation { return n.raw(1) })
		ours := round("append", func() operation { return n.appends(1) })
		compare(n.b, raw, ours)
	})
}

// Bar 5: a warm Handle against a raw publish of the body that it appends.
func BenchmarkHandleWarm(b *testing.B) {
	onBothSyncs(b, func(n *bench) {
		h := n.handler(nil)
		key := n.account().Key
		handle := func() {
			_, err := h.Handle(n.ctx, key, deposit(1))
			n.check(err)
		}
		for range 70 {
			handle()
		}
		compare(n.b, n.raw(1), operation{"handle", handle})
	})
}

// Bars 6 and 7: a cold load with a current snapshot, and with ten commits
// after it, against one raw get-last of the aggregate's subject.
func BenchmarkLoadCold(b *testing.B) {
	for name, after := range map[string]int{"snapshot=current": 0, "snapshot=10-commits-behind": 10} {
		b.Run(name, func(b *testing.B) {
			n := newBench(b)
			h := n.handler(&esjs.SnapshotPolicy[balance]{Bucket: "SNAPSHOTS_bench", Every: 100})
			id := n.account()
			for range 100 {
				_, err := h.Handle(n.ctx, id.Key, deposit(1))
				n.check(err)
			}
			n.check(h.Close(n.ctx)) // the snapshot of commit 100 is written
			for range after {
				_, err := n.store.Append(n.ctx, id, esjs.Any(), deposited{Amount: 1})
				n.check(err)
			}
			request := "$JS.API.DIRECT.GET.EVENTS.ev.account." + id.Key
			cold := n.handler(&esjs.SnapshotPolicy[balance]{Bucket: "SNAPSHOTS_bench", Every: -1})
			compare(n.b,
				operation{"get-last", func() {
					_, err := n.nc.Request(request, nil, 5*time.Second)
					n.check(err)
				}},
				operation{"load", func() {
					cold.Forget(id.Key)
					loaded, err := cold.Load(n.ctx, id.Key)
					n.check(err)
					if want := 100 + after; loaded.State.Total != want {
						n.b.Fatalf("loaded %d, want %d", loaded.State.Total, want)
					}
				}})
		})
	}
}

func (n *bench) handler(policy *esjs.SnapshotPolicy[balance]) *esjs.CommandHandler[balance, deposit, esjs.Event] {
	if policy != nil {
		_, err := n.js.CreateOrUpdateKeyValue(n.ctx, jetstream.KeyValueConfig{Bucket: policy.Bucket, Storage: jetstream.FileStorage})
		n.check(err)
	}
	h, err := esjs.NewCommandHandler(n.ctx, n.store, accountAggregate(n.b), esjs.HandlerConfig[balance]{Snapshots: policy})
	n.check(err)
	n.b.Cleanup(func() { _ = h.Close(n.ctx) })
	return h
}
