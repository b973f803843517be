package main

import (
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
the disk, the NATS server's memory, and how long the server takes to start again, after a
stop and after kill -9.

The store is a new one, on a NATS server that this command starts in a process of its
own and removes with all that it stored.`,
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
	f.StringVar(&cfg.Dir, "dir", "", "let the server store in `DIR`; empty: the system's directory for temporary files")
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
	fmt.Fprintln(w, "\t\tfill\tappend\tload\treplay\tdisk, B\tdisk, B\tmemory, B\tafter\trestart\tafter\t")
	fmt.Fprintln(w, "aggregates\tevents\ts\tp50, µs\tp50, µs\tevents/s\t/event\t/aggregate\t/aggregate\trestart\tms\tkill, ms\t")
	for _, s := range g.Sizes {
		fmt.Fprintf(w, "%d\t%d\t%.1f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t\n", s.Aggregates, s.Events, s.Fill, s.Append, s.Load, s.Replay,
			s.DiskPerEvent, s.DiskPerAggregate, s.MemoryPerAggregate, s.MemoryPerAggregateStarted, s.Restart, s.Recover)
	}
	return w.Flush()
}
