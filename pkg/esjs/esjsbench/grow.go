package esjsbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/internal/natsproc"
	"github.com/google/uuid"
)

// GrowConfig says how a store grows.
type GrowConfig struct {
	// Server is the command that runs [Serve].
	Server []string
	// Dir is where the server stores; everything in it is removed again. Empty: the
	// system's directory for temporary files.
	Dir string
	// Sync of the server; default [SyncDefault]: filling with [SyncAlways] takes ten times
	// as long.
	Sync Sync
	// Sizes are the numbers of aggregates at which is measured, ascending.
	// Default 1,000, 10,000, 100,000 and 1,000,000.
	Sizes []int
	// Commits of each aggregate, and Events of each commit; default 1.
	Commits, Events int
	// UUIDs makes keys random UUIDs, of 36 bytes; otherwise they are numbers of nine digits.
	// The server keeps every subject in memory, so that they matter.
	UUIDs bool
	// Compress has the server compress the stream.
	Compress bool
	// Idle is how long the server rests before its memory is measured. It drops the blocks
	// that it holds after 10 s, and what it knows of each block's subjects after 2
	// minutes; its index of all subjects stays. Below 0: not at all. Default 12 s.
	Idle time.Duration
	// Progress is told what begins; nil is allowed.
	Progress func(Step)
}

func (c GrowConfig) withDefaults() GrowConfig {
	if c.Sync == "" {
		c.Sync = SyncDefault
	}
	if len(c.Sizes) == 0 {
		c.Sizes = []int{1_000, 10_000, 100_000, 1_000_000}
	}
	c.Commits, c.Events = max(c.Commits, 1), max(c.Events, 1)
	if c.Idle == 0 {
		c.Idle = idleTime
	}
	if c.Progress == nil {
		c.Progress = func(Step) {}
	}
	return c
}

// Growth is a store at several sizes.
type Growth struct {
	Machine  Machine   `json:"machine"`
	Began    time.Time `json:"began"`
	Sync     Sync      `json:"sync"`
	Commits  int       `json:"commits_of_an_aggregate"`
	Events   int       `json:"events_of_a_commit"`
	UUIDs    bool      `json:"uuid_keys"`
	Compress bool      `json:"compressed"`
	Sizes    []Size    `json:"sizes"`
}

// Size is what was measured at one size.
type Size struct {
	Aggregates int     `json:"aggregates"`
	Events     int     `json:"events"`
	Fill       float64 `json:"fill_seconds"` // from the size before on

	Append float64 `json:"append_p50_us"` // of one commit, to a new aggregate
	Load   float64 `json:"load_p50_us"`   // of one whole aggregate, without a snapshot, hot
	Replay float64 `json:"replay_events_per_second"`

	DiskPerEvent     float64 `json:"disk_bytes_per_event"`
	DiskPerAggregate float64 `json:"disk_bytes_per_aggregate"`

	// What the server has on its heap after a collection, less what it had when
	// the store was empty: as it is after writing, and after a restart.
	MemoryPerAggregate        float64 `json:"memory_bytes_per_aggregate"`
	MemoryPerAggregateStarted float64 `json:"memory_bytes_per_aggregate_after_restart"`

	Restart float64 `json:"restart_ms"`            // from the start of the process until it accepts connections
	Recover float64 `json:"restart_after_kill_ms"` // the same after kill -9
}

// Grow fills a store and measures at each size. Errors: [esjs.ErrConfig] for sizes that
// are none, ctx's, and those of the measured operations.
func Grow(ctx context.Context, cfg GrowConfig) (growth Growth, err error) {
	cfg = cfg.withDefaults()
	if len(cfg.Server) == 0 || cfg.Sizes[0] < 1 || !slices.IsSorted(cfg.Sizes) {
		return Growth{}, fmt.Errorf("%w: growing needs a command for its server, and ascending sizes of one aggregate or more", esjs.ErrConfig)
	}
	dir, err := os.MkdirTemp(cfg.Dir, "esjsbench-")
	if err != nil {
		return Growth{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r, err := newRig(ctx, cfg.Server, dir, cfg.Sync, scale{})
	if err != nil {
		return Growth{}, err
	}
	g := growing{GrowConfig: cfg, rig: r, aggregates: deposits(cfg.Commits, cfg.Events, numbered)}
	defer func() { err = errors.Join(err, g.rig.close()) }()
	if cfg.UUIDs {
		g.aggregates = deposits(cfg.Commits, cfg.Events, func(n int) string {
			return uuid.NewSHA1(uuid.NameSpaceOID, []byte(numbered(n))).String() // as random as another, and known again
		})
	}
	if err := g.begin(ctx); err != nil {
		return Growth{}, err
	}
	growth = Growth{
		Machine: ThisMachine(), Began: time.Now().UTC().Truncate(time.Second), Sync: cfg.Sync,
		Commits: cfg.Commits, Events: cfg.Events, UUIDs: cfg.UUIDs, Compress: cfg.Compress,
	}
	for _, size := range cfg.Sizes {
		s, err := g.growTo(ctx, size)
		if err != nil {
			return growth, fmt.Errorf("at %d aggregates: %w", size, err)
		}
		growth.Sizes = append(growth.Sizes, s)
	}
	return growth, nil
}

// growing is a store that grows.
type growing struct {
	GrowConfig
	rig        *rig
	aggregates aggregates
	store      *esjs.Store
	written    int    // aggregates
	empty      uint64 // the server's heap before any was written
	done       int    // steps
}

// stepsOfSize are what Progress is told of at each size.
const stepsOfSize = 4

func (g *growing) step(format string, args ...any) {
	g.Progress(Step{Name: fmt.Sprintf(format, args...), Done: g.done, Total: stepsOfSize * len(g.Sizes)})
	g.done++
}

// grownStore is the store that grows.
const grownStore = "GROWN"

func (g *growing) storeConfig() esjs.Config {
	return esjs.Config{Stream: grownStore, Prefix: "grown", Compress: g.Compress}
}

func (g *growing) begin(ctx context.Context) (err error) {
	if g.store, err = g.rig.newStore(ctx, g.storeConfig()); err != nil {
		return err
	}
	g.empty, err = g.heap()
	return err
}

func (g *growing) heap() (uint64, error) {
	memory, err := natsproc.MemoryOf(g.rig.nc)
	return memory.Heap, err
}

// timedAppends and timedLoads are what a median is taken of.
const (
	timedAppends = 1_000
	timedLoads   = 1_000
)

func (g *growing) growTo(ctx context.Context, size int) (s Size, err error) {
	s.Aggregates, s.Events = size, size*g.Commits*g.Events
	g.step("write %d aggregates", size)
	start := time.Now()
	p50, err := g.fill(ctx, size)
	if err != nil {
		return s, err
	}
	s.Append, s.Fill = microseconds(p50), time.Since(start).Seconds()
	if err := g.rest(ctx); err != nil {
		return s, err
	}
	if s.MemoryPerAggregate, err = g.memory(size); err != nil {
		return s, err
	}

	g.step("restart with %d aggregates", size)
	if s.Restart, err = g.restart(ctx, (*natsproc.Server).Stop); err != nil {
		return s, err
	}
	if s.MemoryPerAggregateStarted, err = g.memory(size); err != nil {
		return s, err
	}
	stored, err := g.rig.onDisk(grownStore)
	if err != nil {
		return s, err
	}
	s.DiskPerEvent, s.DiskPerAggregate = float64(stored)/float64(s.Events), float64(stored)/float64(size)

	g.step("read %d aggregates", size)
	if s.Load, err = g.load(ctx, size/2); err != nil {
		return s, err
	}
	if s.Replay, err = g.replay(ctx, s.Events); err != nil {
		return s, err
	}

	g.step("kill and restart with %d aggregates", size)
	s.Recover, err = g.restart(ctx, (*natsproc.Server).Kill)
	return s, err
}

// fill writes what is missing to the size, the last of it by one writer, whose
// commits are timed.
func (g *growing) fill(ctx context.Context, size int) (p50 time.Duration, err error) {
	timed := min(timedAppends, (size-g.written+1)/2)
	if err := fill(ctx, g.store, g.aggregates, g.written, size-timed); err != nil {
		return 0, err
	}
	next := size - timed
	medians, err := takeTurns(times(timed), []side{{"append", func() error {
		_, err := g.store.Append(ctx, g.aggregates.id(next), esjs.NoStream(), g.aggregates.events(next)...)
		next++
		return err
	}}})
	if err != nil {
		return 0, err
	}
	g.written = size
	if g.Commits == 1 {
		return medians["append"], nil
	}
	rest := g.aggregates
	rest.commits, rest.exist = g.Commits-1, true
	return medians["append"], fill(ctx, g.store, rest, size-timed, size)
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

// memory is what an aggregate takes on the server's heap, in bytes.
func (g *growing) memory(size int) (float64, error) {
	heap, err := g.heap()
	return (float64(heap) - float64(g.empty)) / float64(size), err
}

// restart ends the server and starts it again on what it has stored, and returns how
// many milliseconds that took.
func (g *growing) restart(ctx context.Context, end func(*natsproc.Server) error) (ms float64, err error) {
	took, err := g.rig.restart(end)
	if err != nil {
		return 0, err
	}
	g.store, err = g.rig.openStore(ctx, g.storeConfig())
	return microseconds(took) / 1e3, err
}

// load takes the median of loads of one aggregate, from its first event on.
func (g *growing) load(ctx context.Context, aggregate int) (p50 float64, err error) {
	h, err := g.rig.handler(ctx, g.store, nil)
	if err != nil {
		return 0, err
	}
	one := loadCold(ctx, h, "load", g.aggregates.id(aggregate).Key, g.Commits*g.Events)
	medians, err := takeTurns(times(timedLoads), []side{one})
	return microseconds(medians["load"]), err
}

// replay reads and decodes everything, and returns events a second.
func (g *growing) replay(ctx context.Context, events int) (float64, error) {
	codec, err := esjs.NewCodec(esjs.TypeOf[deposited, deposited]())
	if err != nil {
		return 0, err
	}
	start, read := time.Now(), 0
	for r, err := range g.store.ReadAll(ctx, esjs.Query{}) {
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
