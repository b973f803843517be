package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/spf13/cobra"
)

func newQueue() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "queue",
		Short: "Look at the queue of commands, and decide about those that were not carried out",
		Long: `Look at the queue of commands, and decide about those that were not carried out.

A command that was given with --queued is carried out when its service runs. One
that is refused, or is no command, is parked with the reason and changed nothing;
those behind it went on. It stays parked until somebody releases or drops it.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newQueueList(),
		newDecision("release", "Queue a parked command again, behind what is there"),
		newDecision("drop", "Give a parked command up"),
	)
	return cmd
}

func newQueueList() *cobra.Command {
	var (
		s       shellFlags
		dropped bool
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show how many commands wait, and what is parked and why",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.ask(cmd, func(ctx context.Context, c client) error {
				status, err := service.ReadQueue(ctx, c.nc)
				if err != nil {
					return err
				}
				if s.json {
					return printJSON(cmd.OutOrStdout(), status)
				}
				if dropped {
					return printDropped(cmd.OutOrStdout(), status.Dropped)
				}
				return printQueue(cmd.OutOrStdout(), status)
			})
		},
	}
	cmd.Flags().BoolVar(&dropped, "dropped", false, "show instead what was dropped in the last 90 days, by whom and why")
	withoutVariable(cmd.Flags(), "dropped")
	s.add(cmd.Flags())
	return cmd
}

func printQueue(out io.Writer, status service.QueueStatus) error {
	if len(status.Waiting) == 0 {
		fmt.Fprintln(out, "no commands wait")
	}
	for _, category := range slices.Sorted(maps.Keys(status.Waiting)) {
		fmt.Fprintf(out, "%d commands wait for %s\n", status.Waiting[category], plain(category))
	}
	if len(status.Parked) == 0 {
		_, err := fmt.Fprintln(out, "none is parked")
		return err
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CATEGORY\tNUMBER\tQUEUED\tSUBJECT\tCODE\tREASON")
	for _, p := range status.Parked {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n",
			plain(p.Category), p.Number, p.QueuedAt.Format(time.RFC3339), plain(p.Subject), plain(p.Code), plain(p.Detail))
	}
	return w.Flush()
}

func printDropped(out io.Writer, dropped []service.DroppedCommand) error {
	if len(dropped) == 0 {
		_, err := fmt.Fprintln(out, "none was dropped")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CATEGORY\tNUMBER\tDROPPED\tBY\tREASON\tSUBJECT\tCODE")
	for _, d := range dropped {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\n",
			plain(d.Category), d.Number, d.DroppedAt.Format(time.RFC3339), plain(d.By), plain(d.Reason), plain(d.Subject), plain(d.Code))
	}
	return w.Flush()
}

// newDecision makes "orderflow queue release order 17 --reason …".
func newDecision(verb, short string) *cobra.Command {
	var (
		s      shellFlags
		reason string
	)
	cmd := &cobra.Command{
		Use:   verb + " CATEGORY NUMBER",
		Short: short,
		Args:  exactly("CATEGORY", "NUMBER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usageError("%s needs --reason; see %[1]s --help", cmd.CommandPath())
			}
			return s.ask(cmd, func(ctx context.Context, c client) error {
				parked := esjs.StreamID{Category: "queue." + args[0], Key: args[1]}
				r, err := c.command(ctx, parked, verb, map[string]any{"reason": reason}, commandOptions{actor: actor()})
				if err != nil {
					return err
				}
				if s.json {
					return printJSON(cmd.OutOrStdout(), r)
				}
				done := map[string]string{"release": "is queued again", "drop": "is given up"}[verb]
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s %s\n", plain(args[0]), plain(args[1]), done)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "`WHY`, which is kept")
	withoutVariable(cmd.Flags(), "reason")
	s.add(cmd.Flags())
	return cmd
}
