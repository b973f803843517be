package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/spf13/cobra"
)

func newTail() *cobra.Command {
	var (
		s          shellFlags
		categories []string
		from       string
	)
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Print events as they are stored, until Ctrl-C",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, c := range categories {
				if !slices.Contains(events.Categories(), c) {
					return usageError("--category is %q; it must be one of %s", c, strings.Join(events.Categories(), ", "))
				}
			}
			return s.read(cmd.Context(), cmd, func(store *esjs.Store) error {
				return s.tail(cmd, store, categories, from)
			})
		},
	}
	cmd.Flags().StringSliceVar(&categories, "category", nil, "only events of this `CATEGORY`; may be given several times")
	cmd.Flags().StringVar(&from, "from", "", "begin after this `POSITION` (0-0 is the beginning) and not with the next event")
	withoutVariable(cmd.Flags(), "category")
	withoutVariable(cmd.Flags(), "from")
	s.add(cmd.Flags())
	return cmd
}

// tail prints events in the order in which they are stored, in one sequence.
// Types that this program does not know are passed over.
func (s *shellFlags) tail(cmd *cobra.Command, store *esjs.Store, categories []string, from string) error {
	begin, cancel := context.WithTimeout(cmd.Context(), s.timeout)
	position, err := s.begin(begin, store, from)
	cancel()
	if err != nil {
		return err
	}
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		return err
	}
	return esjs.Subscribe(cmd.Context(), store, esjs.SubscriptionConfig[events.Event]{
		Name:          "tail",
		EveryInstance: true,
		Codec:         codec,
		Query:         esjs.Query{Categories: categories},
		From:          position,
		Key:           func(esjs.Recorded[events.Event]) string { return "all" },
		Workers:       1,
		SkipUnknown:   true,
	}, func(_ context.Context, e esjs.Recorded[events.Event]) error {
		return s.printRecord(cmd.OutOrStdout(), e.Record)
	})
}

// printRecord writes one event as a line.
func (s *shellFlags) printRecord(out io.Writer, r esjs.Record) error {
	if s.json {
		return printLine(out, r)
	}
	_, err := fmt.Fprintf(out, "%-8s %s  %s %d  %s  %s\n",
		r.Position, r.Time.Format(time.RFC3339Nano), plain(r.Stream.String()), r.Version, plain(r.Type), plain(string(r.Data)))
	return err
}

// begin is the position from which tail prints.
func (s *shellFlags) begin(ctx context.Context, store *esjs.Store, from string) (esjs.Position, error) {
	if from == "" {
		return store.Last(ctx)
	}
	position, err := esjs.ParsePosition(from)
	if err != nil {
		return position, usageError("--from: %w", err)
	}
	return position, nil
}
