package history

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Figures sums up what happened under one fault, or under all.
type Figures struct {
	Fault        string
	Runs         int
	Reads        int // that were answered
	Unread       int // that were not
	Writes       int
	Acknowledged int // of the writes, and so the next three
	Conflicts    int
	Refused      int
	Unknown      int
	Lost         int
	Twice        int
	Gaps         int
	Old          int           // answers of leaders that led no more
	Other        int           // findings of all other kinds
	Unjudged     bool          // the log was not read: what is lost, twice, missing or old is not known
	Silence      time.Duration // the longest time in which no write was acknowledged to anybody

	Orders       int // that were placed
	Completed    int // of them
	LostOrders   int
	OrderSilence time.Duration // the longest time in which nobody could place an order
}

// NoFault is the name of the time without one.
const NoFault = "none"

// Figures returns a row for each fault, ordered by name, and one for the whole run.
// An operation belongs to what the nemesis did when it was answered; a silence to each
// fault for as long as both last, see [History.periods]. A finding that names no operation is counted in the whole alone.
func (h *History) Figures(found []Finding) (rows []Figures, all Figures) {
	by := map[string]*Figures{}
	row := func(fault string) *Figures {
		fault = cmp.Or(fault, NoFault)
		if by[fault] == nil {
			by[fault] = &Figures{Fault: fault, Unjudged: h.Unread != ""}
		}
		return by[fault]
	}
	all.Fault, all.Unjudged = "all", h.Unread != ""
	for _, f := range h.Faults {
		row(f.Name).Runs++
		all.Runs++
	}
	for _, op := range h.Ops {
		row(op.Fault).count(op)
		all.count(op)
	}
	for _, f := range found {
		if f.Op != "" {
			row(f.Fault).found(f)
		}
		all.found(f)
	}
	for _, o := range h.Orders {
		row(o.Fault).ordered(o)
		all.ordered(o)
	}
	acks, placed := h.acknowledgements(), h.placed()
	for _, p := range h.periods(acks) {
		r := row(p.fault)
		r.Silence = max(r.Silence, longest(acks, p))
	}
	all.Silence = longest(acks, h.whole(acks))
	if len(placed) > 0 {
		for _, p := range h.periods(placed) {
			r := row(p.fault)
			r.OrderSilence = max(r.OrderSilence, longest(placed, p))
		}
		all.OrderSilence = longest(placed, h.whole(placed))
	}
	for _, fault := range slices.Sorted(maps.Keys(by)) {
		rows = append(rows, *by[fault])
	}
	return rows, all
}

func (f *Figures) count(op Op) {
	switch {
	case op.Kind.Writes():
		f.Writes++
	case op.Outcome == Acknowledged:
		f.Reads++
		return
	default:
		f.Unread++
		return
	}
	switch op.Outcome {
	case Acknowledged:
		f.Acknowledged++
	case Conflict:
		f.Conflicts++
	case Refused:
		f.Refused++
	case Unknown:
		f.Unknown++
	}
}

func (f *Figures) found(what Finding) {
	switch what.Kind {
	case Lost:
		f.Lost++
	case Twice:
		f.Twice++
	case Gap:
		f.Gaps++
	case Old:
		f.Old++
	default:
		f.Other++
	}
}

func (f *Figures) ordered(o PlacedOrder) {
	f.Orders++
	switch o.End {
	case Completed:
		f.Completed++
	case NotStored:
		f.LostOrders++
	}
}

// judged is how many findings there are of what only the log tells.
func (f *Figures) judged(n int) string {
	if f.Unjudged {
		return "?"
	}
	return strconv.Itoa(n)
}

// WriteTable writes the rows as Markdown; without orders it has no columns for them.
func WriteTable(out io.Writer, rows []Figures) error {
	orders := slices.ContainsFunc(rows, func(f Figures) bool { return f.Orders > 0 })
	var b strings.Builder
	b.WriteString("| fault | runs | reads | not answered | writes | acknowledged | conflicts | refused | unknown | lost | twice | gaps | old answers | other findings | longest without service |")
	if orders {
		b.WriteString(" orders placed | completed | lost | longest without an order |")
	}
	b.WriteString("\n| --- |" + strings.Repeat(" ---: |", 14))
	if orders {
		b.WriteString(strings.Repeat(" ---: |", 4))
	}
	b.WriteString("\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d | %d | %d | %s | %s | %s | %s | %d | %.1f s |",
			r.Fault, r.Runs, r.Reads, r.Unread, r.Writes, r.Acknowledged, r.Conflicts, r.Refused, r.Unknown,
			r.judged(r.Lost), r.judged(r.Twice), r.judged(r.Gaps), r.judged(r.Old), r.Other, r.Silence.Seconds())
		if orders {
			fmt.Fprintf(&b, " %d | %d | %d | %.1f s |", r.Orders, r.Completed, r.LostOrders, r.OrderSilence.Seconds())
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}
