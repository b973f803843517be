package esjs

import (
	"context"
	"slices"
)

// readAhead receives and parses commits for one caller of ReadAll while that
// works on earlier ones. With what the server sends ahead these are at most 900
// commits, and 16 MiB where its max_payload is 1 MiB.
type readAhead struct {
	query Query
	left  int // events of the query's limit
	pages chan [][]Record
	page  [][]Record // the selected records of each commit
	bytes int        // of the page's messages
}

const (
	// A page is full with so many commits or bytes, and so many pages wait for
	// the caller: less than the server sends ahead anyway.
	pageCommits = 64
	pageBytes   = 256 << 10
	aheadPages  = 4
)

// read fills pages until the query's end, and then returns errStopped.
func (a *readAhead) read(ctx context.Context, s *Store) error {
	until, filtered := a.query.Until, len(a.query.Categories)+len(a.query.Streams) == 1
	err := s.followCommits(ctx, a.query, a.query.After, commitFollower{
		filtered: true,
		ends:     true,
		deliver: func(m message, c Commit, err error) error {
			switch {
			case until.Before(c.Position):
				return errStopped
			case err != nil:
				return err
			}
			if err := a.add(ctx, c, len(m.data)); err != nil {
				return err
			}
			// Where the server filters and has more, it may have left something out:
			// what it sends next tells, or its silence.
			if !c.Position.Before(until) && (!filtered || m.pending == 0) {
				return errStopped
			}
			return nil
		},
		reached: func(p Position, _ uint64) error {
			if !p.Before(until) {
				return errStopped
			}
			return a.turn(ctx)
		},
	})
	if turned := a.turn(ctx); turned != nil {
		return turned
	}
	return err
}

// add takes what the query selects of a commit.
func (a *readAhead) add(ctx context.Context, c Commit, size int) error {
	records := c.Records
	if a.query.selective() {
		records = slices.DeleteFunc(records, func(r Record) bool { return !a.query.selects(r) })
	}
	if a.query.Limit > 0 {
		records = records[:min(len(records), a.left)]
		a.left -= len(records)
	}
	if len(records) > 0 {
		a.page = append(a.page, records)
		a.bytes += size
	}
	switch {
	case a.query.Limit > 0 && a.left == 0:
		return errStopped
	case len(a.page) == pageCommits || a.bytes >= pageBytes:
		return a.turn(ctx)
	}
	return nil
}

// turn hands the page over and begins the next one.
func (a *readAhead) turn(ctx context.Context) error {
	if len(a.page) == 0 {
		return nil
	}
	select {
	case a.pages <- a.page:
		a.page, a.bytes = make([][]Record, 0, pageCommits), 0
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
