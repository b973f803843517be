package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

// userRepartition names the connections of "repartition". No user of the accounts file may do what it does: who moves
// a store says how many streams it has.
const userRepartition = "repartition"

// repartitionFlags say which store moves where.
type repartitionFlags struct {
	shellFlags
	from, to esjs.Config
	cutOver  bool
	reopen   bool
	where    string
}

func newRepartition() *cobra.Command {
	var r repartitionFlags
	cmd := &cobra.Command{
		Use:   "repartition STREAM --partitions N",
		Short: "Copy the events into a store of several streams, and move there",
		Long: `Copy the events into a store of several streams, and move there.

The new store, whose first stream is STREAM, is on the same servers and in the same account.
The old one may be written meanwhile. Each aggregate keeps its order, versions, ids and times. The
command can be interrupted at any point and is then given again: it compares what is there, and
goes on. A STREAM that holds something else is refused.

With --cut-over the move is finished: the old store takes no more events, which its writers
are told, the rest is copied, everything is read back and compared, and only then can the new store be
opened. Writers stand still meanwhile, for less time than "orderflow verify" takes. The old
stream stays, and can be read. All replicas of it must be there. --reopen takes the end of the old
store back; that loses what was written to the new one. What was at a position in the old store goes on at the one that
--where prints.

The services of orderflow use the store EVENTS with one partition: this is for stores of your own programs, and
to try. It needs a user who may create and update streams, change their leaders, and publish everything.

` + exitHelp(service.ExitOK, service.ExitUnavailable, exitConfiguration),
		Example: "  orderflow repartition ORDERS --partitions 4 --replicas 3\n  orderflow repartition ORDERS --partitions 4 --replicas 3 --cut-over\n  orderflow repartition ORDERS --partitions 4 --where 0-1871",
		Args:    exactly("STREAM"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.to.Stream = args[0]
			if r.to.Partitions < 1 {
				return usageError("--partitions is %d; it must be at least 1", r.to.Partitions)
			}
			if err := r.checkStore(); err != nil {
				return err
			}
			return r.run(cmd)
		},
	}
	f := cmd.Flags()
	r.addServer(f)
	r.addStore(f)
	f.IntVar(&r.to.Partitions, "partitions", 0, "how many `STREAMS` the new store has, 1 to 64")
	f.StringVar(&r.to.Prefix, "prefix", "ev", "what the subjects of the new store begin with")
	f.StringVar(&r.from.Stream, "from", eventStream, "`STREAM` of the old store")
	f.StringVar(&r.from.Prefix, "from-prefix", "ev", "what the subjects of the old store begin with")
	f.BoolVar(&r.cutOver, "cut-over", false, "end the old store, copy the rest, compare everything, and open the new one")
	f.BoolVar(&r.reopen, "reopen", false, "let the old store take events again, and do nothing else")
	f.StringVar(&r.where, "where", "", "print where a `POSITION` of the old store is in the new one, and do nothing else")
	f.BoolVar(&r.json, "json", false, "print the report as JSON, for programs")
	for _, name := range []string{"partitions", "prefix", "from", "from-prefix", "cut-over", "reopen", "where"} {
		withoutVariable(f, name)
	}
	cmd.MarkFlagsMutuallyExclusive("cut-over", "reopen", "where")
	return cmd
}

func (r *repartitionFlags) run(cmd *cobra.Command) error {
	ctx := cmd.Context()
	dial := r.dialExternal(userRepartition, service.NewLogger(cmd.ErrOrStderr(), zerolog.ErrorLevel))
	if err := r.reach(ctx, dial, 0, zerolog.Nop()); err != nil {
		return err
	}
	r.to.Replicas, r.to.MaxBytes = r.replicas, r.eventsMax
	switch {
	case r.reopen:
		if err := esjs.Reopen(ctx, dial, r.from); err != nil {
			return err
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s takes events\n", plain(r.from.Stream))
		return err
	case r.where != "":
		return r.printWhere(ctx, cmd, dial)
	}
	bar := newBar(cmd)
	report, err := esjs.Repartition(ctx, esjs.RepartitionConfig{
		From: r.from, Dial: dial, To: r.to, CutOver: r.cutOver,
		Progress: func(done, of uint64) { bar.show("%d of %d commits", done, of) },
	})
	bar.clear()
	if err != nil {
		return err
	}
	if r.json {
		return printJSON(cmd.OutOrStdout(), report)
	}
	return printMove(cmd.OutOrStdout(), report)
}

func (r *repartitionFlags) printWhere(ctx context.Context, cmd *cobra.Command, dial esjs.Dial) error {
	position, err := esjs.ParsePosition(r.where)
	if err != nil || position.Partition() != 0 {
		return usageError("--where is %q; it must be a position of a store of one partition, such as 0-1871", r.where)
	}
	store, err := openStore(ctx, dial, r.to, storePatience, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer store.Close()
	at, err := store.Moved(ctx, position)
	if err != nil {
		return err
	}
	if r.json {
		return printJSON(cmd.OutOrStdout(), map[string]esjs.Position{"until": position, "at": at})
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), at)
	return err
}

func printMove(out io.Writer, r esjs.RepartitionReport) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "stream\tcommits\t")
	for _, p := range r.Partitions {
		fmt.Fprintf(w, "%s\t%d\t\n", plain(p.Stream), p.Commits)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%d commits were copied, %d were there and are the same\n", r.Copied, r.Found)
	fmt.Fprintf(out, "%s up to %s is %s up to %s\n", plain(r.From), r.Until, plain(r.To), r.At)
	if !r.CutOver {
		_, err := fmt.Fprintf(out, "\n%s still takes events: repeat this with --cut-over to move.\n", plain(r.From))
		return err
	}
	_, err := fmt.Fprintf(out, "\n%d aggregates with %d events were compared and are the same. Writers stood still for %.1f s.\n%s takes no more events: use %s.\n",
		r.Aggregates, r.Events, r.Stopped, plain(r.From), plain(r.To))
	return err
}
