package console

import (
	"time"

	"github.com/b144f99b/orderflow/pkg/queries"
)

// story is an event of a timeline with what caused it.
type story struct {
	queries.TimelineEntry
	Since time.Duration          // the first event
	Cause *queries.TimelineEntry // nil when it is not on the timeline: somebody asked for it
}

// stories finds the cause of each event among the others.
func stories(entries []queries.TimelineEntry) []story {
	byID := make(map[string]*queries.TimelineEntry, len(entries))
	for i := range entries {
		byID[entries[i].EventID] = &entries[i]
	}
	all := make([]story, len(entries))
	for i, e := range entries {
		all[i] = story{TimelineEntry: e, Since: e.Time.Sub(entries[0].Time), Cause: byID[e.CausationID]}
	}
	return all
}
