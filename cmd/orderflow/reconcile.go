package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/spf13/cobra"
)

// reconcileTime bounds a comparison that somebody waits for.
const reconcileTime = 5 * time.Minute

func newReconcile() *cobra.Command {
	var (
		s    shellFlags
		last bool
	)
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Compare all payments with the payment provider's list",
		Long: `Compare all payments with the payment provider's list, and print each payment of
which the provider says something else than what is stored. Nothing is changed. While
what became of an attempt is not known, a payment may differ: it is counted as pending,
until a second scheduled comparison finds the same. The payment service compares now and
then by itself; --last prints what it found last.

` + exitHelp(service.ExitOK, exitUnsound),
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.ask(cmd, func(ctx context.Context, c client) error {
				r, err := reconciliation(ctx, c, !last)
				if err != nil {
					return err
				}
				if s.json {
					err = printJSON(cmd.OutOrStdout(), r)
				} else {
					err = printReconciliation(cmd.OutOrStdout(), r)
				}
				switch {
				case err != nil:
					return err
				case r.Error != "":
					return fmt.Errorf("the comparison was not completed: %s", r.Error)
				case r.Found > 0:
					return fail(exitUnsound, "payments that differ from the payment provider's: %d", r.Found)
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&last, "last", false, "print what the last comparison found, and compare nothing now")
	withoutVariable(cmd.Flags(), "last")
	s.add(cmd.Flags())
	s.timeout = reconcileTime
	cmd.Flags().Lookup("timeout").DefValue = reconcileTime.String()
	return cmd
}

// reconciliation returns the last comparison, or one that begins now.
func reconciliation(ctx context.Context, c client, begin bool) (r queries.Reconciliation, err error) {
	const pause = 100 * time.Millisecond
	ask := func(begin bool) error {
		r = queries.Reconciliation{}
		return c.query(ctx, queries.PaymentReconciliation.Subject, queries.ReconciliationRequest{Begin: begin}, &r)
	}
	if err := ask(begin); err != nil || !begin {
		return r, err
	}
	for awaited := r.Next; r.Number < awaited; {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return r, ctx.Err()
		}
		if err := ask(false); err != nil {
			return r, err
		}
	}
	return r, nil
}

func printReconciliation(out io.Writer, r queries.Reconciliation) error {
	if r.Number == 0 {
		_, err := fmt.Fprintln(out, "payments were never compared")
		return err
	}
	fmt.Fprintf(out, "payments at the provider: %d, compared at %s: ", r.Payments, r.EndedAt.Format(time.RFC3339))
	pending := ""
	if r.Pending > 0 {
		pending = fmt.Sprintf(", %d pending: what became of an attempt is not known yet", r.Pending)
	}
	switch {
	case r.Error != "" && r.Found == 0:
		_, err := fmt.Fprintln(out, "not completed"+pending)
		return err
	case r.Error != "":
		fmt.Fprint(out, "not completed, at least ")
	case r.Found == 0:
		_, err := fmt.Fprintln(out, "none differs"+pending)
		return err
	}
	fmt.Fprintf(out, "%d differ%s\n\n", r.Found, pending)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PAYMENT\tORDER\tCODE\tHERE\tTHERE")
	for _, m := range r.Mismatches {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", plain(m.PaymentID), plain(m.OrderID), m.Code, plain(m.Here), plain(m.There))
	}
	if more := r.Found - len(r.Mismatches); more > 0 {
		fmt.Fprintf(w, "and %d more\n", more)
	}
	return w.Flush()
}
