package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/inventory"
	"github.com/b144f99b/orderflow/services/order"
	"github.com/b144f99b/orderflow/services/payment"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
	"github.com/b144f99b/orderflow/services/saga/refund"
	"github.com/b144f99b/orderflow/services/shipping"
	"github.com/spf13/cobra"
)

// folds make the state of an aggregate of its events, by category, as its service does.
var folds = map[string]func([]events.Event) any{
	events.CategoryOrder:       folding(order.Apply),
	events.CategoryProduct:     folding(inventory.ApplyProduct),
	events.CategoryStock:       folding(inventory.ApplyStock),
	events.CategoryReservation: folding(inventory.ApplyReservation),
	events.CategoryPayment:     folding(payment.Apply),
	events.CategoryShipment:    folding(shipping.Apply),
	events.CategoryFulfilment:  folding(fulfilment.Apply),
	events.CategoryRefund:      folding(refund.Apply),
}

func folding[S any](apply func(S, events.Event) S) func([]events.Event) any {
	return func(all []events.Event) any {
		var s S
		for _, e := range all {
			s = apply(s, e)
		}
		return s
	}
}

func newAt() *cobra.Command {
	var (
		s     shellFlags
		limit int
	)
	cmd := &cobra.Command{
		Use:   "at MOMENT [CATEGORY] [KEY]",
		Short: "Show the state of an aggregate, or the end of the log, as it was at a time or a position",
		Long: `Show the state of an aggregate, or the end of the log, as it was at a time or a position.

MOMENT is a time such as 2026-03-01T12:00:00Z, a day, which is its beginning, or a
position such as 0-1871. With CATEGORY and KEY the state of that aggregate is shown, made
of the events that it had then; without, the last events of the whole store up to
then. The store itself is read: no service needs to run.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 && len(args) != 3 {
				return usageError("%s needs MOMENT, or MOMENT, CATEGORY and KEY, got %d arguments", cmd.CommandPath(), len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := parseMoment(args[0])
			if err != nil {
				return err
			}
			if limit < 1 {
				return usageError("--limit is %d; it must be at least 1", limit)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), s.timeout)
			defer cancel()
			return s.read(ctx, cmd, func(store *esjs.Store) error {
				if len(args) == 3 {
					return s.stateAt(ctx, cmd, store, m, esjs.StreamID{Category: args[1], Key: args[2]})
				}
				return s.logAt(ctx, cmd, store, m, limit)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "how many events of the log are shown")
	withoutVariable(cmd.Flags(), "limit")
	s.add(cmd.Flags())
	return cmd
}

// moment is a time or, if that is zero, a position.
type moment struct {
	time     time.Time
	position esjs.Position
}

func parseMoment(text string) (m moment, err error) {
	if m.position, err = esjs.ParsePosition(text); err == nil {
		return m, nil
	}
	if (timeValue{&m.time}).Set(text) != nil {
		return m, usageError("MOMENT is %q; it must be a time such as 2026-03-01T12:00:00Z, a day such as 2026-03-01, or a position such as 0-1871", text)
	}
	return m, nil
}

// stateThen is the state of an aggregate at a moment.
type stateThen struct {
	Stream   string        `json:"stream"`
	Version  uint64        `json:"version"`
	Time     time.Time     `json:"time"` // of the version's event
	Position esjs.Position `json:"position"`
	State    any           `json:"state"`
}

func (s *shellFlags) stateAt(ctx context.Context, cmd *cobra.Command, store *esjs.Store, m moment, id esjs.StreamID) error {
	fold, ok := folds[id.Category]
	if !ok {
		return usageError("CATEGORY is %q; there are %s", id.Category, strings.Join(slices.Sorted(maps.Keys(folds)), ", "))
	}
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		return err
	}
	history := store.Read(ctx, id, 1, 0)
	if !m.time.IsZero() {
		history = store.ReadAsOf(ctx, id, m.time)
	}
	then := stateThen{Stream: id.String()}
	var had []events.Event
	for r, err := range history {
		if err != nil {
			return historyError(id, err)
		}
		if m.time.IsZero() && m.position.Before(r.Position) {
			break
		}
		e, err := codec.Decode(r)
		if err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		had = append(had, e.Event)
		then.Version, then.Time, then.Position = r.Version, r.Time, r.Position
	}
	if len(had) == 0 {
		return fail(service.ExitNotFound, "%s had no events then", id)
	}
	then.State = fold(had)
	if s.json {
		return printJSON(cmd.OutOrStdout(), then)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s was at version %d since %s, position %s\n", plain(then.Stream), then.Version, then.Time.Format(time.RFC3339Nano), then.Position)
	return printJSON(cmd.OutOrStdout(), then.State)
}

// logAt prints the last events of the store at a moment. A time is that of the server
// that stored them.
func (s *shellFlags) logAt(ctx context.Context, cmd *cobra.Command, store *esjs.Store, m moment, limit int) error {
	end := m.position
	if !m.time.IsZero() {
		var err error
		if end, err = store.LastBefore(ctx, m.time); err != nil {
			return err
		}
	}
	var last []esjs.Record
	if !end.IsZero() {
		// Each commit has one event or more.
		from, err := esjs.ParsePosition(fmt.Sprintf("0-%d", end.Sequence()-min(end.Sequence(), uint64(limit))))
		if err != nil {
			return err
		}
		for r, err := range store.ReadAll(ctx, esjs.Query{After: from, Until: end}) {
			if err != nil {
				return err
			}
			if last = append(last, r); len(last) > limit {
				last = last[1:]
			}
		}
	}
	if len(last) == 0 {
		return fail(service.ExitNotFound, "nothing was stored then")
	}
	for _, r := range last {
		if err := s.printRecord(cmd.OutOrStdout(), r); err != nil {
			return err
		}
	}
	return nil
}
