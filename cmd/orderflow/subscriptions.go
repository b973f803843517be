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
	cmd.AddCommand(
		newParkedDecision("release", "Let a parked key go on, from the commit that failed"),
		newParkedDecision("drop", "Give up the first commit of a parked key that waits, and let the key go on after it"),
		newRewind(),
	)
	return cmd
}

// newParkedDecision makes "orderflow subscriptions release payment payment fulfilment/o-1 --reason …".
func newParkedDecision(verb, short string) *cobra.Command {
	var (
		s            shellFlags
		reason, from string
	)
	cmd := &cobra.Command{
		Use:   verb + " SERVICE SUBSCRIPTION KEY",
		Short: short,
		Args:  exactly("SERVICE", "SUBSCRIPTION", "KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"key": args[2], "reason": reason}
			switch {
			case reason == "":
				return usageError("%s needs --reason; see %[1]s --help", cmd.CommandPath())
			case verb == "drop" && from == "":
				return usageError("%s needs --from, the position of the commit that is given up, which \"orderflow subscriptions\" shows", cmd.CommandPath())
			case verb == "drop":
				body["from"] = from
			}
			done := map[string]string{"release": " goes on", "drop": " goes on after " + from}[verb]
			return s.decide(cmd, args, verb, body, args[2]+done)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "`WHY`, for the log")
	withoutVariable(cmd.Flags(), "reason")
	if verb == "drop" {
		cmd.Flags().StringVar(&from, "from", "", "`POSITION` of the commit that is given up: the first one that waits")
		withoutVariable(cmd.Flags(), "from")
	}
	s.add(cmd.Flags())
	return cmd
}

// newRewind makes "orderflow subscriptions rewind payment payment --to 0-1871 --reason …".
func newRewind() *cobra.Command {
	var (
		s          shellFlags
		to, reason string
	)
	cmd := &cobra.Command{
		Use:   "rewind SERVICE SUBSCRIPTION",
		Short: "Let a subscription go on after a position: it handles again what comes after it, or passes over what it has not handled",
		Args:  exactly("SERVICE", "SUBSCRIPTION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if to == "" || reason == "" {
				return usageError("%s needs --to and --reason; see %[1]s --help", cmd.CommandPath())
			}
			return s.decide(cmd, args, "rewind", map[string]any{"to": to, "reason": reason}, "goes on after "+to)
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "`POSITION` after which it goes on; 0-0 is the beginning")
	cmd.Flags().StringVar(&reason, "reason", "", "`WHY`, for the log")
	withoutVariable(cmd.Flags(), "to")
	withoutVariable(cmd.Flags(), "reason")
	s.add(cmd.Flags())
	return cmd
}

// decide sends what an operator decides about the subscription that args names to its service, and says what is done.
func (s *shellFlags) decide(cmd *cobra.Command, args []string, verb string, body map[string]any, done string) error {
	return s.ask(cmd, func(ctx context.Context, c client) error {
		subscription := esjs.StreamID{Category: "subscription." + args[0], Key: args[1]}
		r, err := c.command(ctx, subscription, verb, body, commandOptions{actor: actor()})
		if err != nil {
			return err
		}
		if s.json {
			return printJSON(cmd.OutOrStdout(), r)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s/%s: %s\n", plain(args[0]), plain(args[1]), plain(done))
		return err
	})
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
	fmt.Fprintln(w, "SERVICE\tSUBSCRIPTION\tPOSITION\tLAG\tBEHIND\tRATE\tPARKED\tSTORED\tOWNER")
	for _, s := range all {
		owner := s.Owner
		if owner == "" {
			owner = "nobody"
		}
		behind := time.Duration(s.Behind * float64(time.Second)).Round(time.Millisecond)
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%.1f/s\t%d\t%s\t%s\n",
			s.Service, plain(s.Name), s.Position, s.Lag, behind, s.Rate, len(s.Parked), s.Renewed.Format(time.RFC3339), plain(owner))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range all {
		for _, p := range s.Parked {
			fmt.Fprintf(out, "\n%s/%s has parked %q since %s with %d commits from %s: %s\n",
				s.Service, plain(s.Name), p.Key, p.Since.Format(time.RFC3339), p.Count, p.From, plain(p.Reason))
		}
	}
	return nil
}
