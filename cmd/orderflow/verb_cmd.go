package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// shellFlags are those of every command that asks the running system something.
type shellFlags struct {
	settings
	timeout time.Duration
	json    bool
}

func (s *shellFlags) add(f *pflag.FlagSet) {
	s.addServer(f)
	f.DurationVar(&s.timeout, "timeout", 15*time.Second, "how long to wait for the answer")
	f.BoolVar(&s.json, "json", false, "print the answer as JSON, for programs")
}

// ask connects, calls f, and disconnects.
func (s *shellFlags) ask(cmd *cobra.Command, f func(context.Context, client) error) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), s.timeout)
	defer cancel()
	log := service.NewLogger(cmd.ErrOrStderr(), zerolog.ErrorLevel)
	dial := s.dialExternal("operator", log)
	if err := s.reach(ctx, dial, 0, log); err != nil {
		return err
	}
	nc, err := dial("shell")
	if err != nil {
		return err
	}
	defer nc.Close()
	return f(ctx, client{nc})
}

// newVerb makes the command "orderflow order create ORDER-ID --customer …".
func newVerb(n noun, v verb) *cobra.Command {
	var (
		s        shellFlags
		opts     commandOptions
		expected uint64
		later    bool
	)
	values := make(map[string]func() any, len(v.fields))
	cmd := &cobra.Command{
		Use:   v.name + " " + n.key,
		Short: v.short,
		Args:  exactly(n.key),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := make(map[string]any, len(v.fields))
			for _, f := range v.fields {
				if cmd.Flags().Changed(f.flag) {
					body[f.json] = values[f.flag]()
				} else if f.required {
					return usageError("%s needs --%s; see %[1]s --help", cmd.CommandPath(), f.flag)
				}
			}
			if cmd.Flags().Changed("expected-version") {
				opts.expected = &expected
			}
			if opts.id == "" {
				opts.id = uuid.NewString()
			}
			opts.actor = actor()
			return s.ask(cmd, func(ctx context.Context, c client) error {
				id := esjs.StreamID{Category: n.category, Key: args[0]}
				if later {
					q, err := c.enqueue(ctx, id, v.name, body, opts)
					if err != nil {
						return err
					}
					return q.print(cmd.OutOrStdout(), s.json)
				}
				r, err := c.command(ctx, id, v.name, body, opts)
				if service.ExitStatus(err) == service.ExitUnknown {
					return fmt.Errorf("%w (it was --command-id %s)", err, opts.id)
				}
				if err != nil {
					return err
				}
				return r.print(cmd.OutOrStdout(), n.category+" "+plain(args[0]), s.json)
			})
		},
	}
	for _, f := range v.fields {
		values[f.flag] = f.add(cmd.Flags())
		withoutVariable(cmd.Flags(), f.flag)
	}
	cmd.Flags().StringVar(&opts.id, "command-id", "", "`ID` of the command: sent again with the same id it has no second effect")
	cmd.Flags().Uint64Var(&expected, "expected-version", 0, "refuse unless it has exactly `N` events")
	cmd.Flags().BoolVar(&later, "queued", false, "only queue it: it is carried out when its service runs, and \"orderflow queue list\" shows it if it is refused")
	withoutVariable(cmd.Flags(), "command-id")
	withoutVariable(cmd.Flags(), "queued")
	withoutVariable(cmd.Flags(), "expected-version")
	s.add(cmd.Flags())
	return cmd
}

// add adds the field's flag and returns how its value is read.
func (f field) add(flags *pflag.FlagSet) func() any {
	switch f.kind {
	case number:
		n := flags.Int64(f.flag, 0, f.usage)
		return func() any { return *n }
	case lines:
		quantities := flags.StringToInt(f.flag, nil, f.usage)
		return func() any {
			var all []events.RefundLine
			for _, id := range slices.Sorted(maps.Keys(*quantities)) {
				all = append(all, events.RefundLine{LineID: id, Quantity: (*quantities)[id]})
			}
			return all
		}
	case yes:
		given := flags.Bool(f.flag, false, f.usage)
		return func() any { return *given }
	default:
		text := flags.String(f.flag, "", f.usage)
		return func() any { return *text }
	}
}

// print writes the answer to a command.
func (r reply) print(out io.Writer, what string, asJSON bool) error {
	if asJSON {
		return printJSON(out, r)
	}
	fmt.Fprintf(out, "%s is at version %d (%s)\n", what, r.Version, did(len(r.EventIDs)))
	return nil
}

// print writes that a command was queued.
func (q queued) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(out, q)
	}
	_, err := fmt.Fprintf(out, "%s %s: %s is queued as number %d\n", q.Category, plain(q.Key), q.Verb, q.Number)
	return err
}

// did says how much a command changed.
func did(events int) string {
	switch events {
	case 0:
		return "nothing to do"
	case 1:
		return "1 new event"
	}
	return fmt.Sprintf("%d new events", events)
}

// printJSON writes v indented.
func printJSON(out io.Writer, v any) error {
	data, err := json.Marshal(v, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s\n", data)
	return nil
}

// actor names the person at the shell.
func actor() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// exactly wants one argument for each name.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return usageError("%s needs %s, got %d arguments", cmd.CommandPath(), strings.Join(names, " and "), len(args))
		}
		return nil
	}
}
