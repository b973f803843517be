package history

import "fmt"

// checkDeliveries judges what handlers were given. Events of a key come in order:
// nothing comes before what is before it was handled, and nothing is left out. Where
// instances take turns an event may come again.
func (h *History) checkDeliveries(x index) (found []Finding) {
	type place struct {
		subscription string
		session      int
		key          string
	}
	handled := map[place]uint64{} // the highest version
	for _, d := range h.Deliveries {
		at := place{d.Subscription, d.Session, d.Key}
		find := func(format string, args ...any) {
			found = append(found, Finding{Kind: Delivered, Op: d.Op, Key: d.Key, Text: d.Subscription + ": " + fmt.Sprintf(format, args...)})
		}
		before := handled[at]
		switch {
		case d.Version == 0 || d.Version > x.version(d.Key):
			find("%s version %d was handled, and the last one is %d", d.Key, d.Version, x.version(d.Key))
		case x.streams[d.Key][d.Version-1] != d.Op:
			find("%s version %d was handled as %s, and it is %s", d.Key, d.Version, d.Op, x.streams[d.Key][d.Version-1])
		case d.Version > before+1:
			find("%s version %d was handled after version %d", d.Key, d.Version, before)
		case d.Version <= before && d.Session != 0:
			find("%s version %d was handled again after version %d", d.Key, d.Version, before)
		}
		handled[at] = max(before, d.Version)
	}
	for subscription, sessions := range h.Sessions {
		for _, session := range sessions {
			for key, events := range x.streams {
				if last := handled[place{subscription, session, key}]; last < uint64(len(events)) {
					found = append(found, Finding{Kind: Delivered, Key: key, Text: fmt.Sprintf("%s: %s was handled up to version %d of %d", subscription, key, last, len(events))})
				}
			}
		}
	}
	return found
}

// checkRows compares projections with a fold of the log.
func (h *History) checkRows(x index) (found []Finding) {
	rows := map[string]map[string]bool{}
	for _, r := range h.Rows {
		if rows[r.Projection] == nil {
			rows[r.Projection] = map[string]bool{}
		}
		if rows[r.Projection][r.Key] = true; r.Key == "" { // the projection itself: it has rows
			continue
		}
		last := x.version(r.Key)
		if r.Version != last || r.Events != last || r.Sum != x.sum(r.Key, last) {
			found = append(found, Finding{Kind: Projected, Key: r.Key, Text: fmt.Sprintf(
				"%s: %s is at version %d with %d events applied (%x); by the log it is at version %d (%x)", r.Projection, r.Key, r.Version, r.Events, r.Sum, last, x.sum(r.Key, last))})
		}
	}
	for projection, has := range rows {
		for key := range x.streams {
			if !has[key] {
				found = append(found, Finding{Kind: Projected, Key: key, Text: fmt.Sprintf("%s has no row for %s", projection, key)})
			}
		}
	}
	return found
}
