package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/saga"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
	"github.com/spf13/cobra"
)

// many is an operator's command for all sagas that ask for it.
type many struct {
	verb      fulfilment.Action
	all       bool
	dryRun    bool
	filter    queries.SagaFilter
	attention string // code
}

// allOfThem bounds a command for many; each question has its --timeout.
const allOfThem = time.Hour

// manyFlags belong to --all alone.
var manyFlags = []string{"kind", "state", "cause", "attention", "dry-run"}

// forMany lets an operator's command be sent to all that ask for it, by --all. Undoing
// and saying what is done are decided for each order by itself.
func forMany(cmd *cobra.Command, v verb) {
	m := &many{verb: fulfilment.Action(v.name)}
	if m.verb != fulfilment.Retry && m.verb != fulfilment.Release {
		return
	}
	what := "ask for attention"
	if m.verb == fulfilment.Release {
		what = "are set aside"
	}
	one, oneKey := cmd.RunE, cmd.Args
	cmd.Use = v.name + " {ORDER-ID | --all}"
	fl := cmd.Flags()
	fl.BoolVar(&m.all, "all", false, "for all fulfilments and refunds that "+what+"; it says first which, and then what became of each")
	fl.BoolVar(&m.dryRun, "dry-run", false, "with --all: only say which")
	fl.StringVar(&m.attention, "attention", "", "only those that ask with this `CODE`, for example no_answer")
	addSagaFilter(fl, &m.filter)
	for _, name := range []string{"all", "dry-run", "attention"} {
		withoutVariable(fl, name)
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if m.all {
			return noArguments(cmd, args)
		}
		return oneKey(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if m.all {
			return m.run(cmd)
		}
		for _, name := range manyFlags {
			if cmd.Flags().Changed(name) {
				return usageError("--%s is for --all; %s names one order", name, cmd.CommandPath())
			}
		}
		return one(cmd, args)
	}
}

// outcomeOfOne is what became of one saga; without a dry run it has a reply or a problem.
type outcomeOfOne struct {
	OrderID   string           `json:"order_id"`
	RefundID  string           `json:"refund_id,omitzero"`
	State     string           `json:"state"`
	Attention string           `json:"attention,omitzero"` // code, or "quarantined"
	Reply     *reply           `json:"reply,omitzero"`
	Problem   *service.Problem `json:"problem,omitzero"`
}

func (m *many) run(cmd *cobra.Command) error {
	fl := cmd.Flags()
	for _, name := range []string{"refund", "command-id", "expected-version", "queued"} {
		if fl.Changed(name) {
			return usageError("--%s is for one saga, and --all is not; give one of them", name)
		}
	}
	// What newVerb has added is there, and of its type.
	reason, _ := fl.GetString("reason")
	timeout, _ := fl.GetDuration("timeout")
	s := shellFlags{timeout: allOfThem}
	s.json, _ = fl.GetBool("json")
	s.settings = serverOf(fl)
	if reason == "" {
		return usageError("%s needs --reason; see %[1]s --help", cmd.CommandPath())
	}
	return s.ask(cmd, func(ctx context.Context, c client) error {
		found, err := m.find(ctx, c, timeout)
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		if !s.json {
			if err := m.announce(out, found); err != nil {
				return err
			}
		}
		results := make([]outcomeOfOne, 0, len(found))
		var refused []error
		for _, one := range found {
			r, err := m.send(ctx, c, timeout, one, reason)
			if err != nil {
				refused = append(refused, err)
			}
			results = append(results, r)
			if !s.json && !m.dryRun {
				r.print(out, nameOf(one))
			}
		}
		if s.json {
			if err := printJSON(out, map[string]any{"verb": m.verb, "dry_run": m.dryRun, "sagas": results}); err != nil {
				return err
			}
		}
		if len(refused) > 0 {
			return fail(service.ExitStatus(refused[0]), "%d of %d were not done; the first: %w", len(refused), len(found), refused[0])
		}
		return nil
	})
}

// find lists the sagas that the command is for.
func (m *many) find(ctx context.Context, c client, timeout time.Duration) (found []queries.Saga, err error) {
	filter := m.filter
	filter.Attention, filter.Limit = true, 200
	for {
		var page queries.SagaPage
		asking, cancel := context.WithTimeout(ctx, timeout)
		err := c.query(asking, queries.SagaList.Subject, filter, &page)
		cancel()
		if err != nil {
			return nil, err
		}
		for _, s := range page.Sagas {
			if s.Quarantined == (m.verb == fulfilment.Release) && (m.attention == "" || s.Attention == m.attention) {
				found = append(found, s)
			}
		}
		if filter.Cursor = page.NextCursor; filter.Cursor == "" {
			return found, nil
		}
	}
}

// announce says what is about to be done.
func (m *many) announce(out io.Writer, found []queries.Saga) error {
	if len(found) == 0 {
		fmt.Fprintf(out, "there is nothing to %s\n", m.verb)
		return nil
	}
	would := "will"
	if m.dryRun {
		would = "would"
	}
	fmt.Fprintf(out, "%s %s be sent to %d:\n\n", m.verb, would, len(found))
	if err := printSagas(out, found, ""); err != nil {
		return err
	}
	fmt.Fprintln(out)
	return nil
}

// send sends the command to one saga, as it was listed, unless it is a dry run: one that
// moved on since is refused with a conflict.
func (m *many) send(ctx context.Context, c client, timeout time.Duration, s queries.Saga, reason string) (outcomeOfOne, error) {
	o := outcomeOfOne{OrderID: s.OrderID, State: s.State, Attention: trouble(s)}
	body := map[string]any{"reason": reason}
	if s.Kind == queries.SagaRefund {
		o.RefundID, body["refund_id"] = s.SagaID, s.SagaID
	}
	if m.dryRun {
		return o, nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := c.command(ctx, esjs.StreamID{Category: saga.Category, Key: s.OrderID}, string(m.verb), body, commandOptions{
		expected: &s.Version, actor: actor(),
	})
	if err != nil {
		if !errors.As(err, &o.Problem) {
			o.Problem, _ = service.ProblemOf(err)
		}
		return o, err
	}
	o.Reply = &r
	return o, nil
}

func (o outcomeOfOne) print(out io.Writer, name string) {
	if o.Problem != nil {
		fmt.Fprintf(out, "%s: %s\n", name, plain(o.Problem.Error()))
		return
	}
	fmt.Fprintf(out, "%s: is at version %d, %s\n", name, o.Reply.Version, did(len(o.Reply.EventIDs)))
}
