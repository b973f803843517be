package esjs

import (
	"context"
	"fmt"
)

// loadPast folds the aggregate up to a version or a moment. Event times never
// decrease within an aggregate, so both cut the history in two.
func (h *CommandHandler[S, C, E]) loadPast(ctx context.Context, id StreamID, o loadOptions, info *LoadInfo) (*folded[S], error) {
	part := h.store.of(id)
	var tail Commit
	var err error
	if o.fresh {
		tail, err = part.leaderTailFrom(ctx, id, part.lastSeen(id))
	} else {
		tail, err = part.tail(ctx, id, o.version)
	}
	if err != nil {
		return nil, err
	}
	if has := tail.revision.version; has < o.version {
		return nil, fmt.Errorf("%w: %s has %d events, there is no version %d", ErrNotFound, id, has, o.version)
	}
	f := folded[S]{}
	if tail.revision.version == 0 {
		return &f, nil
	}
	commits, err := part.history(ctx, tail, 0, "")
	if err != nil {
		return nil, err
	}
	if err := h.store.revealCommits(ctx, commits); err != nil {
		return nil, err
	}
	for _, c := range commits {
		whole := len(c.Records)
		for i, r := range c.Records {
			if (o.version != 0 && r.Version > o.version) || (o.past && r.Time.After(o.asOf)) {
				c.Records = c.Records[:i]
				break
			}
		}
		if len(c.Records) == 0 {
			break
		}
		if len(c.Records) < whole { // a version inside a commit, which nothing can follow
			last := c.Records[len(c.Records)-1]
			c.revision.version, c.revision.time, c.revision.window = last.Version, last.Time, nil
		}
		if f, err = h.agg.apply(f, c); err != nil {
			return nil, err
		}
		f.commit = c.Records[0].ID
		info.Commits++
		if len(c.Records) < whole {
			break
		}
	}
	return &f, nil
}
