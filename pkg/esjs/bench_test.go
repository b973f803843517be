package esjs_test

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs/esjsbench"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink/pgtest"
)

// The bars that the package is meant to keep, measured by the code of "orderflow bench", which
// also judges them. Every measurement runs the operation and its baseline by turns and reports their
// medians and ratios. ns/op is the time of one turn of all operations and means
// nothing. The large store has 5,000 aggregates unless ESJS_BENCH_SIZE says otherwise: so few
// show only that the benchmark works.
func BenchmarkBars(b *testing.B) {
	cfg := esjsbench.Config{Server: []string{os.Args[0], beServer}, Aggregates: 5_000}
	if size := os.Getenv("ESJS_BENCH_SIZE"); size != "" {
		var err error
		if cfg.Aggregates, err = strconv.Atoi(size); err != nil || cfg.Aggregates < 1_000 {
			b.Fatalf("ESJS_BENCH_SIZE is %q; it must be a number from 1000 on", size)
		}
	}
	for _, one := range esjsbench.All() {
		b.Run(fmt.Sprintf("%s/sync=%s", one.Name, one.Sync), func(b *testing.B) {
			cfg.Dir = b.TempDir()
			figures, err := esjsbench.Measure(b.Context(), cfg, one, b.Loop)
			if errors.Is(err, pgtest.ErrNotInstalled) {
				b.Logf("not measured: %v", err)
				return
			}
			if err != nil {
				b.Fatal(err)
			}
			for name, value := range figures {
				b.ReportMetric(value, name)
			}
		})
	}
}
