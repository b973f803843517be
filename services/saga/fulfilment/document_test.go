package fulfilment

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/internal/service/servicetest"
)

// The page about the saga says what the code does.
func TestDocument(t *testing.T) {
	servicetest.Document(t, "../../../docs/saga.md", "./services/saga/fulfilment", diagram()+transitions())
}

// diagram draws every row that leads from one state to another.
func diagram() string {
	type edge struct{ from, to Status }
	rows := map[edge][]string{}
	var edges []edge
	for _, row := range Table() {
		for _, from := range row.States {
			e := edge{from, row.Next}
			if row.Next == "" {
				continue
			}
			if rows[e] == nil {
				edges = append(edges, e)
			}
			rows[e] = append(rows[e], row.ID)
		}
	}
	var b strings.Builder
	b.WriteString("\n## States\n\n```mermaid\nstateDiagram-v2\n    [*] --> NEW\n")
	for _, e := range edges {
		fmt.Fprintf(&b, "    %s --> %s: %s\n", e.from, e.to, strings.Join(rows[e], " "))
	}
	b.WriteString("    COMPLETED --> [*]\n    COMPENSATED --> [*]\n```\n")
	return b.String()
}

func transitions() string {
	var b strings.Builder
	b.WriteString("\n## Transitions\n\n| # | state | input | guard | appends | next | |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, row := range append(Table(), lateAnswer()) {
		var facts []string
		for _, f := range row.Facts {
			text := f.Type
			var notes []string
			if f.Note != "" {
				notes = append(notes, f.Note)
			}
			if f.Only.Name != "" {
				notes = append(notes, "if "+f.Only.Name)
			}
			if len(notes) > 0 {
				text += " (" + strings.Join(notes, "; ") + ")"
			}
			facts = append(facts, text)
		}
		next, remark := string(row.Next), row.Remark
		if next == "" {
			next = "same"
		}
		switch {
		case row.Early:
			remark = strings.Join([]string{remark, "asked again after 1 s·2^n, 5 times, then counted"}, "; ")
		case row.Counted:
			remark = strings.Join([]string{remark, "counted"}, "; ")
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", row.ID, states(row.States), strings.Join(row.Inputs, ", "),
			dash(row.Guard.Name), dash(strings.Join(facts, ", ")), next, remark)
	}
	b.WriteString("\n")
	return b.String()
}

func states(of []Status) string {
	switch {
	case slices.Equal(of, Statuses()):
		return "all"
	case slices.Equal(of, Statuses()[1:]):
		return "all but NEW"
	}
	var names []string
	for _, s := range of {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

func dash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}
