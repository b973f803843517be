package esjsbench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/internal/natsproc"
)

// Size is what was measured at one size.
type Size struct {
	Aggregates int    `json:"aggregates"`
	Events     int    `json:"events"`
	Load       string `json:"load_average,omitempty"` // of the machine, when the size was reached; see [LoadAverage]

	Fill float64 `json:"fill_events_per_second"` // of 64 writers, from the size before on

	// One commit, to a new aggregate, by one writer. Small is the same in the store of the
	// first size, in turns with it, and the ratio is of the medians.
	Append      Latency `json:"append"`
	AppendSmall Latency `json:"append_small"`
	AppendRatio float64 `json:"append_ratio"`

	// One whole aggregate, without a snapshot: again and again, in rounds, by turns with one of the small store;
	// and the first one out of a block (8 MB) since the server started, of up to 200 blocks. The system's
	// cache of files has them. The latencies are of all rounds. A ratio is of a round's medians, and
	// HotRatio is their median; what was recorded with one round has no lowest and no highest.
	Hot        Latency `json:"load_hot"`
	HotSmall   Latency `json:"load_hot_small"`
	HotRatio   float64 `json:"load_hot_ratio"`
	HotLowest  float64 `json:"load_hot_ratio_lowest,omitzero"`
	HotHighest float64 `json:"load_hot_ratio_highest,omitzero"`
	Cold       Latency `json:"load_cold"`

	Replay float64 `json:"replay_events_per_second"` // all, decoded

	DiskPerEvent     float64 `json:"disk_bytes_per_event"`
	DiskPerAggregate float64 `json:"disk_bytes_per_aggregate"`

	Written   ServerMemory `json:"server_memory_written"`   // after writing
	Restarted ServerMemory `json:"server_memory_restarted"` // after a restart
	// The process that writes and reads, after the replay: as the operating system counts it, and its
	// heap after a collection.
	ClientResident uint64 `json:"client_resident_bytes"`
	ClientHeap     uint64 `json:"client_heap_bytes"`

	Stop Restart `json:"restart_after_stop"`
	Kill Restart `json:"restart_after_kill"` // by kill -9
}

// Latency is of so many calls, in microseconds.
type Latency struct {
	P50   float64 `json:"p50_us"`
	P99   float64 `json:"p99_us"`
	Calls int     `json:"calls"`
}

// latency sorts what calls took.
func latency(took []time.Duration) Latency {
	slices.Sort(took)
	return Latency{P50: microseconds(median(took)), P99: microseconds(took[(len(took)-1)*99/100]), Calls: len(took)}
}

// ServerMemory is what the server's process holds.
type ServerMemory struct {
	Resident uint64 `json:"resident_bytes"` // as the operating system counts it
	// On the heap after a collection, less what was there when the store was empty.
	PerAggregate float64 `json:"heap_bytes_per_aggregate"`
}

// Restart is from the start of the server's process on.
type Restart struct {
	Ready    float64 `json:"ready_ms"`        // it accepts connections
	Appended float64 `json:"first_append_ms"` // a store was opened and has appended
}

// growing is a store that grows, and beside it a server for stores that do not.
type growing struct {
	GrowConfig
	large, beside grownStore
	empty         uint64 // heap of the server of the large one, before any was written
	done          int    // steps
}

// grownStore is a store on a server of its own.
type grownStore struct {
	rig        *rig
	cfg        esjs.Config
	store      *esjs.Store
	aggregates aggregates
	written    int // aggregates
	more       int // events that are of none of them
}

// stepsOfSize are what Progress is told of at each size.
const stepsOfSize = 5

func (g *growing) step(format string, args ...any) {
	g.Progress(Step{Name: fmt.Sprintf(format, args...), Done: g.done, Total: stepsOfSize * len(g.Sizes)})
	g.done++
}

func (g *growing) begin(ctx context.Context, dir string) (err error) {
	key := numbered
	if g.UUIDs {
		key = numberedUUID
	}
	for name, s := range map[string]*grownStore{"large": &g.large, "small": &g.beside} {
		s.aggregates = deposits(g.Commits, g.GrowConfig.Events, key)
		if s.rig, err = newRig(ctx, g.Server, filepath.Join(dir, name), g.Sync, scale{}); err != nil {
			return err
		}
	}
	if err := g.large.open(ctx, esjs.Config{Stream: "GROWN", Prefix: "grown", Compress: g.Compress}); err != nil {
		return err
	}
	memory, err := g.large.rig.server.Memory()
	g.empty = memory.Heap
	return err
}

func (g *growing) close() (err error) {
	for _, s := range []*grownStore{&g.large, &g.beside} {
		if s.rig != nil {
			err = errors.Join(err, s.rig.close())
		}
	}
	return err
}

// open begins an empty store.
func (s *grownStore) open(ctx context.Context, cfg esjs.Config) (err error) {
	s.cfg, s.written, s.more = cfg, 0, 0
	s.store, err = s.rig.newStore(ctx, cfg)
	return err
}

// What is timed one after the other.
const (
	timedAppends = 1_000
	timedLoads   = 1_000 // hot ones of each round
	hotRounds    = 5
	coldBlocks   = 200
	blockSize    = 8 << 20 // of a stream's files
)

func (g *growing) growTo(ctx context.Context, size int) (s Size, err error) {
	s.Aggregates, s.Events = size, size*g.Commits*g.GrowConfig.Events
	g.step("write %d aggregates", size)
	if err := g.write(ctx, &s); err != nil {
		return s, err
	}
	if err := g.rest(ctx); err != nil {
		return s, err
	}
	if s.Written, err = g.memory(size); err != nil {
		return s, err
	}

	g.step("restart with %d aggregates", size)
	if s.Stop, err = g.large.restart(ctx, (*natsproc.Process).Stop); err != nil {
		return s, err
	}
	if s.Restarted, err = g.memory(size); err != nil {
		return s, err
	}
	stored, err := g.large.rig.onDisk(g.large.cfg.Stream)
	if err != nil {
		return s, err
	}
	s.DiskPerEvent, s.DiskPerAggregate = float64(stored)/float64(s.Events+g.large.more), float64(stored)/float64(size)

	g.step("load some of %d aggregates", size)
	if err := g.load(ctx, int(stored/blockSize)+1, &s); err != nil {
		return s, err
	}
	g.step("read %d aggregates", size)
	if s.Replay, err = g.large.replay(ctx, s.Events); err != nil {
		return s, err
	}
	own := natsproc.ThisMemory()
	s.ClientResident, s.ClientHeap = own.Resident, own.Heap

	g.step("kill and restart with %d aggregates", size)
	s.Kill, err = g.large.restart(ctx, (*natsproc.Process).Kill)
	return s, err
}

// write writes what is missing to the size. The last aggregates of it, and as many of a new store
// of the first size, are begun by one writer whose commits are timed.
func (g *growing) write(ctx context.Context, s *Size) error {
	err := g.beside.open(ctx, esjs.Config{
		Stream: fmt.Sprint("BESIDE_", s.Aggregates), Prefix: fmt.Sprint("beside-", s.Aggregates), Compress: g.Compress,
		MaxBytes: eventsMax / int64(len(g.Sizes)), // a server keeps free what a stream may hold
	})
	if err != nil {
		return err
	}
	timed := min(timedAppends, (s.Aggregates-g.large.written+1)/2, (g.Sizes[0]+1)/2)
	start, written := time.Now(), g.large.written
	if err := g.large.fill(ctx, s.Aggregates-timed); err != nil {
		return err
	}
	s.Fill = float64((g.large.written-written)*g.Commits*g.GrowConfig.Events) / time.Since(start).Seconds()
	s.Load = LoadAverage()
	if err := g.beside.fill(ctx, g.Sizes[0]-timed); err != nil {
		return err
	}
	took, err := timeTurns(times(timed), []side{{"large", g.large.append(ctx)}, {"small", g.beside.append(ctx)}})
	if err != nil {
		return err
	}
	s.Append, s.AppendSmall = latency(took["large"]), latency(took["small"])
	s.AppendRatio = s.Append.P50 / s.AppendSmall.P50
	for _, store := range []*grownStore{&g.large, &g.beside} {
		if rest := store.aggregates; rest.commits > 1 {
			rest.commits, rest.exist = rest.commits-1, true
			if err := fill(ctx, store.store, rest, store.written-timed, store.written); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill writes whole aggregates until there are so many.
func (s *grownStore) fill(ctx context.Context, end int) error {
	err := fill(ctx, s.store, s.aggregates, s.written, end)
	s.written = end
	return err
}

// append begins the next aggregate with its first commit.
func (s *grownStore) append(ctx context.Context) func() error {
	return func() error {
		_, err := s.store.Append(ctx, s.aggregates.id(s.written), esjs.NoStream(), s.aggregates.events(s.written)...)
		s.written++
		return err
	}
}

// rest waits until the server has dropped what it holds of blocks.
func (g *growing) rest(ctx context.Context) error {
	if g.Idle < 0 {
		return nil
	}
	select {
	case <-time.After(g.Idle):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *growing) memory(size int) (ServerMemory, error) {
	m, err := g.large.rig.server.Memory()
	return ServerMemory{m.Resident, (float64(m.Heap) - float64(g.empty)) / float64(size)}, err
}

// restart ends the server and starts it again on what it has stored.
func (s *grownStore) restart(ctx context.Context, end func(*natsproc.Process) error) (r Restart, err error) {
	ready, err := s.rig.restart(end)
	if err != nil {
		return r, err
	}
	start := time.Now()
	if s.store, err = s.rig.openStore(ctx, s.cfg); err != nil {
		return r, err
	}
	_, err = s.store.Append(ctx, account("restarted"), esjs.Any(), aDeposit())
	s.more++
	milliseconds := func(d time.Duration) float64 { return microseconds(d) / 1e3 }
	return Restart{milliseconds(ready), milliseconds(ready + time.Since(start))}, err
}

// load loads one aggregate of each block, of which the server has read none, and then one of the
// middle again and again, by turns with one of the store beside it.
func (g *growing) load(ctx context.Context, blocks int, s *Size) error {
	large, err := g.large.loads(ctx)
	if err != nil {
		return err
	}
	small, err := g.beside.loads(ctx)
	if err != nil {
		return err
	}
	loads, next := min(coldBlocks, blocks, s.Aggregates), 0
	cold, err := timeTurns(times(loads), []side{{"cold", func() error {
		next++
		return large((next - 1) * s.Aggregates / loads)()
	}}})
	if err != nil {
		return err
	}
	s.Cold = latency(cold["cold"])
	return g.loadHot(ctx, s, []side{{"large", large(s.Aggregates / 2)}, {"small", small(g.Sizes[0] / 2)}})
}

// loadHot times loads of which both servers have everything in memory, and nothing else: the server of the large store
// drops each of the blocks that the cold loads have read after ten seconds, and would do it meanwhile.
func (g *growing) loadHot(ctx context.Context, s *Size, sides []side) error {
	if err := g.rest(ctx); err != nil {
		return err
	}
	if _, err := timeTurns(times(1), sides); err != nil {
		return err
	}
	var all, small []time.Duration
	var ratios []float64
	for range hotRounds {
		took, err := timeTurns(times(min(timedLoads, s.Aggregates)), sides)
		if err != nil {
			return err
		}
		ratios = append(ratios, float64(median(took["large"]))/float64(median(took["small"])))
		all, small = append(all, took["large"]...), append(small, took["small"]...)
	}
	s.Hot, s.HotSmall = latency(all), latency(small)
	spread := spreadOf(ratios)
	s.HotRatio, s.HotLowest, s.HotHighest = spread.Median, spread.Lowest, spread.Highest
	return nil
}

// loads loads aggregates from their first event on, by their numbers.
func (s *grownStore) loads(ctx context.Context) (func(aggregate int) func() error, error) {
	h, err := s.rig.handler(ctx, s.store, nil)
	return func(aggregate int) func() error {
		return loadCold(ctx, h, "load", s.aggregates.id(aggregate).Key, s.aggregates.commits*len(s.aggregates.events(aggregate))).run
	}, err
}

// replay reads and decodes everything, and returns events a second.
func (s *grownStore) replay(ctx context.Context, events int) (float64, error) {
	codec, err := esjs.NewCodec(esjs.TypeOf[deposited, deposited]())
	if err != nil {
		return 0, err
	}
	events += s.more
	start, read := time.Now(), 0
	for r, err := range s.store.ReadAll(ctx, esjs.Query{}) {
		if err != nil {
			return 0, err
		}
		if _, err := codec.Decode(r); err != nil {
			return 0, err
		}
		read++
	}
	if read != events {
		return 0, fmt.Errorf("esjsbench: %d events were replayed, want %d", read, events)
	}
	return float64(events) / time.Since(start).Seconds(), nil
}
