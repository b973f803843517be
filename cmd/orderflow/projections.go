package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"
)

// watchEvery is how often a rebuild that is waited for is looked at.
const watchEvery = 500 * time.Millisecond

func newProjections() *cobra.Command {
	list := asking[queries.NoRequest, queries.ProjectionStatuses]{
		use: "list", short: "Show every version of every view: its state, lag, and what is parked", question: queries.ProjectionList,
		print: printProjections,
	}.command()
	act := func(name, short string) *cobra.Command { return newProjectionVerb(name, short, nil) }
	return group("projections", "Look at the views of the projector, and rebuild them",
		list, newRebuild(),
		newPromote(),
		act("drop", "Remove a version that does not answer queries"),
		act("pause", "Stop building a version"),
		act("resume", "Go on building a version, or try again one that failed"),
		newRelease(),
	)
}

func printProjections(w io.Writer, all queries.ProjectionStatuses) {
	row(w, "NAME", "STATE", "POSITION", "LAG", "BEHIND", "DONE", "RATE", "LEFT", "PARKED")
	for _, p := range all.Projections {
		state := string(p.State)
		if p.ByHand && p.State != queries.ProjectionLive {
			state += " (by hand)"
		}
		if p.Previous {
			state += " (previous)"
		}
		left := ""
		if p.RemainingSeconds > 0 {
			left = age(p.RemainingSeconds)
		}
		row(w, p.Name, state, p.Position, p.Lag, age(p.BehindSeconds), percent(p), fmt.Sprintf("%.0f/s", p.EventsPerSecond), left, len(p.Parked))
	}
	if slices.ContainsFunc(all.Projections, func(p queries.ProjectionStatus) bool { return p.Previous }) {
		fmt.Fprint(w, "\nA previous version is kept to go back to, by \"projections promote NAME\". When another one has taken over from the live one it is dropped.\n")
	}
	for _, p := range all.Projections {
		if p.Error != "" {
			fmt.Fprintf(w, "\n%s cannot go on: %s\n", plain(p.Name), plain(p.Error))
		}
		printComparison(w, p)
		for _, k := range p.Parked {
			fmt.Fprintf(w, "\n%s has parked %q since %s with %d commits: %s\n", plain(p.Name), k.Key, when(k.Since), k.Count, plain(k.Reason))
		}
	}
}

// printComparison tells of a version whose rows differ from those of the one before it.
func printComparison(w io.Writer, p queries.ProjectionStatus) {
	c := p.Comparison
	if c == nil || c.Differing == 0 {
		return
	}
	fmt.Fprintf(w, "\nOf %d rows of %s %d differ from those of %s: %s", c.Rows, plain(p.Name), c.Differing, plain(c.With), plain(strings.Join(c.First, ", ")))
	if more := c.Differing - len(c.First); more > 0 {
		fmt.Fprintf(w, " and %d more", more)
	}
	if c.Overruled != "" {
		fmt.Fprintf(w, ". It was promoted nevertheless: %s\n", plain(c.Overruled))
		return
	}
	fmt.Fprintf(w, ".\nIt does not take over by itself; \"projections promote %s --reason WHY\" lets it.\n", plain(p.Name))
}

func percent(p queries.ProjectionStatus) string { return fmt.Sprintf("%.0f %%", 100*p.Progress) }

// newProjectionVerb makes a command that is sent to one version, whose full name
// is the first argument.
func newProjectionVerb(name, short string, body func(args []string) map[string]any, more ...string) *cobra.Command {
	var s shellFlags
	args := append([]string{"NAME"}, more...)
	use := name
	for _, a := range args {
		use += " " + a
	}
	cmd := &cobra.Command{
		Use: use, Short: short, Args: exactly(args...),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.ask(cmd, func(ctx context.Context, c client) error {
				var b map[string]any
				if body != nil {
					b = body(args)
				}
				status, err := c.project(ctx, args[0], name, b)
				if err != nil {
					return err
				}
				return s.printProjection(cmd, args[0], status)
			})
		},
	}
	s.add(cmd.Flags())
	return cmd
}

func newPromote() *cobra.Command {
	var reason string
	cmd := newProjectionVerb("promote", "Let a version answer queries, or go back to it", func([]string) map[string]any {
		if reason == "" {
			return nil
		}
		return map[string]any{"reason": reason}
	})
	cmd.Flags().StringVar(&reason, "reason", "", "`WHY` it is promoted although rows differ from those of the version before it")
	withoutVariable(cmd.Flags(), "reason")
	return cmd
}

func newRelease() *cobra.Command {
	return newProjectionVerb("release", "Apply what waits of an aggregate that was parked, for example orders_v1 order/o-1",
		func(args []string) map[string]any { return map[string]any{"key": args[1]} }, "KEY")
}

func newRebuild() *cobra.Command {
	var (
		s            shellFlags
		byHand, wait bool
	)
	cmd := &cobra.Command{
		Use:   "rebuild VIEW",
		Short: "Build a new version of a view beside the one that answers, which it then replaces",
		Args:  exactly("VIEW"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var begun queries.ProjectionStatus
			err := s.ask(cmd, func(ctx context.Context, c client) (err error) {
				begun, err = c.project(ctx, args[0], "rebuild", map[string]any{"by_hand": byHand})
				return err
			})
			if err != nil {
				return err
			}
			if wait {
				if begun, err = s.watch(cmd, begun.Name); err != nil {
					return err
				}
			}
			return s.printProjection(cmd, begun.Name, begun)
		},
	}
	cmd.Flags().BoolVar(&byHand, "by-hand", false, "do not let it take over by itself; \"promote\" does")
	cmd.Flags().BoolVar(&wait, "wait", false, "show how far it is until it has caught up")
	withoutVariable(cmd.Flags(), "by-hand")
	withoutVariable(cmd.Flags(), "wait")
	s.add(cmd.Flags())
	return cmd
}

// project sends a command to a version, and reads what is answered of it.
func (c client) project(ctx context.Context, name, verb string, body map[string]any) (status queries.ProjectionStatus, err error) {
	if body == nil {
		body = map[string]any{}
	}
	r, err := c.command(ctx, esjs.StreamID{Category: "projection", Key: name}, verb, body, commandOptions{actor: actor()})
	if err != nil || len(r.State) == 0 || r.State.Kind() == 'n' {
		return status, err
	}
	return status, json.Unmarshal(r.State, &status)
}

func (s *shellFlags) printProjection(cmd *cobra.Command, name string, status queries.ProjectionStatus) error {
	out := cmd.OutOrStdout()
	switch {
	case s.json:
		return printJSON(out, status)
	case status.Name == "":
		fmt.Fprintf(out, "%s is dropped\n", plain(name))
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	printProjections(w, queries.ProjectionStatuses{Projections: []queries.ProjectionStatus{status}})
	return w.Flush()
}

// watch shows how far a version is until it has caught up: on one line for a
// person, and for anybody else when another tenth is done. The error of a version
// that does not go on is that of [arrived].
func (s *shellFlags) watch(cmd *cobra.Command, name string) (status queries.ProjectionStatus, err error) {
	told := -1
	person := service.IsTerminal(cmd.ErrOrStderr())
	for {
		err := s.ask(cmd, func(ctx context.Context, c client) error {
			var all queries.ProjectionStatuses
			if err := c.query(ctx, queries.ProjectionList.Subject, queries.NoRequest{}, &all); err != nil {
				return err
			}
			status = queries.ProjectionStatus{}
			for _, p := range all.Projections {
				if p.Name == name {
					status = p
				}
			}
			return nil
		})
		if err != nil {
			return status, err
		}
		there, err := arrived(name, status)
		if err != nil {
			if person {
				fmt.Fprintln(cmd.ErrOrStderr())
			}
			return status, err
		}
		tenth := int(status.Progress * 10)
		text := fmt.Sprintf("%s: %s, %.0f events a second, about %s left", plain(name), percent(status), status.EventsPerSecond, age(status.RemainingSeconds))
		switch {
		case person:
			fmt.Fprintf(cmd.ErrOrStderr(), "\r%s\x1b[K", text)
		case tenth != told:
			fmt.Fprintln(cmd.ErrOrStderr(), text)
			told = tenth
		}
		if there {
			if person {
				fmt.Fprintln(cmd.ErrOrStderr())
			}
			return status, nil
		}
		select {
		case <-time.After(watchEvery):
		case <-cmd.Context().Done():
			return status, cmd.Context().Err()
		}
	}
}

// arrived tells that a version, of which the list shows status, has caught up: it is
// live, or stands by for a person to promote it. A *[esjs.Rejection] says that it
// will not: it failed, was paused or was dropped.
func arrived(name string, status queries.ProjectionStatus) (bool, error) {
	switch status.State {
	case queries.ProjectionLive:
		return true, nil
	case queries.ProjectionStandby:
		if c := status.Comparison; c != nil && c.Differing > 0 {
			return false, esjs.Reject("projection_differs", "of %d rows of %s %d differ from those of %s; \"projections list\" shows which", c.Rows, name, c.Differing, c.With)
		}
		return status.ByHand, nil
	case queries.ProjectionBuilding:
		return false, nil
	case queries.ProjectionFailed:
		return false, esjs.Reject("projection_failed", "%s cannot go on: %s; mend that, and \"projections resume %s\"", name, status.Error, name)
	case queries.ProjectionPaused:
		return false, esjs.Reject("projection_paused", "%s was paused before it had caught up; \"projections resume %s\" goes on", name, name)
	case "":
		return false, esjs.Reject("projection_dropped", "%s was dropped before it had caught up; \"projections rebuild\" begins another one", name)
	}
	return false, esjs.Reject("projection_stopped", "%s is %s and does not go on", name, status.State)
}
