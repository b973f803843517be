package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/esjsbench"
	"github.com/spf13/cobra"
)

func newBenchOrders() *cobra.Command {
	var (
		b      ordersBench
		always bool
		json   bool
	)
	cmd := &cobra.Command{
		Use:   "orders",
		Short: "Measure how many orders the system completes, and how long each takes",
		Long: `Measure how many orders the system completes in a second, and how long each takes, with
more and more customers. Each places an order by five commands, waits until it is completed,
and places the next one.

The system is all services with the scripted partners in one process, on NATS servers in
processes of their own: one, and then three that keep three copies. This command starts
them and removes all that they stored. With three servers, five processes share the
machine.`,
		Example: "  orderflow bench orders\n  orderflow bench orders --customers 64 --replicas 1 --profile .   # go tool pprof -top default-r1-services.pprof",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			switch {
			case len(b.customers) == 0 || slices.Min(b.customers) < 1:
				return usageError("--customers is %v; it must be numbers of 1 or more", b.customers)
			case len(b.replicas) == 0 || slices.ContainsFunc(b.replicas, func(n int) bool { return n != 1 && n != 3 }):
				return usageError("--replicas is %v; it must be 1, 3 or both", b.replicas)
			case b.rounds < 1 || b.time <= 0:
				return usageError("--rounds is %d and --time %v; both must be above 0", b.rounds, b.time)
			}
			if b.profiles != "" {
				if err := os.MkdirAll(b.profiles, 0o755); err != nil {
					return err
				}
			}
			if b.servers, err = benchServer(); err != nil {
				return err
			}
			b.sync = esjsbench.SyncDefault
			if always {
				b.sync = esjsbench.SyncAlways
			}
			progress, done := progressOn(cmd.ErrOrStderr())
			if b.progress = progress; progress == nil {
				b.progress = func(esjsbench.Step) {}
			}
			report, err := b.run(cmd.Context())
			done()
			if err != nil {
				return err
			}
			if json {
				return printJSON(cmd.OutOrStdout(), report)
			}
			return printOrders(cmd.OutOrStdout(), report)
		},
	}
	f := cmd.Flags()
	f.IntSliceVar(&b.customers, "customers", []int{1, 2, 4, 8, 16, 32, 64}, "`NUMBERS` of customers")
	f.IntSliceVar(&b.replicas, "replicas", []int{1, 3}, "`NUMBERS` of servers: 1, 3 or both")
	f.BoolVar(&always, "sync-always", false, "let the servers sync each write, as every deployment must")
	f.IntVar(&b.rounds, "rounds", 3, "how often each number of customers orders; the rate is the median")
	f.DurationVar(&b.time, "time", 5*time.Second, "how long they order in a round")
	f.StringVar(&b.profiles, "profile", "", "write profiles of servers and services, under the most customers for one round more, to `DIR`")
	f.StringVar(&b.dir, "dir", "", "let the servers store in `DIR`; empty: the system's directory for temporary files")
	f.BoolVar(&json, "json", false, "print the figures as JSON, for programs")
	for _, name := range []string{"customers", "replicas", "sync-always", "rounds", "time", "profile", "dir", "json"} {
		withoutVariable(f, name)
	}
	return cmd
}

func printOrders(out io.Writer, r ordersReport) error {
	printMachine(out, r.Machine, "")
	fmt.Fprintf(out, "%s, sync %s, %d %s of %vs\n\n", r.Began.Format(time.RFC3339), r.Sync, r.Rounds, plural(r.Rounds, "round"), r.Seconds)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\t\torders\torders\t\tcommand, ms\t\torder, ms\t\tsubmit to completed\t\tprocessor, ms/order\t\t\tprocessors\tload\t")
	fmt.Fprintln(w, "servers\tcustomers\t/s\tcompleted\tfailed\tp50\tp99\tp50\tp99\tp50\tp99\tservers\tservices\tcustomers\tbusy\taverage\t")
	for _, s := range r.Systems {
		for _, l := range s.Levels {
			fmt.Fprintf(w, "%d\t%d\t%.1f\t%d\t%d\t%.1f\t%.1f\t%.0f\t%.0f\t%.0f\t%.0f\t%.1f\t%.1f\t%.1f\t%.2f\t%s\t\n", s.Replicas, l.Customers, l.Rate, l.Orders, l.Failed,
				l.Command.P50, l.Command.P99, l.Whole.P50, l.Whole.P99, l.Completed.P50, l.Completed.P99, l.Servers, l.Services, l.Customer, l.Processor,
				cmp.Or(strings.Join(l.Load, " "), "-"))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range r.Systems {
		for _, l := range []ordersLevel{s.Levels[0], s.Levels[len(s.Levels)-1]} {
			fmt.Fprintf(out, "\nWhat a subscriber sees of an order, %d %s, %d %s, in ms after submit was sent:\n\n", s.Replicas, plural(s.Replicas, "server"), l.Customers, plural(l.Customers, "customer"))
			fmt.Fprintln(w, "p50\tp99\t  \t")
			for _, step := range l.Steps {
				fmt.Fprintf(w, "%.1f\t%.1f\t  \t%s: %s\n", step.After.P50, step.After.P99, step.Category, step.Event)
			}
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}
