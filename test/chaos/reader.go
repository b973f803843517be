//go:build linux

package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/kvsink"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
	"github.com/b144f99b/orderflow/test/chaos/history"
	"github.com/b144f99b/orderflow/test/chaos/rig"
	"golang.org/x/sync/errgroup"
)

const (
	bucketSnapshots     = "SNAPSHOTS_chaos"
	bucketSubscriptions = "SUBSCRIPTIONS_chaos"
	bucketRows          = "ROWS_chaos"
	// lease is short, so that takeovers happen.
	lease = 5 * time.Second

	turns = "turns" // one of two instances handles at a time
	each  = "each"  // every instance handles all
)

// operationOf reads which operation wrote an event.
func operationOf(r esjs.Record) string {
	var w written
	if err := json.Unmarshal(r.Data, &w); err != nil {
		return "undecodable " + r.ID
	}
	return w.Op
}

// again runs something that is to run for ever, again when it ends by itself, until ctx ends.
func (r *recorder) again(ctx context.Context, what string, run func(context.Context) error) {
	for ctx.Err() == nil {
		err := run(ctx)
		if ctx.Err() != nil {
			return
		}
		if corrupt := (*esjs.CorruptError)(nil); errors.As(err, &corrupt) {
			r.object("%s says that the log is damaged: %v", what, err)
		}
		r.note(fmt.Sprintf("%s ended by itself and was started again: %v", what, err))
		_ = rig.Pause(ctx, 200*time.Millisecond) // the loop ends with ctx
	}
}

// subscribe runs one instance of a subscription.
func (r *recorder) subscribe(ctx context.Context, s *esjs.Store, codec *esjs.Codec[written], name, bucket string, session func() int) {
	r.again(ctx, "subscription "+name, func(ctx context.Context) error {
		n := session()
		return esjs.Subscribe(ctx, s, esjs.SubscriptionConfig[written]{
			Name: name, Codec: codec, Bucket: bucket, EveryInstance: bucket == "", Lease: lease,
		}, func(ctx context.Context, e esjs.Recorded[written]) error {
			if err := ctx.Err(); err != nil { // it is not the active one any more
				return err
			}
			r.handled(history.Delivery{Subscription: name, Session: n, Key: e.Stream.Key, Version: e.Version, Op: e.Event.Op})
			return nil
		})
	})
}

// sums is a projection with one row for each aggregate, as T's transaction keeps it.
func sums[T any](codec *esjs.Codec[written], init func(context.Context, T) error, update func(context.Context, T, esjs.Recorded[written]) error) esjs.Projection[T, written] {
	return esjs.Projection[T, written]{Name: "sums", Version: 1, Codec: codec, Query: esjs.Query{Categories: []string{category}}, Init: init, Apply: update}
}

// row is what a projection keeps: it knows when an event is applied twice.
type row struct {
	Version uint64 `json:"version"`
	Events  uint64 `json:"events"`
	Sum     uint64 `json:"sum"`
}

func (r row) apply(e esjs.Recorded[written]) row {
	return row{Version: e.Version, Events: r.Events + 1, Sum: history.Sum(r.Sum, e.Event.Op)}
}

// views are the projections of registers, in SQLite and in a bucket.
type views struct {
	db   *sql.DB
	sql  *esjs.Projector[*sql.Tx, written]
	sink *kvsink.Sink
	kv   *esjs.Projector[*kvsink.Tx, written]
}

func newViews(s *esjs.Store, codec *esjs.Codec[written], dir string) (*views, error) {
	db, err := sqlsink.OpenSQLite(filepath.Join(dir, "views.db"))
	if err != nil {
		return nil, err
	}
	v := &views{db: db, sink: kvsink.New(s, bucketRows)}
	v.sql = esjs.NewProjector(s, sqlsink.New(db), sums(codec,
		func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `CREATE TABLE sums_v1 (key TEXT PRIMARY KEY, row TEXT NOT NULL)`)
			return err
		},
		func(ctx context.Context, tx *sql.Tx, e esjs.Recorded[written]) error {
			var (
				text string
				has  row
			)
			err := tx.QueryRowContext(ctx, `SELECT row FROM sums_v1 WHERE key = ?`, e.Stream.Key).Scan(&text)
			if err == nil {
				err = json.Unmarshal([]byte(text), &has)
			}
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			after, err := json.Marshal(has.apply(e))
			if err == nil {
				_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO sums_v1 VALUES (?, ?)`, e.Stream.Key, string(after))
			}
			return err
		}), esjs.ProjectionConfig{})
	v.kv = esjs.NewProjector(s, v.sink, sums(codec, nil, func(ctx context.Context, tx *kvsink.Tx, e esjs.Recorded[written]) error {
		return kvsink.Update(ctx, tx, e.Stream.Key, e.Record, func(has row) (row, error) { return has.apply(e), nil })
	}), esjs.ProjectionConfig{})
	return v, nil
}

// run projects until ctx ends.
func (v *views) run(ctx context.Context, r *recorder) {
	var both errgroup.Group
	both.Go(func() error { r.again(ctx, "the projection in SQLite", v.sql.Run); return nil })
	both.Go(func() error { r.again(ctx, "the projection in a bucket", v.kv.Run); return nil })
	_ = both.Wait() // neither fails
}

// rows waits until the projections have passed a position, and returns what they have.
func (v *views) rows(ctx context.Context, until esjs.Position, keys []string) ([]history.Row, error) {
	if err := v.sql.WaitFor(ctx, until); err != nil {
		return nil, fmt.Errorf("the projection in SQLite: %w", err)
	}
	if err := v.kv.WaitFor(ctx, until); err != nil {
		return nil, fmt.Errorf("the projection in a bucket: %w", err)
	}
	all := []history.Row{{Projection: "sqlite"}, {Projection: "bucket"}}
	for _, key := range keys {
		var (
			text string
			has  row
		)
		err := v.db.QueryRowContext(ctx, `SELECT row FROM sums_v1 WHERE key = ?`, key).Scan(&text)
		if err == nil {
			err = json.Unmarshal([]byte(text), &has)
		}
		if err == nil {
			all = append(all, history.Row{Projection: "sqlite", Key: key, Version: has.Version, Events: has.Events, Sum: has.Sum})
		} else if !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		has = row{}
		if _, err = v.sink.Get(ctx, "sums_v1", key, &has); err == nil {
			all = append(all, history.Row{Projection: "bucket", Key: key, Version: has.Version, Events: has.Events, Sum: has.Sum})
		} else if !errors.Is(err, esjs.ErrNotFound) {
			return nil, err
		}
	}
	return all, nil
}
