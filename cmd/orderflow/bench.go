package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs/esjsbench"
	"github.com/spf13/cobra"
)

func newBench() *cobra.Command {
	var (
		cfg  esjsbench.Config
		json bool
	)
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what the event store costs here, beside raw NATS and PostgreSQL",
		Long: `Measure what the event store costs here, beside raw NATS and PostgreSQL.

Every bar is a ratio of two things that take turns: an append and a raw publish of the
same body, a load and a raw request. The NATS server is a process of its own, which this
command starts and ends: inside this process a round trip would be cheaper than any
user's, and its garbage would be counted as the library's. What needs PostgreSQL is
measured where initdb is found, on a server that the command starts and removes.

Nothing else should run meanwhile. A million aggregates take about 2 GB in --dir, and
everything some ten minutes on two cores.

A bar that is missed is told by the table, and is no failure of the command.`,
		Example: "  orderflow bench --quick               # does it work?\n  orderflow bench --only append,replay  # or numbers of bars: --only 1,10\n  orderflow bench --json > bench.json",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if cfg.Server, err = benchServer(); err != nil {
				return err
			}
			progress, done := progressOn(cmd.ErrOrStderr())
			cfg.Progress = progress
			report, err := esjsbench.Run(cmd.Context(), cfg)
			done()
			if err != nil {
				return err
			}
			if json {
				return printJSON(cmd.OutOrStdout(), report)
			}
			return printBench(cmd.OutOrStdout(), report)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&cfg.Only, "only", nil, "measure only `NAMES` or numbers of bars, separated by commas: "+strings.Join(esjsbench.Names(), ", "))
	f.IntVar(&cfg.Rounds, "rounds", 3, "how often each figure is taken; the table has the median, the lowest and the highest")
	f.IntVar(&cfg.Aggregates, "aggregates", 1_000_000, "`N` aggregates in the large store; the bars want a million")
	f.BoolVar(&cfg.Quick, "quick", false, "a few turns in small stores: shows that everything works, and judges nothing")
	f.StringVar(&cfg.Dir, "dir", "", "let the servers store in `DIR`; empty: the system's directory for temporary files")
	f.BoolVar(&json, "json", false, "print the report as JSON, for programs; it also has every absolute figure")
	for _, name := range []string{"only", "rounds", "aggregates", "quick", "dir", "json"} {
		withoutVariable(f, name)
	}
	cmd.AddCommand(newBenchGrow(), newBenchOrders(), newBenchPartitions(), newBenchServer(), newBenchSystem())
	return cmd
}

// benchServer is the command of the server's process: this program.
func benchServer() ([]string, error) {
	program, err := os.Executable()
	return []string{program, "bench", "server"}, err
}

func newBenchServer() *cobra.Command {
	return &cobra.Command{
		Use:    "server DIR SYNC",
		Short:  "Be the NATS server that is measured",
		Hidden: true,
		Args:   exactly("DIR", "SYNC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return esjsbench.Serve(args[0], esjsbench.Sync(args[1]), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

// progressOn tells a person at a terminal what is measured, on one line; anybody else
// is told nothing. done removes the line.
func progressOn(w io.Writer) (progress func(esjsbench.Step), done func()) {
	if !service.IsTerminal(w) {
		return nil, func() {}
	}
	const clear = "\r\x1b[K"
	return func(s esjsbench.Step) { fmt.Fprintf(w, "%s%d of %d: %s", clear, s.Done+1, s.Total, s.Name) },
		func() { fmt.Fprint(w, clear) }
}

func printBench(out io.Writer, r esjsbench.Report) error {
	printMachine(out, r.Machine, r.Postgres)
	fmt.Fprintf(out, "%s, %d %s, %d aggregates in the large store, took %s\n\n", r.Began.Format(time.RFC3339), r.Rounds, plural(r.Rounds, "round"),
		r.Aggregates, (time.Duration(r.Seconds) * time.Second))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "BAR\tWHAT\tSYNC\tWANTED\tMEASURED\tLOWEST\tHIGHEST\t")
	for _, b := range r.Results {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", b.Number, b.What, b.Sync, withUnit(b.Wanted.String(), b.Unit),
			withUnit(benchFigure(b.Median, b.Unit), b.Unit), benchFigure(b.Lowest, b.Unit), benchFigure(b.Highest, b.Unit), b.Verdict)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(out, "\nnot measured: %s: %s\n", s.Measurement, s.Why)
	}
	switch missed := r.Missed(); {
	case r.Quick:
		fmt.Fprintln(out, "\nA quick run shows that everything works. It measures nothing.")
	case missed > 0:
		fmt.Fprintf(out, "\n%d of %d figures miss what is wanted.\n", missed, len(r.Results))
	default:
		fmt.Fprintln(out, "\nEvery bar that was measured is held.")
	}
	return nil
}

func printMachine(out io.Writer, m esjsbench.Machine, postgres string) {
	load := ""
	if m.Load != "" {
		load = ", load " + m.Load + " before"
	}
	fmt.Fprintf(out, "%s, %d %s, %s%s\n", m.Processor, m.Cores, plural(m.Cores, "core"), m.OS, load)
	fmt.Fprintf(out, "%s, nats-server %s, nats.go %s", m.Go, m.Server, m.Client)
	if postgres != "" {
		fmt.Fprintf(out, ", %s", postgres)
	}
	fmt.Fprintln(out)
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// benchFigure has two decimals for a ratio, and none for an amount.
func benchFigure(v float64, unit string) string {
	if unit == "" {
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

func withUnit(figure, unit string) string {
	if figure == "" || unit == "" {
		return figure
	}
	return figure + " " + unit
}
