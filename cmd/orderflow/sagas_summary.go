package main

import (
	"fmt"
	"io"

	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newSagaSummary() *cobra.Command {
	return asking[queries.SagaSummaryRequest, queries.SagaSummaries]{
		use: "summary", short: "Count sagas by state, and tell how long steps take and why orders are undone", question: queries.SagaSummary,
		flags: func(f *pflag.FlagSet, q *queries.SagaSummaryRequest) {
			addTime(f, &q.From, "from", "durations and failures from this `DAY` on")
			addTime(f, &q.Before, "before", "durations and failures before this `DAY`")
		},
		print: func(w io.Writer, s queries.SagaSummaries) {
			row(w, "KIND", "STATE", "COUNT", "ATTENTION", "OVERDUE", "OLDEST")
			for _, c := range s.States {
				row(w, c.Kind, c.State, c.Count, c.Attention, c.Overdue, age(c.OldestAgeSeconds))
			}
			row(w)
			row(w, "STEP", "OUTCOME", "COUNT", "P50", "P95")
			for _, d := range s.Steps {
				row(w, d.Step, d.Outcome, d.Count, fmt.Sprintf("%.3f s", d.P50), fmt.Sprintf("%.3f s", d.P95))
			}
			row(w)
			row(w, "CAUSE", "OUTCOME", "COUNT")
			for _, c := range s.Failures {
				row(w, c.Cause, c.Outcome, c.Count)
			}
		},
	}.command()
}
