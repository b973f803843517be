package console

import (
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
)

// machine is the drawing of an order's states: the way to completion, and the ends
// beside it. Lengths are those of the drawing's own coordinates.
type machine struct {
	Name          string // in the ids of the drawing
	Width, Height int
	Nodes         []node
	Edges         []edge
	Summary       string // of the whole, for who does not see it
}

// node is one state. Class says what it is to the order: "passed", "current",
// "possible" or "closed".
type node struct {
	State      queries.OrderState
	X, Y, W, H int
	Class      string
	Note       string // when the order came to it
}

// edge is a way from state to state, from X1, Y1 to X2, Y2.
type edge struct {
	X1, Y1, X2, Y2 int
	Class          string
}

// way is the order of states in which an order is fulfilled.
var way = []queries.OrderState{
	queries.Draft, queries.Submitted, queries.Reserved, queries.Authorized,
	queries.Confirmed, queries.Paid, queries.Dispatched, queries.Completed,
}

// ends are the states in which an order ends that is not fulfilled.
var ends = []queries.OrderState{queries.Cancelled, queries.Rejected, queries.Expired}

// canEnd tells whether an order in a state can still come to an end that is not its
// fulfilment: a draft by being cancelled only, and none that is paid.
func canEnd(from, end queries.OrderState) bool {
	switch from {
	case queries.Draft:
		return end == queries.Cancelled
	case queries.Submitted, queries.Reserved, queries.Authorized, queries.Confirmed:
		return true
	}
	return false
}

// stateOf is the state that an event brings an order into; "" for none.
func stateOf(eventType string) queries.OrderState {
	return map[string]queries.OrderState{
		events.OrderCreated{}.EventType():           queries.Draft,
		events.OrderSubmitted{}.EventType():         queries.Submitted,
		events.OrderReserved{}.EventType():          queries.Reserved,
		events.OrderPaymentAuthorized{}.EventType(): queries.Authorized,
		events.OrderConfirmed{}.EventType():         queries.Confirmed,
		events.OrderPaid{}.EventType():              queries.Paid,
		events.OrderDispatched{}.EventType():        queries.Dispatched,
		events.OrderCompleted{}.EventType():         queries.Completed,
		events.OrderCancelled{}.EventType():         queries.Cancelled,
		events.OrderRejected{}.EventType():          queries.Rejected,
		events.OrderExpired{}.EventType():           queries.Expired,
	}[eventType]
}

// passedBy says when an order came to each of the states that it had up to a version.
func passedBy(entries []queries.TimelineEntry, version uint64) map[queries.OrderState]time.Time {
	passed := map[queries.OrderState]time.Time{}
	for _, e := range entries {
		if state := stateOf(e.Type); e.Category == events.CategoryOrder && e.Version <= version && state != "" {
			passed[state] = e.Time
		}
	}
	return passed
}

// machines draws the states lying for wide screens and standing for narrow ones.
func machines(current queries.OrderState, passed map[queries.OrderState]time.Time) [2]machine {
	return [2]machine{lying(current, passed), standing(current, passed)}
}

func lying(current queries.OrderState, passed map[queries.OrderState]time.Time) machine {
	const w, h, gap, top, below = 104, 44, 20, 8, 116
	m := machine{Name: "lying", Width: len(way)*w + (len(way)-1)*gap + 4, Height: below + h + 8, Summary: summary(current, passed)}
	for i, s := range way {
		n := node{State: s, X: 2 + i*(w+gap), Y: top, W: w, H: h}
		m.add(n, current, passed)
		if i > 0 {
			m.Edges = append(m.Edges, edge{n.X - gap, top + h/2, n.X - 7, top + h/2, edgeClass(s, passed)})
		}
	}
	// Every state before the payment leads down to one rail, and the rail to the ends.
	last := 4*(w+gap) + w/2 + 2
	const rail = top + h + 28
	open := endsClass(current)
	for i := range 5 {
		x := 2 + i*(w+gap) + w/2
		m.Edges = append(m.Edges, edge{x, top + h, x, rail, open + " plain"})
	}
	m.Edges = append(m.Edges, edge{2 + w/2, rail, last, rail, open + " plain"})
	for i, s := range ends {
		n := node{State: s, X: 2 + (w+gap)/2 + i*(w+gap)*3/2, Y: below, W: w, H: h}
		m.add(n, current, passed)
		m.Edges = append(m.Edges, edge{n.X + w/2, rail, n.X + w/2, below - 7, endClass(s, current)})
	}
	return m
}

func standing(current queries.OrderState, passed map[queries.OrderState]time.Time) machine {
	const w, h, gap, right = 132, 40, 18, 190
	m := machine{Name: "standing", Width: right + w + 2, Height: len(way)*h + (len(way)-1)*gap + 4, Summary: summary(current, passed)}
	for i, s := range way {
		n := node{State: s, X: 2, Y: 2 + i*(h+gap), W: w, H: h}
		m.add(n, current, passed)
		if i > 0 {
			m.Edges = append(m.Edges, edge{2 + w/2, n.Y - gap, 2 + w/2, n.Y - 7, edgeClass(s, passed)})
		}
	}
	const rail = w + 28
	open := endsClass(current)
	for i := range 5 {
		y := 2 + i*(h+gap) + h/2
		m.Edges = append(m.Edges, edge{2 + w, y, rail, y, open + " plain"})
	}
	m.Edges = append(m.Edges, edge{rail, 2 + h/2, rail, 2 + 4*(h+gap) + h/2, open + " plain"})
	for i, s := range ends {
		n := node{State: s, X: right, Y: 2 + (h+gap)/2 + i*(h+gap)*3/2, W: w, H: h}
		m.add(n, current, passed)
		m.Edges = append(m.Edges, edge{rail, n.Y + h/2, right - 7, n.Y + h/2, endClass(s, current)})
	}
	return m
}

func (m *machine) add(n node, current queries.OrderState, passed map[queries.OrderState]time.Time) {
	at, was := passed[n.State]
	if n.Note = n.Class; was {
		n.Note = at.UTC().Format("15:04:05.000")
	}
	switch {
	case n.State == current:
		n.Class = "current " + tone(n.State)
	case was:
		n.Class = "passed"
	case possible(n.State, current):
		n.Class = "possible"
	default:
		n.Class = "closed"
	}
	m.Nodes = append(m.Nodes, n)
}

// possible tells whether an order can still come to a state from the current one.
func possible(s, current queries.OrderState) bool {
	from, to := place(current), place(s)
	switch {
	case from < 0: // it has ended
		return false
	case to >= 0:
		return to > from
	}
	for _, w := range way[from:] {
		if canEnd(w, s) {
			return true
		}
	}
	return false
}

// place is a state's on the way, or -1.
func place(s queries.OrderState) int {
	for i, w := range way {
		if w == s {
			return i
		}
	}
	return -1
}

func edgeClass(to queries.OrderState, passed map[queries.OrderState]time.Time) string {
	if _, was := passed[to]; was {
		return "passed"
	}
	return "open"
}

func endsClass(current queries.OrderState) string {
	if place(current) < 0 {
		return "taken"
	}
	return "open"
}

func endClass(end, current queries.OrderState) string {
	if end == current {
		return "taken"
	}
	return "open"
}

// summary says what the drawing shows.
func summary(current queries.OrderState, passed map[queries.OrderState]time.Time) string {
	text := "The order is " + human(string(current)) + "."
	before := ""
	for _, s := range way {
		if _, was := passed[s]; was && s != current {
			before += ", " + string(s)
		}
	}
	if before != "" {
		text += " It has been" + before[1:] + "."
	}
	next := ""
	for _, s := range append(append([]queries.OrderState{}, way...), ends...) {
		if possible(s, current) {
			next += ", " + string(s)
		}
	}
	if next != "" {
		text += " It can still become" + next[1:] + "."
	}
	return text
}

// MiddleX is where a node's words stand, NameY and NoteY how low.
func (n node) MiddleX() int { return n.X + n.W/2 }

// NameY is the line of a node's name: in the middle when there is no note below it.
func (n node) NameY() int {
	if n.Note == "" {
		return n.Y + n.H/2 + 5
	}
	return n.Y + n.H/2 - 2
}

// NoteY is the line of a node's note.
func (n node) NoteY() int { return n.Y + n.H/2 + 12 }
