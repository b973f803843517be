package main

import (
	"strings"
	"testing"
)

func TestTheVersionIsToldByCommandAndByFlag(t *testing.T) {
	var answers []string
	for _, args := range [][]string{{"version"}, {"--version"}} {
		var out, errOut strings.Builder
		if status := run(t.Context(), args, &out, &errOut); status != 0 || errOut.Len() > 0 {
			t.Errorf("orderflow %s: status %d: %s", args[0], status, &errOut)
		}
		answers = append(answers, out.String())
	}
	if answers[0] != answers[1] || !strings.HasPrefix(answers[0], "orderflow ") || strings.Count(answers[0], "\n") != 1 {
		t.Errorf("the answers are %q", answers)
	}
}
