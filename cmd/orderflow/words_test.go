package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/spf13/cobra"
)

func TestWhoMistypesIsToldWhatHeMayMean(t *testing.T) {
	for line, says := range map[string]string{
		"oder list":        "Did you mean order?",
		"sagsa list":       "Did you mean saga?",
		"projektions list": "Did you mean projections?",
		"saga lst":         "Did you mean list?",
		"sagas lst":        "Did you mean list?",
		"saga ls":          "Did you mean list?",
		"order get o-1":    "Did you mean show?",
		"start":            "Did you mean up?",
		"status":           "Did you mean healthcheck?",
		"proj list":        "Did you mean projections or projector?",
		"events watch":     "Did you mean tail?",
		"order lsit":       "Did you mean list?",
		// Who writes of several sagas means none that runs.
		"sagas":    `"orderflow saga" runs the service`,
		"payments": "needs a command; it has list, reconcile, summary",
	} {
		var out, errOut strings.Builder
		status := run(t.Context(), strings.Fields(line), &out, &errOut)
		if status != service.ExitUsage || !strings.Contains(errOut.String(), says) || out.Len() > 0 {
			t.Errorf("%s: %d %s%s, want %q", line, status, &out, &errOut, says)
		}
	}
	var errOut strings.Builder
	if run(t.Context(), []string{"down"}, &errOut, &errOut); strings.Contains(errOut.String(), "Did you mean") {
		t.Errorf("what is like nothing is answered %s", &errOut)
	}
}

// Every noun is one in both numbers, and both are the same command.
func TestNounsAreCommandsInBothNumbers(t *testing.T) {
	root := newRoot()
	for one, many := range plurals() {
		a, _, errA := root.Find([]string{one})
		b, _, errB := root.Find([]string{many})
		if errA != nil || errB != nil || a != b || a == root || !slices.Contains([]string{one, many}, a.Name()) {
			t.Errorf("%s is %q, %v, and %s is %q, %v", one, a.Name(), errA, many, b.Name(), errB)
		}
	}
	// No word is of two commands.
	of := map[string]string{}
	for _, cmd := range root.Commands() {
		for _, name := range append(cmd.Aliases, cmd.Name()) {
			if of[name] != "" {
				t.Errorf("%s is of %s and of %s", name, of[name], cmd.Name())
			}
			of[name] = cmd.Name()
		}
	}
	for name := range meant() {
		found := false
		walk(root, func(cmd *cobra.Command) { found = found || cmd.Name() == name })
		if !found {
			t.Errorf("other words are known for %s, which is no command", name)
		}
	}
}
