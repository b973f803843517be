package esjs

import "time"

// Write prepares a commit for [Store.AppendWrite] or [Store.AppendAll] that follows what was loaded;
// the handler's cache learns the outcome. A zero at means now.
func (h *CommandHandler[S, C, E]) Write(from Loaded[S], m Metadata, at time.Time, events ...E) Write {
	known := &folded[S]{state: from.State, revision: from.Revision}
	if cached, ok := h.cache.Get(from.Stream.Key); ok && cached.revision.sequence == from.Revision.sequence {
		known = cached
	}
	return h.write(from.Stream, known, m, at, events)
}

func (h *CommandHandler[S, C, E]) write(id StreamID, known *folded[S], m Metadata, at time.Time, decided []E) Write {
	return Write{
		Stream: id, Expect: AtRevision(known.revision), Events: eventsOf(decided), Metadata: m, Time: at,
		settled: func(out Appended, err error) {
			if cached, ok := h.cache.Get(id.Key); err == nil && ok && cached == known {
				h.remember(id, h.follow(known, m, out, decided))
				return
			}
			h.cache.Remove(id.Key)
		},
	}
}

func eventsOf[E Event](decided []E) []Event {
	events := make([]Event, len(decided))
	for i, e := range decided {
		events[i] = e
	}
	return events
}

// follow is known after its own commit.
func (h *CommandHandler[S, C, E]) follow(known *folded[S], m Metadata, out Appended, decided []E) *folded[S] {
	f := *known
	f.wrote = true
	for _, e := range decided {
		f.state = h.agg.Apply(f.state, e)
	}
	f.commit = out.EventIDs[0]
	f = withPersons(f.advanced(out.Revision, &m, len(decided)), decided)
	return &f
}

// remember caches f unless as much or more is cached, and stores a snapshot
// when the policy says so. It returns what to go on with.
func (h *CommandHandler[S, C, E]) remember(id StreamID, f *folded[S]) *folded[S] {
	h.remembering.Lock()
	defer h.remembering.Unlock()
	if cached, ok := h.cache.Get(id.Key); ok && cached.revision.sequence >= f.revision.sequence {
		return f
	}
	if h.snapshots != nil && h.snapshots.due(f) {
		h.snapshots.queue(id, f)
		counted := *f
		counted.unsaved, counted.wrote = 0, false
		f = &counted
	}
	h.cache.Add(id.Key, f)
	return f
}
