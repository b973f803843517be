package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/saga"
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
		cmd := newVerb(n, v)
		if n.category == saga.Category {
			forMany(cmd, v)
		}
		if n.category == events.CategoryProduct && v.name == "list" {
			listOrOffer(cmd)
		}
		parent.AddCommand(cmd)
	}
	if n.category == saga.Category {
		parent.AddCommand(newSagaList(), newSagaShow(), newSagaSummary())
	}
	if n.category == events.CategoryOrder {
		parent.AddCommand(newShow(), newList(), newTimeline())
	}
	if n.category == events.CategoryStock {
		parent.AddCommand(newStockList(), newMovements())
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
				var o queries.Order
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
				all := queries.Timeline{OrderID: args[0]}
				for {
					var page queries.Timeline
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
func printOrder(out io.Writer, o queries.Order) error {
	fmt.Fprintf(out, "Order %s of customer %s: %s (version %d)\n\n", plain(o.OrderID), plain(o.CustomerID), o.State, o.Version)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name string, value any) {
		if text := fmt.Sprint(value); text != "" {
			fmt.Fprintf(w, "  %s\t%s\n", plain(name), plain(text))
		}
	}
	for _, l := range o.Lines {
		line(l.LineID, fmt.Sprintf("%d × %s (%s) at %v", l.Quantity, l.Name, l.SKU, l.UnitPrice))
	}
	line("total", amount(o.Total))
	line("paid", amount(o.Captured))
	line("ships to", strings.TrimSpace(o.Shipping.AddressRef+" "+o.Shipping.Country))
	line("pays with", o.PaymentMethod)
	line("tracking", strings.Join(o.Tracking, ", "))
	line("rejected", o.Rejection.Code)
	line("cancelled", o.Cancellation.Reason)
	line("created", when(o.CreatedAt))
	line("submitted", when(o.SubmittedAt))
	line("ended", when(o.EndedAt))
	return w.Flush()
}

// amount writes money, or nothing when there is none.
func amount(m events.Money) string {
	if m == (events.Money{}) {
		return ""
	}
	return m.String()
}
