package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

func newEvents() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Look at what is stored",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newHistory(), newAt(), newTail(), newEventsList(), newEventsShow(), newEventsCauses())
	return cmd
}

func newHistory() *cobra.Command {
	var s shellFlags
	cmd := &cobra.Command{
		Use:   "history CATEGORY KEY",
		Short: "Print the events of one aggregate, for example: order o-1",
		Args:  exactly("CATEGORY", "KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.history(cmd, esjs.StreamID{Category: args[0], Key: args[1]})
		},
	}
	s.add(cmd.Flags())
	return cmd
}

// stored is one event as "events" prints it for programs.
type stored struct {
	Stream        string         `json:"stream"`
	Version       uint64         `json:"version"`
	Type          string         `json:"type"`
	SchemaVersion int            `json:"schema_version"`
	Time          time.Time      `json:"time"`
	ID            string         `json:"id"`
	Position      esjs.Position  `json:"position"`
	CorrelationID string         `json:"correlation_id,omitzero"`
	CausationID   string         `json:"causation_id,omitzero"`
	CommandID     string         `json:"command_id,omitzero"`
	Actor         string         `json:"actor,omitzero"`
	Data          jsontext.Value `json:"data"`
}

// history reads the store itself, not a read model: it shows what is stored
// when nothing else works.
func (s *shellFlags) history(cmd *cobra.Command, id esjs.StreamID) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), s.timeout)
	defer cancel()
	return s.read(ctx, cmd, func(store *esjs.Store) error {
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		for r, err := range store.Read(ctx, id, 1, 0) {
			switch {
			case err != nil:
				return historyError(id, err)
			case s.json:
				err = printLine(cmd.OutOrStdout(), r)
			default:
				_, err = fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", r.Version, r.Time.Format(time.RFC3339Nano), plain(r.Type), plain(string(r.Data)))
			}
			if err != nil {
				return err
			}
		}
		return w.Flush()
	})
}

// historyError says why an aggregate's events cannot be read.
func historyError(id esjs.StreamID, err error) error {
	switch {
	case errors.Is(err, esjs.ErrNotFound):
		return fail(service.ExitNotFound, "%s has no events", id)
	case errors.Is(err, esjs.ErrInvalid):
		return usageError("%w", err)
	default:
		return fmt.Errorf("%s: %w", id, err)
	}
}

// read opens the store, which is waited for as --timeout says, calls f, and closes it.
func (s *shellFlags) read(ctx context.Context, cmd *cobra.Command, f func(*esjs.Store) error) error {
	return s.readAs(ctx, userOperator, cmd, f)
}

func (s *shellFlags) readAs(ctx context.Context, user string, cmd *cobra.Command, f func(*esjs.Store) error) error {
	log := service.NewLogger(cmd.ErrOrStderr(), zerolog.ErrorLevel)
	dial := s.dialExternal(user, log)
	if err := s.reach(ctx, dial, 0, log); err != nil {
		return err
	}
	store, err := openStore(ctx, dial, s.store(), cmp.Or(s.timeout, storePatience), cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer store.Close()
	return explainSilence(f(store))
}

// printLine writes one event as one line of JSON.
func printLine(out io.Writer, r esjs.Record) error {
	line, err := json.Marshal(stored{
		Stream: r.Stream.String(), Version: r.Version, Type: r.Type, SchemaVersion: r.SchemaVersion, Time: r.Time, ID: r.ID, Position: r.Position,
		CorrelationID: r.Metadata.CorrelationID, CausationID: r.Metadata.CausationID, CommandID: r.Metadata.CommandID,
		Actor: r.Metadata.Actor, Data: jsontext.Value(r.Data),
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", line)
	return err
}
