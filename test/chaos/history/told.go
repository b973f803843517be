package history

import "fmt"

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
				find(Lost, w.Key, "%s version %d at %d was acknowledged and is not stored", w.Key, w.After, w.Sequence)
			case op.Outcome == Acknowledged && (c.last() != w.After || c.Sequence != w.Sequence && w.Sequence != 0):
				find(Untruthful, w.Key, "%s: version %d at %d was acknowledged, and is version %d at %d", w.Key, w.After, w.Sequence, c.last(), c.Sequence)
			case stored && (op.Outcome == Conflict || op.Outcome == Refused):
				find(Untruthful, w.Key, "%s: it was told %q (%s), and is stored as version %d at %d", w.Key, op.Outcome, op.Error, c.last(), c.Sequence)
			case stored && len(c.Ops) != w.Events:
				find(Torn, w.Key, "%s: of %d events %d are stored", w.Key, w.Events, len(c.Ops))
			case stored && w.Expected != Open && c.First != uint64(w.Expected)+1:
				find(Untruthful, w.Key, "%s: it expected version %d, and is stored as version %d", w.Key, w.Expected, c.First)
			}
		}
		if there > 0 && there < len(op.Writes) {
			find(Torn, "", "of %d commits %d are stored", len(op.Writes), there)
		}
		if a := op.Against; a != nil && a.Expected == a.Actual {
			find(Untruthful, a.Key, "%s: a conflict says that it is at version %d, which was expected", a.Key, a.Actual)
		}
	}
	for _, c := range h.Log {
		for _, op := range c.Ops {
			if !known[op] {
				found = append(found, Finding{Kind: Invented, Op: op, Key: c.Key, Text: fmt.Sprintf("%s at %d was written by nobody", c.Key, c.Sequence)})
				known[op] = true
			}
		}
	}
	return found
}

// checkReads judges reads of any replica: they show what is in the log, and no less
// than their store had seen before.
func (h *History) checkReads(x index) (found []Finding) {
	for _, op := range h.Ops {
		s := op.Shown
		if op.Kind != Read || s == nil {
			continue
		}
		find := func(format string, args ...any) {
			found = append(found, Finding{Kind: Stale, Op: op.ID, Key: s.Key, Text: fmt.Sprintf(format, args...)})
		}
		if s.Version < s.Seen {
			find("%s: version %d was read by a store that had seen version %d", s.Key, s.Version, s.Seen)
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
