package esjsbench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink/pgtest"
	"github.com/jackc/pgx/v5"
)

// eventsTable is how a table of events usually is: 1,000 accounts of 100 events each.
var eventsTable = []string{
	`CREATE TABLE events (stream text, version bigint, id uuid NOT NULL, type text NOT NULL, time timestamptz NOT NULL,
		data jsonb NOT NULL, metadata jsonb NOT NULL, PRIMARY KEY (stream, version))`,
	`INSERT INTO events SELECT 'account-' || a, v, gen_random_uuid(), 'Deposited', now(),
		'{"amount":1,"note":"a usual event has some text in it"}', '{"actor":"shop"}'
		FROM generate_series(1, 1000) a, generate_series(1, 100) v`,
	`VACUUM ANALYZE events`,
}

// measurePostgres loads an aggregate of 100 events, with a current snapshot and from
// all of its 20 commits, against a SELECT of 100 rows of an events table. The rows are
// read and not decoded, by a Unix socket; ours are decoded and folded, by TCP.
func measurePostgres(ctx context.Context, r *rig) (measure, error) {
	const commits, each = 20, 5
	server, err := pgtest.Start(ctx)
	if err != nil {
		return nil, err
	}
	r.onClose(server.Stop)
	url, err := server.Create(ctx, "bench")
	if err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	r.ending = append(r.ending, func() error { return conn.Close(context.WithoutCancel(ctx)) })
	for _, statement := range eventsTable {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return nil, err
		}
	}
	sides := []side{{"select-100", func() error { return selectEvents(ctx, conn, commits*each) }}}
	if err := r.bucket(ctx, "SNAPSHOTS_bench"); err != nil {
		return nil, err
	}
	for _, s := range []struct {
		name      string
		snapshots bool
	}{{"load-snapshot", true}, {"load-20-commits", false}} {
		policy := (*snapshots)(nil)
		if s.snapshots {
			policy = &snapshots{Bucket: "SNAPSHOTS_bench", Every: 1}
		}
		if err := r.hundredEvents(ctx, s.name, policy, commits, each); err != nil {
			return nil, err
		}
		if s.snapshots {
			policy = &snapshots{Bucket: "SNAPSHOTS_bench", Every: -1}
		}
		cold, err := r.handler(ctx, r.store, policy)
		if err != nil {
			return nil, err
		}
		sides = append(sides, loadCold(ctx, cold, s.name, s.name, commits*each))
	}
	return compare(sides), nil
}

func selectEvents(ctx context.Context, conn *pgx.Conn, want int) error {
	rows, err := conn.Query(ctx, "SELECT version, id, type, time, data, metadata FROM events WHERE stream = $1 ORDER BY version", "account-500")
	if err != nil {
		return err
	}
	var (
		version        int64
		id             [16]byte
		name           string
		at             time.Time
		data, metadata []byte
		read           int
	)
	_, err = pgx.ForEachRow(rows, []any{&version, &id, &name, &at, &data, &metadata}, func() error { read++; return nil })
	if err == nil && read != want {
		err = fmt.Errorf("esjsbench: %d rows were read, want %d", read, want)
	}
	return err
}

// hundredEvents writes an account of so many commits. The last event comes by a
// command, which writes the snapshot where there are any.
func (r *rig) hundredEvents(ctx context.Context, key string, policy *snapshots, commits, each int) error {
	run := appendTo(ctx, r.store, account(key), slices.Repeat([]esjs.Event{aDeposit()}, each)...)
	for range commits - 1 {
		if err := run(); err != nil {
			return err
		}
	}
	if _, err := r.store.Append(ctx, account(key), esjs.Any(), slices.Repeat([]esjs.Event{aDeposit()}, each-1)...); err != nil {
		return err
	}
	h, err := r.handler(ctx, r.store, policy)
	if err != nil {
		return err
	}
	if _, err := h.Handle(ctx, key, deposit(1)); err != nil {
		return err
	}
	return h.Close(ctx)
}
