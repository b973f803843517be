package damage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/test/chaos/rig"
)

// late are the commits that are acknowledged after the server has synced all that was before.
const late = 100

// What a single server has acknowledged and not synced is lost with its power, and the log that is
// left is sound: nothing in it tells. Who has seen more of it says so, and does not go on: a
// projection, whose rows are elsewhere, and a writer, who knows what he has appended. With
// "sync_interval: always" nothing is lost.
func TestLossOfPowerOfASingleServer(t *testing.T) {
	if missing := rig.Missing(t.Context()); missing != "" {
		//nolint:forbidigo // whoever is not root can test everything else; chaos takes power, too, and says when it cannot
		t.Skipf("NOT RUN: no power can be lost: %s", missing)
	}
	for sync, lost := range map[string]bool{"2m": true, "always": false} { // the first is nats-server's default
		t.Run(sync, func(t *testing.T) {
			var disk *rig.Disk
			s := startOn(t, 1, func(home string) string {
				var err error
				if disk, err = rig.NewDisk(t.Context(), home, 1<<30); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(disk.Remove)
				return disk.Dir()
			}, sync)[0]
			t.Cleanup(func() { s.stop(t) }) // before the disk is removed
			fill(t, s, 1)
			whole := digest(t, s.must(t, "verify"))
			backup := filepath.Join(t.TempDir(), "backup")
			s.must(t, "backup", backup)
			if err := disk.Sync(); err != nil { // what follows is within two minutes
				t.Fatal(err)
			}

			db, err := sqlsink.OpenSQLite(filepath.Join(t.TempDir(), "views.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			more(t, s, db)
			before := s.state(t)
			s.end(t, syscall.SIGKILL)
			if err := disk.Lose(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.run(t)
			s.healthy(t)
			after := s.state(t)
			r := s.verify(t)
			seen, appended := goOn(t, s, db)
			t.Logf("| sync_interval %s, %d messages, then the power fails | healthy; %d messages, %d deleted, last %d | %s | projection: %v; writer: %v |",
				sync, before.Messages, after.Messages, after.Deleted, after.Last, r.said(), seen, appended)

			var conflict *esjs.ConflictError
			var corrupt *esjs.CorruptError
			switch {
			case r.status != 0:
				t.Errorf("what is left is not sound: %s", r.text)
			case !lost && (after != before || seen != nil || appended != nil):
				t.Errorf("of %+v there is %+v; the projection says %v, the writer %v", before, after, seen, appended)
			case lost && after.Messages >= before.Messages:
				t.Errorf("nothing was lost of %d messages: the control does not work", before.Messages)
			case lost && (!errors.As(seen, &corrupt) || !strings.Contains(seen.Error(), "is not in the stream EVENTS")):
				t.Errorf("the projection does not say that events are lost: %v", seen)
			case lost && !errors.As(appended, &conflict):
				t.Errorf("the writer is not told that events are lost: %v", appended)
			}
			if !lost {
				return
			}
			fresh := start(t, 1)[0]
			fresh.must(t, "restore", backup)
			if restored := digest(t, fresh.must(t, "verify")); restored != whole {
				t.Errorf("the restored log is another one: %s, want %s", restored, whole)
			}
		})
	}
}

// received are the goods that arrived, which a projection counts.
func received(store *esjs.Store, db *sql.DB) (*esjs.Projector[*sql.Tx, events.StockReceived], error) {
	codec, err := esjs.NewCodec(esjs.TypeOf[events.StockReceived, events.StockReceived]())
	if err != nil {
		return nil, err
	}
	return esjs.NewProjector(store, sqlsink.New(db), esjs.Projection[*sql.Tx, events.StockReceived]{
		Name: "received", Version: 1, Codec: codec, Query: esjs.Query{Categories: []string{events.CategoryStock}},
		Init: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `CREATE TABLE received_v1 (sku TEXT PRIMARY KEY, quantity INTEGER NOT NULL)`)
			return err
		},
		Apply: func(ctx context.Context, tx *sql.Tx, e esjs.Recorded[events.StockReceived]) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO received_v1 VALUES (?, ?) ON CONFLICT (sku) DO UPDATE SET quantity = quantity + excluded.quantity`,
				e.Stream.Key, e.Event.Quantity)
			return err
		},
	}, esjs.ProjectionConfig{}), nil
}

// reading opens the store and runs the projection. end waits until that has ended, or ends it, and returns why.
func reading(t *testing.T, s *server, db *sql.DB) (ctx context.Context, store *esjs.Store, p *esjs.Projector[*sql.Tx, events.StockReceived], end func(now bool) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	store, err := esjs.Open(ctx, esjs.DialURL(s.url()), esjs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	if p, err = received(store, db); err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(running) }()
	return ctx, store, p, func(now bool) error {
		defer stop()
		if now {
			stop()
		}
		return <-ended
	}
}

// more stores commits of another stock, and lets the projection see all.
func more(t *testing.T, s *server, db *sql.DB) {
	t.Helper()
	ctx, store, p, end := reading(t, s, db)
	var last esjs.Position
	for i := range uint64(late) {
		out, err := store.Append(ctx, esjs.StreamID{Category: events.CategoryStock, Key: "late"}, esjs.ExpectVersion(i),
			events.StockReceived{Quantity: 1, Reference: fmt.Sprint("late ", i)})
		if err != nil {
			t.Fatal(err)
		}
		last = out.Revision.Position()
	}
	if err := errors.Join(p.WaitFor(ctx, last), end(true)); err != nil {
		t.Fatal(err)
	}
}

// goOn lets the projection and a writer go on, and returns what each says.
func goOn(t *testing.T, s *server, db *sql.DB) (seen, appended error) {
	t.Helper()
	ctx, store, p, end := reading(t, s, db)
	out, appended := store.Append(ctx, esjs.StreamID{Category: events.CategoryStock, Key: "late"}, esjs.ExpectVersion(late),
		events.StockReceived{Quantity: 1, Reference: "after the power"})
	if appended == nil {
		appended = p.WaitFor(ctx, out.Revision.Position())
	}
	return end(appended == nil), appended // a projection that has seen more than there is ends by itself
}
