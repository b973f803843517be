//go:build linux

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/b144f99b/orderflow/test/chaos/history"
)

// shownFindings is how many are printed; the history has them all.
const shownFindings = 40

// report prints the figures and what the checkers object to, and returns the exit status.
func report(out io.Writer, h *history.History, found []history.Finding) (status int, err error) {
	rows, all := h.Figures(found)
	fmt.Fprintln(out)
	if err := history.WriteTable(out, append(rows, all)); err != nil {
		return exitFailed, err
	}
	deliveries := map[string]int{}
	for _, d := range h.Deliveries {
		deliveries[d.Subscription]++
	}
	fmt.Fprintf(out, "\n%d commits were read; events handled by subscription: %v; rows of projections: %d\n", len(h.Log), deliveries, len(h.Rows))
	for _, what := range slices.Sorted(maps.Keys(h.Notes)) {
		fmt.Fprintf(out, "%d times: %s\n", h.Notes[what], what)
	}
	kinds := map[history.FindingKind]int{}
	for i, f := range found {
		if kinds[f.Kind]++; i < shownFindings {
			fmt.Fprintln(out, f)
		}
	}
	if len(found) > shownFindings {
		fmt.Fprintf(out, "and %d more; of each kind: %v\n", len(found)-shownFindings, kinds)
	}
	for _, w := range h.Wrong {
		fmt.Fprintln(out, w)
	}
	objections := len(h.Wrong)
	for _, f := range found {
		if f.Kind != history.Old {
			objections++
		}
	}
	if objections > 0 {
		fmt.Fprintf(out, "OBJECTED: %d findings\n", objections)
		return exitObjected, nil
	}
	fmt.Fprintln(out, "PASSED")
	return exitPassed, nil
}
