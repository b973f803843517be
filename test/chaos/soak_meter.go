//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/test/chaos/flat"
	"github.com/b144f99b/orderflow/test/chaos/rig"
	"github.com/b144f99b/orderflow/test/truth"
	"github.com/nats-io/nats.go/jetstream"
)

// What is measured; the unit is in the name, or it is a number.
const (
	memory      = "resident bytes" // without buffers
	heap        = "heap bytes"     // without buffers
	buffers     = "buffer bytes"   // of a server, for blocks of its files that are written or were just read
	goroutines  = "goroutines"
	handles     = "handles"
	consumers   = "consumers"
	connections = "connections"
	disk        = "disk bytes"
	stored      = "stored bytes" // of a stream, as its leader counts them
)

// meter measures what is there at rest.
type meter struct {
	r      *run
	s      *shop
	js     jetstream.JetStream
	orders *ledger
	file   *os.File
	rests  []flat.Rest
}

func newMeter(r *run, s *shop) (_ *meter, err error) {
	m := &meter{r: r, s: s}
	if m.js, err = jetstream.New(r.nc); err != nil {
		return nil, err
	}
	m.orders = &ledger{shop: truth.NewShop()}
	if m.orders.store, err = esjs.Open(context.Background(), esjs.DialURL(r.c.URL()), esjs.Config{Replicas: rig.Size}); err != nil {
		return nil, err
	}
	if m.orders.codec, err = esjs.NewCodecFrom(events.Types); err != nil {
		return nil, err
	}
	m.file, err = os.Create(filepath.Join(r.keep, fmt.Sprintf("soak-%d.jsonl", r.seed)))
	return m, err
}

// judge tells what grew.
func (m *meter) judge() error {
	for _, wrong := range judgeRests(m.r.out, m.rests) {
		m.r.r.object("%s", wrong)
	}
	fmt.Fprintf(m.r.out, "judge them again with -soak -check %s; the servers' heaps at each rest are in %s\n", m.file.Name(), m.heapFile("*", "*"))
	return nil
}

// heapFile is where the heap that a server had at a rest is kept.
func (m *meter) heapFile(server, rest string) string {
	return fmt.Sprintf("%s-heap-%s-%s.pprof", strings.TrimSuffix(m.file.Name(), ".jsonl"), server, rest)
}

func (m *meter) close() {
	m.orders.store.Close()
	_ = m.file.Close() // each line has been written
}

// ledger folds the orders' log as far as it goes.
type ledger struct {
	store *esjs.Store
	codec *esjs.Codec[events.Event]
	shop  *truth.Shop
	after esjs.Position
}

// unsettled reads what is new, and says what has yet to end.
func (l *ledger) unsettled(ctx context.Context) ([]string, error) {
	for record, err := range l.store.ReadAll(ctx, esjs.Query{After: l.after}) {
		if err != nil {
			return nil, err
		}
		e, err := l.codec.Decode(record)
		if err != nil {
			return nil, err
		}
		l.shop.Apply(e)
		l.after = record.Position
	}
	return l.shop.Unsettled(), nil
}

// add keeps one measurement.
func (m *meter) add(rest flat.Rest) error {
	m.rests = append(m.rests, rest)
	line, err := json.Marshal(rest)
	if err == nil {
		_, err = m.file.Write(append(line, '\n'))
	}
	return err
}

// measure takes one of everything, after a cycle.
func (m *meter) measure(ctx context.Context, cycle int) error {
	orders := float64(len(m.orders.shop.Submitted))
	var failed error
	add := func(of, what string, value float64) {
		work := float64(cycle)
		if slices.Contains([]string{memory, heap, buffers, disk, stored}, what) {
			work = orders
		}
		failed = errors.Join(failed, m.add(flat.Rest{Of: of, What: what, Work: work, Value: value}))
	}
	total := map[string]float64{}
	process := func(name string, p *rig.Process, of func() (goRuntime, error)) {
		who := fmt.Sprintf("%s, process %d", name, p.PID())
		at, err := of() // which collects a server's heap
		usage, wrong := rig.UsageOf(p.PID())
		if err := errors.Join(err, wrong); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s cannot be measured: %w", who, err))
			return
		}
		for what, value := range map[string]float64{
			memory: float64(usage.Resident) - at.buffers, heap: at.heap - at.buffers, buffers: at.buffers,
			handles: float64(usage.Handles), goroutines: at.goroutines,
		} {
			add(who, what, value)
			total[what] += value
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.s.services)) {
		process(name, m.s.services[name], func() (goRuntime, error) { return goMetrics(ctx, m.s.web[name]+"/metrics") })
	}
	for i := range rig.Size {
		name := m.r.c.Name(i)
		process(name, m.r.c.Process(i), func() (goRuntime, error) {
			return goProfiles(ctx, m.r.c.Profiles(i), m.heapFile(name, fmt.Sprintf("%02d", cycle+1)))
		})
		n, err := serverConnections(ctx, m.r.c.Monitor(i))
		failed = errors.Join(failed, err)
		add(name, connections, n)
		total[connections] += n
		taken, err := rig.DiskOf(m.r.c.Data(i))
		failed = errors.Join(failed, err)
		add(name, disk, float64(taken))
		total[disk] += float64(taken)
	}
	// Our own heap has the history.
	usage, err := rig.UsageOf(os.Getpid())
	failed = errors.Join(failed, err)
	add("chaos", handles, float64(usage.Handles))
	add("chaos", goroutines, float64(runtime.NumGoroutine()))
	for _, file := range []string{"projector.db", "partners"} {
		taken, err := rig.DiskOf(filepath.Join(m.r.dir, file))
		failed = errors.Join(failed, err)
		add(file, disk, float64(taken))
	}
	streams := m.js.ListStreams(ctx)
	messages := 0.0
	for info := range streams.Info() {
		add(info.Config.Name, consumers, float64(info.State.Consumers))
		add(info.Config.Name, stored, float64(info.State.Bytes))
		total[consumers] += float64(info.State.Consumers)
		total[stored] += float64(info.State.Bytes)
		messages += float64(info.State.Msgs)
	}
	failed = errors.Join(failed, streams.Err())
	const MB = 1 << 20
	fmt.Fprintf(m.r.out, "%7.1f s  rest %d: %.0f orders, %.0f messages of %.1f MB; disk %.1f MB, memory %.1f MB, heap %.1f MB, buffers %.1f MB, goroutines %.0f, handles %.0f, consumers %.0f, connections %.0f\n",
		m.r.r.now().Seconds(), cycle+1, orders, messages, total[stored]/MB, total[disk]/MB, total[memory]/MB, total[heap]/MB, total[buffers]/MB, total[goroutines], total[handles], total[consumers], total[connections])
	return failed
}
