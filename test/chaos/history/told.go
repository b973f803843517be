package history

import (
	"cmp"
	"fmt"
	"slices"
)

// checkTold judges what writers were told of their commits.
func (h *History) checkTold(x index) (found []Finding) {
	known := map[string]bool{}
	for _, op := range h.Ops {
		if !op.Kind.Writes() {
			continue
		}
		known[op.ID] = true
		find := func(kind FindingKind, key, format string, args ...any) {
			found = append(found, Finding{Kind: kind, Op: op.ID, Key: key, Text: fmt.Sprintf(format, args...)})
		}
		there := 0
		for _, w := range op.Writes {
			c, stored := x.ops[op.ID][w.Key]
			if stored {
				there++
			}
			switch {
			case op.Outcome == Acknowledged && !stored:
				find(Lost, w.Key, "%s version %d at %s was acknowledged and is not stored", w.Key, w.After, w.at())
			case op.Outcome == Acknowledged && (c.last() != w.After || w.Sequence != 0 && c.at() != w.at()):
				find(Untruthful, w.Key, "%s: version %d at %s was acknowledged, and is version %d at %s", w.Key, w.After, w.at(), c.last(), c.at())
			case stored && (op.Outcome == Conflict || op.Outcome == Refused):
				find(Untruthful, w.Key, "%s: it was told %q (%s), and is stored as version %d at %s", w.Key, op.Outcome, op.Error, c.last(), c.at())
			case stored && len(c.Ops) != w.Events:
				find(Torn, w.Key, "%s: of %d events %d are stored", w.Key, w.Events, len(c.Ops))
			case stored && w.Expected != Open && c.First != uint64(w.Expected)+1:
				find(Untruthful, w.Key, "%s: it expected version %d, and is stored as version %d", w.Key, w.Expected, c.First)
			}
		}
		if there > 0 && there < len(op.Writes) {
			find(Torn, "", "of %d commits %d are stored", len(op.Writes), there)
		}
	}
	for _, c := range h.Log {
		for _, op := range c.Ops {
			if !known[op] {
				found = append(found, Finding{Kind: Invented, Op: op, Key: c.Key, Text: fmt.Sprintf("%s at %s was written by nobody", c.Key, c.at())})
				known[op] = true
			}
		}
	}
	return found
}

// checkConflicts judges what conflicts say of what was expected.
func (h *History) checkConflicts() (found []Finding) {
	for _, op := range h.Ops {
		a := op.Against
		if a == nil || !op.Kind.Writes() {
			continue
		}
		find := func(format string, args ...any) {
			found = append(found, Finding{Kind: Untruthful, Op: op.ID, Key: a.Key, Text: fmt.Sprintf(format, args...)})
		}
		if a.Expected == a.Actual {
			find("%s: a conflict says that it is at version %d, which was expected", a.Key, a.Actual)
		}
		// What a command expects, its handler knows.
		if asked := (func(w Write) bool { return w.Key == a.Key && w.Expected == int64(a.Expected) }); op.Kind != Command && !slices.ContainsFunc(op.Writes, asked) {
			find("%s: a conflict says that version %d was expected, and it was not", a.Key, a.Expected)
		}
	}
	return found
}

// checkSeen asks whether what a store has shown or stored is never refuted by it: afterwards no load, no read and no
// conflict says less of that aggregate to any of its clients.
func (h *History) checkSeen() (found []Finding) {
	type place struct {
		store int
		key   string
	}
	seen := map[place]uint64{}
	saw := func(store int, key string, version uint64) {
		seen[place{store, key}] = max(seen[place{store, key}], version)
	}
	ended := slices.SortedFunc(slices.Values(h.Ops), func(a, b Op) int { return cmp.Compare(a.Return, b.Return) })
	for _, op := range slices.SortedFunc(slices.Values(h.Ops), func(a, b Op) int { return cmp.Compare(a.Call, b.Call) }) {
		for ; len(ended) > 0 && ended[0].Return < op.Call; ended = ended[1:] {
			before := ended[0]
			for _, w := range before.Writes {
				saw(before.Store, w.Key, w.After)
			}
			if key, version, ok := before.shows(); ok {
				saw(before.Store, key, version)
			}
		}
		if key, version, ok := op.shows(); ok && version < seen[place{op.Store, key}] {
			found = append(found, Finding{Kind: Stale, Op: op.ID, Key: key, Text: fmt.Sprintf(
				"%s: a %s says version %d, of a store that had seen version %d", key, op.Kind, version, seen[place{op.Store, key}])})
		}
	}
	return found
}

// shows is the version of an aggregate that an operation's answer names without having written it.
func (op Op) shows() (key string, version uint64, ok bool) {
	switch {
	case op.Shown != nil:
		return op.Shown.Key, op.Shown.Version, true
	case op.Against != nil:
		return op.Against.Key, op.Against.Actual, true
	}
	return "", 0, false
}

// checkReads judges reads of any replica: they show what is in the log.
func (h *History) checkReads(x index) (found []Finding) {
	for _, op := range h.Ops {
		s := op.Shown
		if op.Kind != Read || s == nil {
			continue
		}
		find := func(format string, args ...any) {
			found = append(found, Finding{Kind: Stale, Op: op.ID, Key: s.Key, Text: fmt.Sprintf(format, args...)})
		}
		if s.Version > x.version(s.Key) {
			find("%s: version %d was read, and the last one is %d", s.Key, s.Version, x.version(s.Key))
			continue
		}
		for i, newest := range s.Newest {
			if version := s.Version - uint64(i); x.streams[s.Key][version-1] != newest {
				find("%s version %d: %s was read, and it is %s", s.Key, version, newest, x.streams[s.Key][version-1])
			}
		}
	}
	return found
}
