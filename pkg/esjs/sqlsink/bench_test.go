package sqlsink_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
)

// BenchmarkCatchUp compares a projection that catches up (read from the server,
// decode, apply, checkpoint) with a bare loop of transactions that applies the
// same events, decoded and in memory, to a database of the driver as it is.
// They take turns; the metrics are medians. The bar of "ratio" is at least 0.7.
// Beside it is the same loop with its statement prepared once in a transaction,
// which is what the sink's own keeping of statements comes to.
func BenchmarkCatchUp(b *testing.B) {
	const events, batch, rounds = 10_000, 500, 5
	for _, perCommit := range []int{1, 5} {
		b.Run(fmt.Sprintf("events=%d", perCommit), func(b *testing.B) {
			store := esjstest.Server(b).Store(b)
			for n := 0; n < events; n += perCommit {
				commit := make([]esjs.Event, perCommit)
				for i := range commit {
					commit[i] = Added{N: n + i}
				}
				appended(b, store, fmt.Sprintf("a/k%d", n%997), commit...)
			}
			projection := sums(b)
			recorded := readAll(b, store, projection.Codec)
			dir, run := b.TempDir(), 0
			fresh := func(open func(path string) (*sql.DB, error)) *sql.DB {
				run++
				db, err := open(filepath.Join(dir, fmt.Sprintf("%d.db", run)))
				if err != nil {
					b.Fatal(err)
				}
				return db
			}
			rate := func(took time.Duration) float64 { return events / took.Seconds() }
			var projected, bare, prepared, ratios []float64
			for b.Loop() {
				for range rounds {
					p := catchUp(b, store, fresh(sqlsink.OpenSQLite), projection, batch)
					r := bareLoop(b, fresh(openPlain), projection, recorded, batch*perCommit, applyDirect)
					q := bareLoop(b, fresh(openPlain), projection, recorded, batch*perCommit, applyPrepared)
					projected, bare, prepared = append(projected, rate(p)), append(bare, rate(r)), append(prepared, rate(q))
					ratios = append(ratios, r.Seconds()/p.Seconds())
				}
			}
			b.ReportMetric(median(projected), "events/s")
			b.ReportMetric(median(bare), "bare-events/s")
			b.ReportMetric(median(prepared), "prepared-events/s")
			b.ReportMetric(median(ratios), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// openPlain opens a database with the same safety and nothing else.
func openPlain(path string) (*sql.DB, error) {
	return sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)")
}

func catchUp(b *testing.B, store *esjs.Store, db *sql.DB, projection esjs.Projection[*sql.Tx, Added], batch int) time.Duration {
	defer db.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	started := time.Now()
	var took time.Duration
	p := esjs.NewProjector(store, sqlsink.New(db), projection, esjs.ProjectionConfig{
		Batch:      batch,
		OnCaughtUp: func() { took = time.Since(started); cancel() },
	})
	if err := p.Run(ctx); err != nil {
		b.Fatal(err)
	}
	return took
}

func bareLoop(b *testing.B, db *sql.DB, projection esjs.Projection[*sql.Tx, Added], all []esjs.Recorded[Added], batch int,
	apply func(context.Context, *sql.Tx, []esjs.Recorded[Added]) error) time.Duration {
	defer db.Close()
	ctx := context.Background()
	inTx := func(do func(tx *sql.Tx) error) {
		tx, err := db.BeginTx(ctx, nil)
		if err == nil {
			err = do(tx)
		}
		if err == nil {
			err = tx.Commit()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	started := time.Now()
	inTx(func(tx *sql.Tx) error { return projection.Init(ctx, tx) })
	for part := range slices.Chunk(all, batch) {
		inTx(func(tx *sql.Tx) error { return apply(ctx, tx, part) })
	}
	return time.Since(started)
}

func applyDirect(ctx context.Context, tx *sql.Tx, all []esjs.Recorded[Added]) error {
	for _, e := range all {
		if err := applySum(ctx, tx, e); err != nil {
			return err
		}
	}
	return nil
}

func applyPrepared(ctx context.Context, tx *sql.Tx, all []esjs.Recorded[Added]) error {
	add, err := tx.PrepareContext(ctx, addToSum)
	if err != nil {
		return err
	}
	defer add.Close()
	for _, e := range all {
		if _, err := add.ExecContext(ctx, e.Stream.String(), e.Event.N, e.Version); err != nil {
			return err
		}
	}
	return nil
}

func readAll(b *testing.B, store *esjs.Store, codec *esjs.Codec[Added]) (all []esjs.Recorded[Added]) {
	for record, err := range store.ReadAll(context.Background(), esjs.Query{}) {
		if err != nil {
			b.Fatal(err)
		}
		e, err := codec.Decode(record)
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
