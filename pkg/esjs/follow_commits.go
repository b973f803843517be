package esjs

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
	lru "github.com/hashicorp/golang-lru/v2"
)

// commitFollower is told which commits are read; see [follower].
type commitFollower struct {
	// deliver gets every selected commit once, in the store's order. err tells
	// that the message is not a commit: then c names the aggregate and the
	// position only. Where the server filters, a commit that its consumer had left
	// out comes late, before the next one of its aggregate.
	deliver func(m message, c Commit, err error) error
	reached func(at Position, pending uint64) error // see [follower]; may be nil
	// filtered lets the server leave out what one category or stream does not
	// want. That is fast where they are rare; but of what a damaged replica leaves out,
	// the last commits of an aggregate are noticed only when another one follows,
	// or when there is nothing more to read.
	filtered bool
	ends     bool // see [follower]
}

// followCommits follows the commits that q's categories and streams select, of
// the whole store that the server sends. It checks that none is left out: by
// stream sequences, and by the back-pointers of each aggregate where the server filters.
func (s *Store) followCommits(ctx context.Context, q Query, after Position, f commitFollower) error {
	subjects, err := s.querySubjects(q)
	if err != nil {
		return err
	}
	src := source{stream: s.cfg.Stream, subjects: subjects, gapless: true, whole: !f.filtered}
	check, err := newContinuity(s, after.sequence)
	if err != nil {
		return err
	}
	reveal := func(m message, c Commit, err error) error {
		if !q.sealed {
			if err := s.reveal(ctx, c.Records, q.Types); err != nil {
				return err
			}
		}
		return f.deliver(m, c, err)
	}
	deliver := func(m message) error {
		c, err := s.decodeMessage(m.subject, m.sequence, m.data)
		if err != nil {
			c = s.unreadable(m)
		} else {
			m.commit = c.Records[0].ID
		}
		if src.filter() != "" {
			if err := check.next(ctx, c, reveal); err != nil {
				return err
			}
		}
		return reveal(m, c, err)
	}
	reached := func(sequence, pending uint64) error {
		if f.reached == nil {
			return nil
		}
		return f.reached(s.at(sequence), pending)
	}
	leftOut := func(ctx context.Context, after, until uint64) error {
		all := source{stream: s.cfg.Stream, gapless: true} // what is missing there is read from the leader
		return s.scan(ctx, all, after, until, func(m message) error {
			if !matches(src.filter(), m.subject) || check.has(s.unreadable(m)) {
				return nil
			}
			return deliver(m)
		})
	}
	return s.follow(ctx, src, after.sequence, follower{deliver: deliver, reached: reached, leftOut: leftOut, ends: f.ends})
}

// unreadable is what is known of a message that is not a commit.
func (s *Store) unreadable(m message) Commit {
	c := Commit{Stream: StreamID{Key: m.subject}, Position: s.at(m.sequence)}
	if category, key, err := wire.ParseSubject(s.cfg.Prefix, m.subject); err == nil {
		c.Stream = StreamID{Category: category, Key: key}
	}
	return c
}

// querySubjects returns the filter of q's categories and streams; none when q selects all.
func (s *Store) querySubjects(q Query) ([]string, error) {
	var subjects []string
	for _, category := range q.Categories {
		if err := wire.CheckCategory(category); err != nil {
			return nil, fmt.Errorf("%w: query: %w", ErrConfig, err)
		}
		subjects = append(subjects, s.cfg.Prefix+"."+category+".*")
	}
	for _, id := range q.Streams {
		if err := errors.Join(wire.CheckCategory(id.Category), wire.CheckKey(id.Key)); err != nil {
			return nil, fmt.Errorf("%w: query: %w", ErrConfig, err)
		}
		if !slices.Contains(q.Categories, id.Category) {
			subjects = append(subjects, wire.Subject(s.cfg.Prefix, id.Category, id.Key))
		}
	}
	slices.Sort(subjects)
	return slices.Compact(subjects), nil
}

// continuityKeys bounds how many aggregates' last commits a filtered reader remembers.
const continuityKeys = 1 << 14

// continuity notices commits that a filtered reader was not given: the next
// commit of the aggregate points to them.
type continuity struct {
	store *Store
	last  *lru.Cache[StreamID, known]
	// base: of aggregates that are not remembered, nothing beyond this
	// sequence was delivered.
	base uint64
}

type known struct {
	sequence, version uint64 // version 0: not known
}

func newContinuity(s *Store, after uint64) (*continuity, error) {
	c := &continuity{store: s, base: after}
	var err error
	c.last, err = lru.NewWithEvict(continuityKeys, func(_ StreamID, k known) { c.base = max(c.base, k.sequence) })
	return c, err
}

// next remembers commit, which is about to be delivered, and before that
// delivers what should have come before it.
func (c *continuity) next(ctx context.Context, commit Commit, deliver func(message, Commit, error) error) error {
	last, found := c.last.Get(commit.Stream)
	if !found {
		last.sequence = c.base
	}
	here := commit.Position.sequence
	c.last.Add(commit.Stream, known{sequence: here, version: commit.revision.version})
	if len(commit.Records) == 0 { // not readable
		return nil
	}
	var previous uint64
	if window := commit.window(); len(window) > 0 {
		previous = window[0]
	}
	switch {
	case previous > last.sequence:
		return c.deliverMissing(ctx, commit, last.sequence, deliver)
	case found && previous < last.sequence:
		return &CorruptError{Stream: commit.Stream, Position: commit.Position,
			Reason: fmt.Sprintf("the commit follows %d, the commit before it is at %d", previous, last.sequence)}
	case last.version > 0 && commit.Records[0].Version != last.version+1:
		return &CorruptError{Stream: commit.Stream, Position: commit.Position,
			Reason: fmt.Sprintf("version %d comes after version %d", commit.Records[0].Version, last.version)}
	}
	return nil
}

// has tells that a commit was delivered, as far as its aggregate is remembered.
func (c *continuity) has(commit Commit) bool {
	last, found := c.last.Peek(commit.Stream)
	if !found {
		last.sequence = c.base
	}
	return commit.Position.sequence <= last.sequence
}

// deliverMissing reads the aggregate's commits after the sequence last and
// before commit from the leader and delivers them, oldest first.
func (c *continuity) deliverMissing(ctx context.Context, commit Commit, last uint64, deliver func(message, Commit, error) error) error {
	type late struct {
		m message
		c Commit
	}
	var missing []late
	for at := commit; ; {
		window := at.window()
		if len(window) == 0 || window[0] <= last {
			break
		}
		m, err := c.store.knownMessage(ctx, c.store.cfg.Stream, window[0], leaderPatience)
		if errors.Is(err, errNoMessage) {
			return &CorruptError{Stream: commit.Stream, Position: c.store.at(window[0]), Reason: "the commit is missing"}
		}
		if err != nil {
			return err
		}
		if at, err = c.store.decodeMessage(m.subject, m.sequence, m.data); err != nil {
			return err
		}
		missing = append(missing, late{m, at})
	}
	for _, l := range slices.Backward(missing) {
		if err := deliver(l.m, l.c, nil); err != nil {
			return err
		}
	}
	return nil
}
