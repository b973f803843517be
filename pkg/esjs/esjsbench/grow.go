package esjsbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// GrowConfig says how a store grows.
type GrowConfig struct {
	// Server is the command that runs [Serve].
	Server []string
	// Dir is where the servers store; everything in it is removed again. Empty: the
	// system's directory for temporary files.
	Dir string
	// Sync of the server; default [SyncDefault]: filling with [SyncAlways] takes ten times
	// as long.
	Sync Sync
	// Sizes are the numbers of aggregates at which is measured, ascending. Each is compared with
	// a store of the first one. Default 1,000, 10,000, 100,000 and 1,000,000.
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

// Grow fills a store and measures at each size. Beside it is a second server with a store of the
// first size, new at each size, and the two take turns at what is compared. Errors: [esjs.ErrConfig]
// for sizes that are none, ctx's, and those of the measured operations.
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
	growth = Growth{
		Machine: ThisMachine(), Began: time.Now().UTC().Truncate(time.Second), Sync: cfg.Sync,
		Commits: cfg.Commits, Events: cfg.Events, UUIDs: cfg.UUIDs, Compress: cfg.Compress,
	}
	g := growing{GrowConfig: cfg}
	defer func() { err = errors.Join(err, g.close()) }()
	if err := g.begin(ctx, dir); err != nil {
		return Growth{}, err
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
