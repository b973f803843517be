package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/b144f99b/orderflow/services/projector/orders"
	"github.com/spf13/cobra"
)

func newList() *cobra.Command {
	var (
		s      shellFlags
		filter orders.Filter
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List orders, newest first",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.ask(cmd, func(ctx context.Context, c client) error {
				var page orders.Page
				if err := c.query(ctx, "query.orders.list", filter, &page); err != nil {
					return err
				}
				if s.json {
					return printJSON(cmd.OutOrStdout(), page)
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "ORDER\tCUSTOMER\tSTATE\tTOTAL\tCREATED")
				for _, o := range page.Orders {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", o.OrderID, o.CustomerID, o.State, amount(o.Total), o.CreatedAt.Format(time.RFC3339))
				}
				if page.NextCursor != "" {
					fmt.Fprintf(w, "\nmore with --cursor %s\n", page.NextCursor)
				}
				return w.Flush()
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&filter.CustomerID, "customer", "", "only orders of the customer with this `ID`")
	fl.StringVar((*string)(&filter.State), "state", "", "only orders in this `STATE`, for example Completed")
	fl.IntVar(&filter.Limit, "limit", 0, "at most `N` orders, 1 to 200; 50 when it is not given")
	fl.StringVar(&filter.Cursor, "cursor", "", "go on after the page that ended with this `CURSOR`")
	for _, name := range []string{"customer", "state", "limit", "cursor"} {
		withoutVariable(fl, name)
	}
	s.add(fl)
	return cmd
}
