package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/spf13/cobra"
)

// subscriptionPrefix begins the names of the buckets that hold subscriptions.
const subscriptionPrefix = "SUBSCRIPTIONS_"

// subscribed is a service's subscription as "subscriptions" shows it.
type subscribed struct {
	Service string `json:"service"`
	esjs.SubscriptionStatus
}

func newSubscriptions() *cobra.Command {
	var s shellFlags
	cmd := &cobra.Command{
		Use:   "subscriptions",
		Short: "Show how far every service has come, who is active, and what is parked",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), s.timeout)
			defer cancel()
			return s.read(ctx, cmd, func(store *esjs.Store) error {
				all, err := allSubscriptions(ctx, store)
				if err != nil {
					return err
				}
				if s.json {
					return printJSON(cmd.OutOrStdout(), all)
				}
				return printSubscriptions(cmd.OutOrStdout(), all)
			})
		},
	}
	s.add(cmd.Flags())
	return cmd
}

func allSubscriptions(ctx context.Context, store *esjs.Store) ([]subscribed, error) {
	all := []subscribed{}
	for _, sp := range services() {
		for _, bucket := range sp.buckets {
			if !strings.HasPrefix(bucket, subscriptionPrefix) {
				continue
			}
			found, err := esjs.Subscriptions(ctx, store, bucket)
			if err != nil {
				return nil, fmt.Errorf("bucket %s: %w", bucket, err)
			}
			for _, status := range found {
				all = append(all, subscribed{sp.name, status})
			}
		}
	}
	return all, nil
}

func printSubscriptions(out io.Writer, all []subscribed) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SERVICE\tSUBSCRIPTION\tPOSITION\tLAG\tPARKED\tSTORED\tOWNER")
	for _, s := range all {
		owner := s.Owner
		if owner == "" {
			owner = "nobody"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\n",
			s.Service, s.Name, s.Position, s.Lag, len(s.Parked), s.Renewed.Format(time.RFC3339), owner)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range all {
		for _, p := range s.Parked {
			fmt.Fprintf(out, "\n%s/%s has parked %q since %s with %d commits: %s\n",
				s.Service, s.Name, p.Key, p.Since.Format(time.RFC3339), p.Count, p.Reason)
		}
	}
	return nil
}
