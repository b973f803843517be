package esjsbench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/google/uuid"
)

const (
	smallStore = 1_000     // aggregates
	largeStore = 1_000_000 // aggregates that the bars of growth want
)

// measureGrowth compares loads and appends in a large store with those in a small one,
// all hot. Beside them are the first loads of a server that was idle, and what an
// aggregate costs.
func measureGrowth(ctx context.Context, r *rig) (measure, error) {
	small, err := r.grown(ctx, "SMALL", smallStore)
	if err != nil {
		return nil, err
	}
	before, err := r.server.Memory()
	if err != nil {
		return nil, err
	}
	large, err := r.grown(ctx, "LARGE", r.scale.aggregates)
	if err != nil {
		return nil, err
	}
	if err := r.idle(ctx); err != nil {
		return nil, err
	}
	after, err := r.server.Memory()
	if err != nil {
		return nil, err
	}
	stored, err := r.onDisk("LARGE")
	if err != nil {
		return nil, err
	}
	amounts := []figure{
		{"B/aggregate-in-memory", float64(after.Heap-min(before.Heap, after.Heap)) / float64(r.scale.aggregates)},
		{"B/aggregate-on-disk", float64(stored) / float64(r.scale.aggregates)},
	}
	var sides []side
	var ratios []ratio
	for _, key := range []string{current, behind} {
		if err := r.idle(ctx); err != nil {
			return nil, err
		}
		s := large.load(ctx, "large-"+key, key)
		start := time.Now()
		if err := s.run(); err != nil {
			return nil, err
		}
		amounts = append(amounts, figure{"first-" + key + "-µs", microseconds(time.Since(start))})
		sides = append(sides, small.load(ctx, "small-"+key, key), s)
		ratios = append(ratios, ratio{"large-" + key, "small-" + key})
	}
	sides = append(sides,
		side{"small-append", appendTo(ctx, small.store, account("appended"), aDeposit())},
		side{"large-append", appendTo(ctx, large.store, account("appended"), aDeposit())})
	byTurns := compare(sides, append(ratios, ratio{"large-append", "small-append"})...)
	return func(loop func() bool) ([]figure, error) {
		figures, err := byTurns(loop)
		return append(figures, amounts...), err
	}, nil
}

// grown is a store with so many aggregates of one commit each, and between them the
// commits of the two that are loaded.
func (r *rig) grown(ctx context.Context, name string, size int) (*shop, error) {
	store, err := r.newStore(ctx, esjs.Config{Stream: name, Prefix: name})
	if err != nil {
		return nil, err
	}
	filled, step := 0, size/(snapshotAt+behindBy)+1
	return r.openShop(ctx, store, "SNAPSHOTS_"+name, func() error {
		from := filled
		filled = min(from+step, size)
		return fill(ctx, store, deposits(1, 1, numbered), from, filled)
	})
}

// deposits are accounts with so many commits of so many events.
func deposits(commits, events int, key func(int) string) aggregates {
	batch := make([]esjs.Event, events)
	for i := range batch {
		batch[i] = aDeposit()
	}
	return aggregates{
		commits: commits,
		id:      func(n int) esjs.StreamID { return account(key(n)) },
		events:  func(int) []esjs.Event { return batch },
	}
}

// onDisk is how many bytes the files of a stream have.
func (r *rig) onDisk(stream string) (bytes int64, err error) {
	err = filepath.WalkDir(filepath.Join(r.dir, "nats", "jetstream", "$G", "streams", stream, "msgs"), func(_ string, file fs.DirEntry, err error) error {
		if err != nil || file.IsDir() {
			return err
		}
		info, err := file.Info()
		if errors.Is(err, fs.ErrNotExist) { // the server was faster
			return nil
		}
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	return bytes, err
}

func numbered(n int) string { return fmt.Sprintf("%09d", n) }

// numberedUUID is as random as another, and known again.
func numberedUUID(n int) string { return uuid.NewSHA1(uuid.NameSpaceOID, []byte(numbered(n))).String() }

// idleTime is what a server needs that is not used to drop the blocks of messages
// that it holds in memory: 10 s, and something.
const idleTime = 12 * time.Second

// idle waits until the server holds no blocks in memory, where the scale asks for it.
func (r *rig) idle(ctx context.Context) error {
	if !r.scale.idle {
		return nil
	}
	select {
	case <-time.After(idleTime):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
