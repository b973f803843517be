package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newSagaList() *cobra.Command {
	var (
		s      shellFlags
		filter queries.SagaFilter
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List fulfilments and refunds, the oldest first",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.ask(cmd, func(ctx context.Context, c client) error {
				var page queries.SagaPage
				if err := c.query(ctx, queries.SagaList.Subject, filter, &page); err != nil {
					return err
				}
				if s.json {
					return printJSON(cmd.OutOrStdout(), page)
				}
				return printSagas(cmd.OutOrStdout(), page.Sagas, page.NextCursor)
			})
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&filter.Attention, "attention", false, "only those that an operator must look at")
	fl.BoolVar(&filter.Open, "open", false, "only those that have not ended")
	fl.BoolVar(&filter.Overdue, "overdue", false, "only those whose deadline has passed")
	fl.StringVar(&filter.OrderID, "order", "", "only those of the order with this `ID`")
	fl.IntVar(&filter.Limit, "limit", 0, "at most `N`, 1 to 200; 50 when it is 0 or not given")
	fl.StringVar(&filter.Cursor, "cursor", "", "go on after the page that ended with this `CURSOR`")
	for _, name := range []string{"attention", "open", "overdue", "order", "limit", "cursor"} {
		withoutVariable(fl, name)
	}
	addSagaFilter(fl, &filter)
	s.add(fl)
	return cmd
}

// addSagaFilter adds the flags that a list and a command for many have in common.
func addSagaFilter(fl *pflag.FlagSet, filter *queries.SagaFilter) {
	fl.StringVar((*string)(&filter.Kind), "kind", "", "only this `KIND`: fulfilment or refund")
	fl.StringVar(&filter.State, "state", "", "only those in this `STATE`, for example CAPTURE_UNKNOWN")
	fl.StringVar(&filter.Cause, "cause", "", "only those that are undone for this `CAUSE`, for example declined")
	for _, name := range []string{"kind", "state", "cause"} {
		withoutVariable(fl, name)
	}
}

func newSagaShow() *cobra.Command {
	var (
		s      shellFlags
		refund string
	)
	cmd := &cobra.Command{
		Use:   "show ORDER-ID",
		Short: "Show where the fulfilment of an order, or a refund of it, is",
		Args:  exactly("ORDER-ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			request := queries.SagaRequest{OrderID: args[0]}
			if refund != "" {
				request = queries.SagaRequest{RefundID: refund}
			}
			return s.ask(cmd, func(ctx context.Context, c client) error {
				var saga queries.Saga
				if err := c.query(ctx, queries.SagaGet.Subject, request, &saga); err != nil {
					return err
				}
				if s.json {
					return printJSON(cmd.OutOrStdout(), saga)
				}
				return printSaga(cmd.OutOrStdout(), saga)
			})
		},
	}
	cmd.Flags().StringVar(&refund, "refund", "", "`ID` of a refund, instead of the order's fulfilment")
	withoutVariable(cmd.Flags(), "refund")
	s.add(cmd.Flags())
	return cmd
}

// nameOf names a saga by what a command for it needs.
func nameOf(s queries.Saga) string {
	if s.Kind == queries.SagaRefund {
		return plain(s.OrderID) + " --refund " + plain(s.SagaID)
	}
	return plain(s.OrderID)
}

// trouble is what an operator must look at; "" when nothing is.
func trouble(s queries.Saga) string {
	if s.Quarantined {
		return "quarantined"
	}
	return plain(s.Attention)
}

// printSagas writes a list for people.
func printSagas(out io.Writer, all []queries.Saga, cursor string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ORDER\tSTATE\tSTEP\tATTEMPT\tATTENTION\tDUE\tAGE")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", nameOf(s), s.State, cmp.Or(string(s.Step), "-"), s.Attempt, cmp.Or(trouble(s), "-"),
			cmp.Or(instant(s.Deadline), "-"), age(s.AgeSeconds))
	}
	if cursor != "" {
		fmt.Fprintf(w, "\nmore with --cursor %s\n", cursor)
	}
	return w.Flush()
}

// printSaga writes one for people.
func printSaga(out io.Writer, s queries.Saga) error {
	what := "Fulfilment of order " + plain(s.OrderID)
	if s.Kind == queries.SagaRefund {
		what = "Refund " + plain(s.SagaID) + " of order " + plain(s.OrderID)
	}
	fmt.Fprintf(out, "%s: %s (version %d)\n\n", what, s.State, s.Version)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %s\t%s\n", name, plain(value))
		}
	}
	steps := func(label string, plan []string) { row(label, strings.Join(plan, ", ")) }
	row("attention", trouble(s))
	row("detail", s.Detail)
	if s.Step != "" {
		row("waits for", fmt.Sprintf("%s, attempt %d", s.Step, s.Attempt))
	}
	row("due", instant(s.Deadline))
	row("undone for", s.Cause)
	var plan, undone []string
	for _, step := range s.Plan {
		plan = append(plan, string(step))
	}
	for _, step := range s.Undone {
		undone = append(undone, string(step))
	}
	steps("to be undone", plan)
	steps("is undone", undone)
	row("outcome", string(s.Outcome))
	if s.LastError.Code != "" {
		row("last error", fmt.Sprintf("%s at %s", s.LastError.Code, instant(s.LastError.At)))
	}
	row("operator", s.Owner)
	row("total", amount(s.Total))
	row("started", instant(s.StartedAt))
	row("in this state since", instant(s.StateSince))
	row("ended", instant(s.EndedAt))
	return w.Flush()
}

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}

func age(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}
