package history

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
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
	Silence      time.Duration // the longest time in which no write was acknowledged to anybody
}

// NoFault is the name of the time without one.
const NoFault = "none"

// Figures returns a row for each fault, ordered by name, and one for the whole run.
// An operation belongs to what the nemesis did when it was answered; a silence to the
// fault in which it began. A finding that names no operation is counted in the whole alone.
func (h *History) Figures(found []Finding) (rows []Figures, all Figures) {
	by := map[string]*Figures{}
	row := func(fault string) *Figures {
		fault = cmp.Or(fault, NoFault)
		if by[fault] == nil {
			by[fault] = &Figures{Fault: fault}
		}
		return by[fault]
	}
	all.Fault = "all"
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
	for _, s := range h.silences() {
		r := row(h.at(s.from))
		r.Silence = max(r.Silence, s.took)
		all.Silence = max(all.Silence, s.took)
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

type silence struct{ from, took time.Duration }

// silences are the times between one acknowledged write and the next.
func (h *History) silences() (all []silence) {
	var acks []time.Duration
	for _, op := range h.Ops {
		if op.Kind.Writes() && op.Outcome == Acknowledged {
			acks = append(acks, op.Return)
		}
	}
	slices.Sort(acks)
	for i := 1; i < len(acks); i++ {
		all = append(all, silence{acks[i-1], acks[i] - acks[i-1]})
	}
	return all
}

// at is the fault during which, or after which, something happened.
func (h *History) at(when time.Duration) (fault string) {
	for _, f := range h.Faults {
		// A fault that came right after the last acknowledgement is why the next one was late.
		if f.Begun <= when+time.Second && when <= max(f.Served, f.Healed) {
			fault = f.Name
		}
	}
	return fault
}

// WriteTable writes the rows as Markdown.
func WriteTable(out io.Writer, rows []Figures) error {
	var b strings.Builder
	b.WriteString("| fault | runs | reads | not answered | writes | acknowledged | conflicts | refused | unknown | lost | twice | gaps | old answers | other findings | longest without service |\n")
	b.WriteString("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d | %.1f s |\n",
			r.Fault, r.Runs, r.Reads, r.Unread, r.Writes, r.Acknowledged, r.Conflicts, r.Refused, r.Unknown, r.Lost, r.Twice, r.Gaps, r.Old, r.Other, r.Silence.Seconds())
	}
	_, err := io.WriteString(out, b.String())
	return err
}
