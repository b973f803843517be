package refund

import (
	"fmt"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/internal/service/servicetest"
)

// The page about refunds says what the code does.
func TestDocument(t *testing.T) {
	servicetest.Document(t, "../../../docs/refund.md", "./services/saga/refund", transitions())
}

func transitions() string {
	var b strings.Builder
	b.WriteString("\n| # | state | input | guard | appends | next | |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, row := range append(Table(), lateAnswer()) {
		var states, facts []string
		for _, s := range row.States {
			states = append(states, string(s))
		}
		for _, f := range row.Facts {
			if f.Note != "" {
				facts = append(facts, f.Type+" ("+f.Note+")")
			} else {
				facts = append(facts, f.Type)
			}
		}
		remark := row.Remark
		if row.Counted {
			remark += "; counted"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", row.ID, strings.Join(states, ", "), strings.Join(row.Inputs, ", "),
			or(row.Guard.Name, "–"), or(strings.Join(facts, ", "), "–"), or(string(row.Next), "same"), remark)
	}
	b.WriteString("\n")
	return b.String()
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
