package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/esjsbench"
	"github.com/spf13/cobra"
)

func newBenchPartitions() *cobra.Command {
	var (
		cfg    esjsbench.PartitionsConfig
		noSync bool
		json   bool
	)
	cmd := &cobra.Command{
		Use:   "partitions",
		Short: "Compare appends to a store of one stream and to stores of several, on three servers",
		Long: `Compare appends to a store of one stream and to stores of several, on three servers.

Many writers append at the same time, each to an aggregate of its own: to the store of one
stream for a while, then to the next store, and so on, in rounds. Every stream has a replica on each of
the three NATS servers, which this command starts in processes of their own and removes with all that
they stored. The ratio is to the first store in the same round.

On one machine the servers share its processors and its disk, so that more streams can gain
little there: what they spread is what several machines have.`,
		Example: "  orderflow bench partitions\n  orderflow bench partitions --writers 256 --rounds 9 --json > partitions.json",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if cfg.Server, err = benchServer(); err != nil {
				return err
			}
			if noSync {
				cfg.Sync = esjsbench.SyncDefault
			}
			if cfg.Writers < 1 || cfg.Rounds < 1 || cfg.Time <= 0 {
				return usageError("--writers, --rounds and --time must be above 0")
			}
			progress, done := progressOn(cmd.ErrOrStderr())
			cfg.Progress = progress
			compared, err := esjsbench.Partition(cmd.Context(), cfg)
			done()
			if err != nil {
				return err
			}
			if json {
				return printJSON(cmd.OutOrStdout(), compared)
			}
			return printPartitions(cmd.OutOrStdout(), compared)
		},
	}
	f := cmd.Flags()
	f.IntSliceVar(&cfg.Partitions, "partitions", []int{1, 2, 4}, "`NUMBERS` of streams; the first is what the others are compared with")
	f.IntVar(&cfg.Writers, "writers", 64, "how many append at the same time")
	f.IntVar(&cfg.Rounds, "rounds", 5, "how often each store has its turn")
	f.DurationVar(&cfg.Time, "time", 3*time.Second, "how long a turn is")
	f.BoolVar(&noSync, "sync-default", false, "let the servers sync every two minutes, and not each write")
	f.StringVar(&cfg.Dir, "dir", "", "let the servers store in `DIR`; empty: the system's directory for temporary files")
	f.BoolVar(&json, "json", false, "print the figures as JSON, for programs")
	for _, name := range []string{"partitions", "writers", "rounds", "time", "sync-default", "dir", "json"} {
		withoutVariable(f, name)
	}
	return cmd
}

func printPartitions(out io.Writer, p esjsbench.Partitioned) error {
	printMachine(out, p.Machine, "")
	fmt.Fprintf(out, "%s, %d servers, sync %s, %d writers, %d %s of %.1f s\n\n", p.Began.Format(time.RFC3339), p.Servers, p.Sync, p.Writers, p.Rounds, plural(p.Rounds, "turn"), p.Seconds)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "partitions\tleaders\tappends/s\tratio\tlowest\thighest\tp50, ms\tp99, ms\tservers' µs\tclient's µs\t")
	for _, s := range p.Stores {
		fmt.Fprintf(w, "%d\t%d\t%.0f\t%.2f\t%.2f\t%.2f\t%.1f\t%.1f\t%.0f\t%.0f\t\n", s.Partitions, s.Leaders, s.Rate.Median,
			s.Ratio.Median, s.Ratio.Lowest, s.Ratio.Highest, s.P50.Median, s.P99.Median, s.Servers.Median, s.Client.Median)
	}
	return w.Flush()
}
