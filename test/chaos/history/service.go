package history

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// ServesWithin bounds how long nobody may get an acknowledgement when all servers are healthy again after a fault.
const ServesWithin = time.Minute

// checkService asks whether the store served at all, and again after each fault.
func (h *History) checkService() (found []Finding) {
	acks := h.acknowledgements()
	if len(acks) == 0 {
		return []Finding{{Kind: Unserved, Text: "no write was acknowledged"}}
	}
	for i, f := range h.Faults {
		if f.Served == 0 { // that it was not healthy again was told
			continue
		}
		back, served := after(acks, f.Served)
		last := i == len(h.Faults)-1
		if !served {
			back = h.whole(acks).to
		}
		if !last {
			back = min(back, h.Faults[i+1].Begun)
		}
		if last && !served || back-f.Served > ServesWithin {
			found = append(found, Finding{Kind: Unserved, Fault: f.Name, Text: fmt.Sprintf(
				"after the %s at %v all servers were healthy at %v, and no write was acknowledged until %v", f.Name, f.Begun, f.Served, back)})
		}
	}
	return found
}

const (
	// enoughOrders are so many plain ones that chance, and partners that fail now and then, do not stop them all.
	enoughOrders = 10
	// ordersWait is how long nobody may be able to place an order so that none that was placed may end of that. A saga asks for
	// goods for 70 s until it gives the order up (Reserve of its policy), and an outage is as long for it.
	ordersWait = 30 * time.Second
)

// checkOrders asks whether customers get what they order: of plain orders that were placed under one fault, or under none, one
// at least is completed when all have ended. Not so where a service's clock was wrong, by which deadlines may pass at once, or where nobody could
// place an order for long: then giving up is what a saga promises.
func (h *History) checkOrders() (found []Finding) {
	placed, completed, excused := map[string]int{}, map[string]int{}, map[string]bool{}
	for _, o := range h.Orders {
		if o.Plain && o.End != "" {
			placed[o.Fault]++
			if o.End == Completed {
				completed[o.Fault]++
			}
		}
	}
	for _, f := range h.Faults {
		excused[f.Name] = excused[f.Name] || f.Untimely
	}
	times := h.placed()
	for _, p := range h.periods(times) {
		fault := p.fault
		if fault == NoFault {
			fault = ""
		}
		excused[fault] = excused[fault] || longest(times, p) > ordersWait
	}
	for fault, n := range placed {
		if n >= enoughOrders && completed[fault] == 0 && !excused[fault] {
			found = append(found, Finding{Kind: Fruitless, Fault: fault, Text: fmt.Sprintf("of %d orders whose customers want them and can pay, of goods of which there are enough, none was completed", n)})
		}
	}
	return found
}

// acknowledgements are the times at which writes were acknowledged, ascending.
func (h *History) acknowledgements() (all []time.Duration) {
	for _, op := range h.Ops {
		if op.Kind.Writes() && op.Outcome == Acknowledged {
			all = append(all, op.Return)
		}
	}
	slices.Sort(all)
	return all
}

// placed are the times at which orders were, ascending.
func (h *History) placed() (all []time.Duration) {
	for _, o := range h.Orders {
		all = append(all, o.Placed)
	}
	slices.Sort(all)
	return all
}

// after is the first of the times that is not before one.
func after(times []time.Duration, one time.Duration) (first time.Duration, ok bool) {
	i, _ := slices.BinarySearch(times, one)
	if i == len(times) {
		return 0, false
	}
	return times[i], true
}

// period is a part of a run, which is a fault's or nobody's.
type period struct {
	fault    string
	from, to time.Duration
}

// whole is all of a run in which somebody is to be served.
func (h *History) whole(served []time.Duration) (p period) {
	if len(h.Ops) > 0 {
		p.from = slices.MinFunc(h.Ops, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) }).Call
	}
	p.to = h.Stopped
	if len(served) > 0 {
		p.from, p.to = min(p.from, served[0]), max(p.to, served[len(served)-1])
	}
	return p
}

// periods cuts a run into pieces. A fault's lasts until somebody is served when all servers are healthy
// again, or the next fault begins.
func (h *History) periods(served []time.Duration) (all []period) {
	whole := h.whole(served)
	at := whole.from
	for i, f := range h.Faults {
		all = append(all, period{NoFault, at, f.Begun})
		at = whole.to
		if back, ok := after(served, f.Served); ok && f.Served > 0 {
			at = back
		}
		if i+1 < len(h.Faults) {
			at = min(at, h.Faults[i+1].Begun)
		}
		all = append(all, period{f.Name, f.Begun, at})
	}
	return append(all, period{NoFault, at, whole.to})
}

// longest is the longest time within a period in which nobody was served.
func longest(served []time.Duration, within period) (most time.Duration) {
	last := within.from
	for _, at := range served {
		if at > within.from && at < within.to {
			most = max(most, at-last)
			last = at
		}
	}
	return max(most, within.to-last)
}
