package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// asking is a command that asks one question and prints the answer: as a table
// for people, and as it is with --json.
type asking[Q, A any] struct {
	use, short string
	args       []string
	question   queries.Question[Q, A]
	flags      func(*pflag.FlagSet, *Q) // nil: none of its own
	take       func(*Q, []string)       // the arguments; nil: there are none
	print      func(io.Writer, A)
}

func (a asking[Q, A]) command() *cobra.Command {
	var (
		s       shellFlags
		request Q
	)
	cmd := &cobra.Command{
		Use:   a.use,
		Short: a.short,
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.take != nil {
				a.take(&request, args)
			}
			return s.ask(cmd, func(ctx context.Context, c client) error {
				var answer A
				if err := c.query(ctx, a.question.Subject, request, &answer); err != nil {
					return err
				}
				if s.json {
					return printJSON(cmd.OutOrStdout(), answer)
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				a.print(w, answer)
				return w.Flush()
			})
		},
	}
	if len(a.args) > 0 {
		cmd.Args = exactly(a.args...)
	}
	if a.flags != nil {
		a.flags(cmd.Flags(), &request)
		cmd.Flags().VisitAll(func(f *pflag.Flag) { withoutVariable(cmd.Flags(), f.Name) })
	}
	s.add(cmd.Flags())
	return cmd
}

// addPaging adds the flags of a question for a list.
func addPaging(f *pflag.FlagSet, p *queries.Paging) {
	f.IntVar(&p.Limit, "limit", 0, "at most `N` of them, 1 to 200; 50 when it is 0 or not given")
	f.StringVar(&p.Cursor, "cursor", "", "go on after the page that ended with this `CURSOR`")
}

// addFresh adds the flag of a question that waits for what a command has done.
func addFresh(f *pflag.FlagSet, r *queries.ReadYourWrites) {
	f.StringVar(&r.MinRevision, "min-revision", "", "wait until the `REVISION` that a command answered is shown")
}

// addTime adds a flag that is a time, or a day.
func addTime(f *pflag.FlagSet, to *time.Time, name, usage string) {
	f.Var(timeValue{to}, name, usage)
}

// timeValue reads 2026-03-01 or 2026-03-01T12:00:00Z.
type timeValue struct{ to *time.Time }

func (v timeValue) String() string {
	if v.to == nil || v.to.IsZero() {
		return ""
	}
	return v.to.Format(time.RFC3339)
}

func (v timeValue) Set(text string) (err error) {
	if *v.to, err = time.Parse(time.DateOnly, text); err == nil {
		return nil
	}
	if *v.to, err = time.Parse(time.RFC3339, text); err != nil {
		return fmt.Errorf("it must be a day such as 2026-03-01, or a time such as 2026-03-01T12:00:00Z")
	}
	return nil
}

func (timeValue) Type() string { return "time" }

// row writes a line of a table. What users gave may hold what a terminal obeys.
func row(w io.Writer, cells ...any) {
	text := make([]string, len(cells))
	for i, c := range cells {
		if t, ok := c.(time.Time); ok {
			c = when(t)
		}
		text[i] = plain(fmt.Sprint(c))
	}
	fmt.Fprintln(w, strings.Join(text, "\t"))
}

// more says how a list goes on.
func more(w io.Writer, cursor string) {
	if cursor != "" {
		fmt.Fprintf(w, "\nmore with --cursor %s\n", plain(cursor))
	}
}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// group is a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: noArguments, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(commands...)
	return cmd
}
