package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// FindingKind is the property that does not hold; see the package's comment.
type FindingKind string

// The kinds of findings.
const (
	Lost       FindingKind = "lost"
	Twice      FindingKind = "twice"
	Gap        FindingKind = "gap"
	Untruthful FindingKind = "untruthful"
	Torn       FindingKind = "torn"
	Invented   FindingKind = "invented"
	Order      FindingKind = "order"
	Stale      FindingKind = "stale"
	Delivered  FindingKind = "delivered"
	Projected  FindingKind = "projected"
	Unserved   FindingKind = "unserved"
	Fruitless  FindingKind = "fruitless"
	Unread     FindingKind = "unread"
	// Old is no objection: the server lets it happen, and docs/reliability.md says when.
	Old FindingKind = "old"
)

// Finding is something that must not be.
type Finding struct {
	Kind  FindingKind `json:"kind"`
	Op    string      `json:"op,omitzero"`
	Key   string      `json:"key,omitzero"`
	Fault string      `json:"fault,omitzero"`
	Text  string      `json:"text"`
}

// String returns the finding as one line.
func (f Finding) String() string {
	var b strings.Builder
	b.WriteString(string(f.Kind))
	if f.Op != "" {
		fmt.Fprintf(&b, " operation %s", f.Op)
	}
	if f.Fault != "" {
		fmt.Fprintf(&b, " (%s)", f.Fault)
	}
	return b.String() + ": " + f.Text
}

// Check returns everything that must not be, in the order of the kinds above. Where the log was not read to its end
// nothing is compared with it: what nobody looked for is not lost.
func (h *History) Check() []Finding {
	found := slices.Concat(h.checkConflicts(), h.checkSeen(), h.checkService(), h.checkOrders())
	if h.Unread != "" {
		found = append(found, Finding{Kind: Unread, Text: "the log was not read: " + h.Unread})
	} else {
		x := h.Log.index()
		found = slices.Concat(found, h.checkLog(), h.checkTold(x), h.checkOrder(x), h.checkReads(x), h.checkDeliveries(x), h.checkRows(x))
	}
	faults := map[string]string{}
	for _, op := range h.Ops {
		faults[op.ID] = op.Fault
	}
	for i, f := range found {
		if f.Fault == "" && f.Op != "" {
			found[i].Fault = faults[f.Op]
		}
	}
	slices.SortFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Op, b.Op), cmp.Compare(a.Text, b.Text))
	})
	return found
}

func (f Finding) rank() int {
	return slices.Index([]FindingKind{Lost, Twice, Gap, Untruthful, Torn, Invented, Order, Stale, Delivered, Projected, Unserved, Fruitless, Unread, Old}, f.Kind)
}
