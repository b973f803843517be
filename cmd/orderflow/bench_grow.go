package main

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/esjsbench"
	"github.com/spf13/cobra"
)

func newBenchGrow() *cobra.Command {
	var (
		cfg    esjsbench.GrowConfig
		always bool
		json   bool
	)
	cmd := &cobra.Command{
		Use:   "grow",
		Short: "Let a store grow, and print what it costs at each size",
		Long: `Let a store grow, and print what it costs at each size: appends, loads and a replay,
the disk, memory of the NATS server and of this process, and how long the server takes to
start again, after a stop and after kill -9, until it accepts connections and until a store has
appended. At each size a small store, of the first size, on a server of its own takes turns with
the one that grows: what is printed beside a figure is the ratio to it; of hot loads the median of
five rounds' ratios, with the lowest and the highest.

The stores are new ones, on NATS servers that this command starts in processes of their
own and removes with all that they stored. A million aggregates of five commits take 3 GB.`,
		Example: "  orderflow bench grow\n  orderflow bench grow --sizes 10000,50000 --commits 5 --events 2 --uuids --compress",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if cfg.Server, err = benchServer(); err != nil {
				return err
			}
			if always {
				cfg.Sync = esjsbench.SyncAlways
			}
			if cfg.Idle == 0 {
				cfg.Idle = -1
			}
			progress, done := progressOn(cmd.ErrOrStderr())
			cfg.Progress = progress
			growth, err := esjsbench.Grow(cmd.Context(), cfg)
			done()
			if err != nil {
				return err
			}
			if json {
				return printJSON(cmd.OutOrStdout(), growth)
			}
			return printGrowth(cmd.OutOrStdout(), growth)
		},
	}
	f := cmd.Flags()
	f.IntSliceVar(&cfg.Sizes, "sizes", []int{1_000, 10_000, 100_000, 1_000_000}, "`NUMBERS` of aggregates at which is measured, ascending")
	f.IntVar(&cfg.Commits, "commits", 1, "commits of each aggregate")
	f.IntVar(&cfg.Events, "events", 1, "events of each commit")
	f.BoolVar(&cfg.UUIDs, "uuids", false, "keys are UUIDs instead of numbers of nine digits; the server holds every key in memory")
	f.BoolVar(&cfg.Compress, "compress", false, "let the server compress what it stores")
	f.BoolVar(&always, "sync-always", false, "let the server sync each write, which takes ten times as long to fill")
	f.DurationVar(&cfg.Idle, "idle", 12*time.Second, "let the server rest so long before its memory is measured: it drops blocks after 10 s, and what it knows of each block's subjects after 2 minutes")
	f.StringVar(&cfg.Dir, "dir", "", "let the servers store in `DIR`; empty: the system's directory for temporary files")
	f.BoolVar(&json, "json", false, "print the figures as JSON, for programs")
	for _, name := range []string{"sizes", "commits", "events", "uuids", "compress", "sync-always", "idle", "dir", "json"} {
		withoutVariable(f, name)
	}
	return cmd
}

func printGrowth(out io.Writer, g esjsbench.Growth) error {
	printMachine(out, g.Machine, "")
	keys, compressed := "numbers", ""
	if g.UUIDs {
		keys = "UUIDs"
	}
	if g.Compress {
		compressed = ", compressed"
	}
	fmt.Fprintf(out, "%s, sync %s, %d %s of an aggregate, %d %s of a commit, keys are %s%s\n\n", g.Began.Format(time.RFC3339), g.Sync,
		g.Commits, plural(g.Commits, "commit"), g.Events, plural(g.Events, "event"), keys, compressed)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\t\tload\tfill\tappend, µs\t\t/ small\thot load, µs\t\t/ small\tlowest\thighest\tcold load, µs\t\treplay\t")
	fmt.Fprintln(w, "aggregates\tevents\taverage\tevents/s\tp50\tp99\tstore's\tp50\tp99\tstore's\tround\tround\tp50\tp99\tevents/s\t")
	for _, s := range g.Sizes {
		fmt.Fprintf(w, "%d\t%d\t%s\t%.0f\t%.0f\t%.0f\t%.2f\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\t%.0f\t%.0f\t%.0f\t\n", s.Aggregates, s.Events, cmp.Or(s.Load, "-"), s.Fill,
			s.Append.P50, s.Append.P99, s.AppendRatio, s.Hot.P50, s.Hot.P99, s.HotRatio, s.HotLowest, s.HotHighest, s.Cold.P50, s.Cold.P99, s.Replay)
	}
	fmt.Fprintln(w, "\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t")
	fmt.Fprintln(w, "\tdisk, B\tdisk, B\theap, B\tafter\tserver's\tafter\tclient's\trestart\tfirst\tafter\tfirst\t\t\t\t")
	fmt.Fprintln(w, "aggregates\t/event\t/aggregate\t/aggregate\trestart\tRSS, MB\trestart\tRSS, MB\tms\tappend\tkill, ms\tappend\t\t\t\t")
	for _, s := range g.Sizes {
		const mb = 1e6
		fmt.Fprintf(w, "%d\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t\t\t\t\n", s.Aggregates, s.DiskPerEvent, s.DiskPerAggregate,
			s.Written.PerAggregate, s.Restarted.PerAggregate, float64(s.Written.Resident)/mb, float64(s.Restarted.Resident)/mb, float64(s.ClientResident)/mb,
			s.Stop.Ready, s.Stop.Appended, s.Kill.Ready, s.Kill.Appended)
	}
	return w.Flush()
}
