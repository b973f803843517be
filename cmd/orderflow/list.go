package main

import (
	"io"

	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newList lists orders.
func newList() *cobra.Command {
	return asking[queries.OrderFilter, queries.OrderPage]{
		use: "list", short: "List orders, newest first", question: queries.OrderList,
		flags: func(f *pflag.FlagSet, q *queries.OrderFilter) {
			f.StringVar(&q.CustomerID, "customer", "", "only orders of the customer with this `ID`")
			f.StringVar((*string)(&q.State), "state", "", "only orders in this `STATE`, for example Completed")
			f.StringVar(&q.Text, "text", "", "only orders with this `TEXT` in their id, their customer's, or a product's sku or name")
			addTime(f, &q.CreatedFrom, "from", "only orders created at this `TIME` or later, for example 2026-03-01")
			addTime(f, &q.CreatedBefore, "before", "only orders created before this `TIME`")
			addPaging(f, &q.Paging)
			addFresh(f, &q.ReadYourWrites)
		},
		print: func(w io.Writer, page queries.OrderPage) {
			row(w, "ORDER", "CUSTOMER", "STATE", "TOTAL", "CREATED")
			for _, o := range page.Orders {
				row(w, o.OrderID, o.CustomerID, o.State, amount(o.Total), o.CreatedAt)
			}
			more(w, page.NextCursor)
		},
	}.command()
}
