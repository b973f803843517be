package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/inventory"
	"github.com/b144f99b/orderflow/services/order"
	"github.com/b144f99b/orderflow/services/payment"
	"github.com/b144f99b/orderflow/services/saga"
	"github.com/b144f99b/orderflow/services/shipping"
	"github.com/spf13/cobra"
)

func newVerify() *cobra.Command {
	var (
		s        shellFlags
		replicas bool
	)
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Read everything that is stored and report what is not as it was written",
		Long: `Read everything that is stored and report what is not as it was written.

Every commit is read from the server that leads: sequences without a gap, versions
without a gap and back-pointers of each aggregate, times, unique ids, events that
decode, and snapshots that a fold of the events from the first one confirms. Nothing is
changed, and the system may run meanwhile.

With --each-replica the replicas of a cluster are read one after the other, each as
the leader, which stops commands for a moment at each change. A replica whose disk has
damaged something is found in no other way before it leads.

` + exitHelp(service.ExitOK, exitUnsound),
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.read(cmd.Context(), cmd, func(store *esjs.Store) error {
				reports, err := s.verify(cmd.Context(), store, replicas)
				if err != nil {
					return err
				}
				if s.json {
					err = printJSON(cmd.OutOrStdout(), reports)
				} else {
					err = printReports(cmd.OutOrStdout(), reports)
				}
				if err != nil {
					return err
				}
				return soundOr(reports)
			})
		},
	}
	f := cmd.Flags()
	s.addServer(f)
	addPatience(f, &s.timeout)
	f.BoolVar(&replicas, "each-replica", false, "read every replica, each as the leader")
	f.BoolVar(&s.json, "json", false, "print the reports as JSON, for programs")
	withoutVariable(f, "each-replica")
	return cmd
}

// verify reads the whole store, which must go on answering.
func (s *shellFlags) verify(ctx context.Context, store *esjs.Store, replicas bool) (reports []esjs.VerifyReport, err error) {
	err = whileAnswering(ctx, store, s.timeout, func(ctx context.Context) error {
		reports, err = verifyStore(ctx, store, replicas)
		return err
	})
	return reports, err
}

func verifyStore(ctx context.Context, store *esjs.Store, replicas bool) ([]esjs.VerifyReport, error) {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		return nil, err
	}
	var cfg esjs.VerifyConfig
	for _, checks := range []func(*esjs.Codec[events.Event]) []esjs.SnapshotCheck{
		order.SnapshotChecks, inventory.SnapshotChecks, payment.SnapshotChecks, shipping.SnapshotChecks, saga.SnapshotChecks,
	} {
		cfg.Snapshots = append(cfg.Snapshots, checks(codec)...)
	}
	if replicas {
		return esjs.VerifyReplicas(ctx, store, codec, cfg)
	}
	report, err := esjs.Verify(ctx, store, codec, cfg)
	return []esjs.VerifyReport{report}, err
}

// soundOr is an error that counts what was found.
func soundOr(reports []esjs.VerifyReport) error {
	found := 0
	for _, r := range reports {
		found += r.Found
	}
	if found > 0 {
		return fail(exitUnsound, "what is stored is not as it was written; found: %d", found)
	}
	return nil
}

func printReports(out io.Writer, reports []esjs.VerifyReport) error {
	for i, r := range reports {
		if i > 0 {
			fmt.Fprintln(out)
		}
		if err := printReport(out, r); err != nil {
			return err
		}
	}
	return nil
}

func printReport(out io.Writer, r esjs.VerifyReport) error {
	fmt.Fprintf(out, "server %s up to %s: %d aggregates, %d commits, %d events\n\n", plain(r.Leader), r.Until, r.Aggregates, r.Commits, r.Events)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "category\taggregates\tcommits\tevents\tbytes\tbytes/aggregate\t")
	for _, c := range r.Categories {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t\n", plain(c.Category), c.Aggregates, c.Commits, c.Events, c.Bytes, c.Bytes/uint64(max(c.Aggregates, 1)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nsnapshots  %d agree with a fold, %d are not used\n", r.Snapshots, r.Unused)
	fmt.Fprintf(out, "on disk    %d bytes, %d for each aggregate\n", r.Stored, r.Stored/uint64(max(r.Aggregates, 1)))
	fmt.Fprintf(out, "digest     %s\n", r.Digest)
	if r.Sound() {
		_, err := fmt.Fprintln(out, "\nAll is as it was written.")
		return err
	}
	fmt.Fprintf(out, "\nfound %d:\n", r.Found)
	for _, f := range r.Findings {
		fmt.Fprintf(out, "  %s\n", plain(f.String()))
	}
	if more := r.Found - len(r.Findings); more > 0 {
		fmt.Fprintf(out, "  and %d more\n", more)
	}
	return nil
}
