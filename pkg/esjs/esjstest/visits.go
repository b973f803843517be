package esjstest

import "testing"

// How many states a check looks at: of those that events lead to in any order,
// which may make no sense, and of those that happen.
const (
	statesAnywhere = 64
	statesReached  = 128
)

// visited is a state with the way that led to it.
type visited[S any] struct {
	state    S
	path     string
	version  uint64 // events that led to it
	text     string // of the state; set in visits
	snapshot S      // of the state; set in visits
}

// visits are states, each once, as many as a check looks at.
type visits[S any] struct {
	t    testing.TB
	most int
	list []visited[S]
	seen map[string]bool
}

func newVisits[S any](t testing.TB, most int) *visits[S] {
	var none S
	v := &visits[S]{t: t, most: most, seen: map[string]bool{}}
	v.add(visited[S]{state: none, path: "at first"})
	return v
}

func (v *visits[S]) add(at visited[S]) {
	v.t.Helper()
	if v.full() {
		return
	}
	if at.text = text(v.t, at.state); !v.seen[at.text] {
		v.seen[at.text] = true
		at.snapshot = roomy(restored(v.t, at.state))
		v.list = append(v.list, at)
	}
}

func (v *visits[S]) full() bool { return len(v.list) == v.most }

// anywhere returns states that up to two of the events lead to, whether that can
// happen or not.
func (c *check[S, E]) anywhere(events []E) *visits[S] {
	c.t.Helper()
	all := newVisits[S](c.t, statesAnywhere)
	for _, e := range events {
		all.add(c.fold(all.list[0].copied(c.t), []E{e}))
	}
	for i, ones := 1, len(all.list); i < ones; i++ {
		for _, e := range events {
			if !all.full() {
				all.add(c.fold(all.list[i].copied(c.t), []E{e}))
			}
		}
	}
	return all
}

// copied shares nothing with at: an Apply that changes what it is given is
// blamed where it is checked.
func (at visited[S]) copied(t testing.TB) visited[S] {
	t.Helper()
	at.state = restored(t, at.state)
	return at
}

// reached returns the states that histories lead to.
func (c *check[S, E]) reached(histories [][]E) *visits[S] {
	c.t.Helper()
	all := newVisits[S](c.t, statesReached)
	for _, history := range histories {
		all.add(c.fold(all.list[0], history))
	}
	return all
}

// fold applies events as they come back from the store; what does not was told
// before and is left out.
func (c *check[S, E]) fold(at visited[S], events []E) visited[S] {
	c.t.Helper()
	for _, e := range events {
		if at.version == 0 {
			at.path = "after " + e.EventType()
		} else {
			at.path += ", " + e.EventType()
		}
		if recorded, err := c.codec.Decode(record(c.t, e)); err == nil {
			c.calmly(at.path, func() { at.state = c.apply(at.state, recorded.Event) })
		}
		at.version++
	}
	return at
}
