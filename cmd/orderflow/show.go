package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/projector/orders"
	"github.com/b144f99b/orderflow/services/projector/timeline"
	"github.com/spf13/cobra"
)

// addNoun adds a noun's verbs to its command, which is the service's own where
// service and noun have one name.
func addNoun(root *cobra.Command, n noun) {
	parent, _, err := root.Find([]string{n.category})
	if err != nil || parent == root {
		parent = &cobra.Command{
			Use: n.category, Short: n.short, Args: noArguments,
			RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		}
		root.AddCommand(parent)
	}
	for _, v := range n.verbs {
		parent.AddCommand(newVerb(n, v))
	}
	if n.category == events.CategoryOrder {
		parent.AddCommand(newShow(), newList(), newTimeline())
	}
}

func newShow() *cobra.Command {
	var s shellFlags
	cmd := &cobra.Command{
		Use:   "show ORDER-ID",
		Short: "Show an order as it is now",
		Args:  exactly("ORDER-ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.ask(cmd, func(ctx context.Context, c client) error {
				var o orders.Order
				if err := c.query(ctx, "query.orders.get", map[string]any{"order_id": args[0]}, &o); err != nil {
					return err
				}
				if s.json {
					return printJSON(cmd.OutOrStdout(), o)
				}
				return printOrder(cmd.OutOrStdout(), o)
			})
		},
	}
	s.add(cmd.Flags())
	return cmd
}

func newTimeline() *cobra.Command {
	var s shellFlags
	cmd := &cobra.Command{
		Use:   "timeline ORDER-ID",
		Short: "Tell what happened to an order, event by event",
		Args:  exactly("ORDER-ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.ask(cmd, func(ctx context.Context, c client) error {
				all := timeline.Timeline{OrderID: args[0]}
				for {
					var page timeline.Timeline
					request := map[string]any{"order_id": args[0], "cursor": all.NextCursor}
					if err := c.query(ctx, "query.orders.timeline", request, &page); err != nil {
						return err
					}
					all.Entries = append(all.Entries, page.Entries...)
					if all.NextCursor = page.NextCursor; all.NextCursor == "" {
						break
					}
				}
				if s.json {
					return printJSON(cmd.OutOrStdout(), all)
				}
				printTimeline(cmd.OutOrStdout(), all)
				return nil
			})
		},
	}
	s.add(cmd.Flags())
	return cmd
}

// printOrder writes an order for people.
func printOrder(out io.Writer, o orders.Order) error {
	fmt.Fprintf(out, "Order %s of customer %s: %s (version %d)\n\n", o.OrderID, o.CustomerID, o.State, o.Version)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name string, value any) {
		if text := fmt.Sprint(value); text != "" {
			fmt.Fprintf(w, "  %s\t%s\n", name, text)
		}
	}
	for _, l := range o.Lines {
		row(l.LineID, fmt.Sprintf("%d × %s (%s) at %v", l.Quantity, l.Name, l.SKU, l.UnitPrice))
	}
	when := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.Format(time.RFC3339)
	}
	row("total", amount(o.Total))
	row("paid", amount(o.Captured))
	row("ships to", strings.TrimSpace(o.Shipping.AddressRef+" "+o.Shipping.Country))
	row("pays with", o.PaymentMethod)
	row("tracking", strings.Join(o.Tracking, ", "))
	row("rejected", o.Rejection.Code)
	row("cancelled", o.Cancellation.Reason)
	row("created", when(o.CreatedAt))
	row("submitted", when(o.SubmittedAt))
	row("ended", when(o.EndedAt))
	return w.Flush()
}

// amount writes money, or nothing when there is none.
func amount(m events.Money) string {
	if m == (events.Money{}) {
		return ""
	}
	return m.String()
}
