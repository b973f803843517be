package esjsbench

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"
)

// beServer makes the test binary the process of a server.
const beServer = "be-a-nats-server"

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == beServer {
		if err := Serve(os.Args[2], Sync(os.Args[3]), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func serverCommand() []string { return []string{os.Args[0], beServer} }

// benchScale is that of the bars, but for the large store, which has 5,000 aggregates
// unless ESJS_BENCH_SIZE says otherwise: so few show only that the benchmark works.
func benchScale(b *testing.B) scale {
	text, size := os.Getenv("ESJS_BENCH_SIZE"), 5_000
	if text != "" {
		var err error
		if size, err = strconv.Atoi(text); err != nil || size < smallStore {
			b.Fatalf("ESJS_BENCH_SIZE is %q; it must be a number from %d on", text, smallStore)
		}
	}
	return fullScale(size)
}

// stored is how many a benchmark stores: a tenth for "-benchtime 1x", which shows only that it works.
func stored(n int) int {
	if flag.Lookup("test.benchtime").Value.String() == "1x" {
		return n / 10
	}
	return n
}

// benchmark runs a measurement as a benchmark.
func benchmark(b *testing.B, m measurement, sync Sync) {
	err := withRig(b.Context(), serverCommand(), b.TempDir(), m, sync, benchScale(b), func(measure measure) error {
		figures, err := measure(b.Loop)
		for _, f := range figures {
			b.ReportMetric(f.value, f.name)
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}
