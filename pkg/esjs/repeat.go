package esjs

import "context"

// A write with a command id may have been appended before, by a caller who did
// not learn that. Where its expectation names the commit that it follows, the
// server refuses it and [Store.settle] finds it. Where the expectation is first
// resolved by reading, it is looked for here, and its base is then the revision
// that it followed the first time: the rest goes the same way.

// baseOfRepeated is the base of a write whose expectation, a version, the
// aggregate has left behind; a *[ConflictError] unless the write itself is what
// follows that version. A guard writes nothing that could be looked for: where its aggregate has moved on,
// that may have been after the batch was stored, which [Store.settleBatch] finds out.
func (s *Store) baseOfRepeated(ctx context.Context, w Write, tail Commit, version uint64) (Revision, error) {
	if since := w.Expect.revision; w.guard && since.partition == s.partition && since.sequence < tail.Position.sequence {
		return since, nil
	}
	conflict := &ConflictError{Stream: w.Stream, Expected: version, Actual: tail.revision.version}
	if w.Metadata.CommandID == "" || tail.revision.version <= version {
		return Revision{}, conflict
	}
	next, err := s.commitAfter(ctx, tail, version)
	if err != nil {
		return Revision{}, err
	}
	own, err := s.isOf(ctx, w, next)
	switch {
	case err != nil:
		return Revision{}, err
	case !own:
		return Revision{}, conflict
	}
	return next.before(), nil
}

// baseOfAny is the aggregate's revision, or, where the write is one of the
// newest commits, the revision that it followed.
func (s *Store) baseOfAny(ctx context.Context, w Write, tail Commit) (Revision, error) {
	if w.Metadata.CommandID == "" || tail.revision.version == 0 {
		return tail.revision, nil
	}
	older, err := s.commits(ctx, w.Stream, tail.window())
	if err != nil {
		return Revision{}, err
	}
	for _, c := range append(older, tail) {
		own, err := s.isOf(ctx, w, c)
		if err != nil {
			return Revision{}, err
		}
		if own {
			return c.before(), nil
		}
	}
	return tail.revision, nil
}

// isOf tells that a stored commit is the write's.
func (s *Store) isOf(ctx context.Context, w Write, stored Commit) (bool, error) {
	if len(stored.Records) == 0 || stored.Records[0].Metadata.CommandID != w.Metadata.CommandID {
		return false, nil
	}
	c, err := s.encode(ctx, w, stored.before())
	if err != nil {
		return false, err
	}
	defer c.release()
	return c.is(stored), nil
}

// commitAfter returns the commit that directly follows a version; the zero
// Commit when that version is inside a commit.
func (s *Store) commitAfter(ctx context.Context, tail Commit, version uint64) (Commit, error) {
	var at Position
	err := s.forward(ctx, tail, version+1, version+1, func(r Record) bool {
		at = r.Position
		return true
	})
	if err != nil {
		return Commit{}, err
	}
	next, err := s.leaderCommit(ctx, tail.Stream, at.sequence)
	if err != nil || next.Records[0].Version != version+1 {
		return Commit{}, err
	}
	return next, nil
}

// before is the revision that c followed; its time is not known.
func (c Commit) before() Revision {
	window := c.window()
	if len(window) == 0 {
		return Revision{}
	}
	return Revision{version: c.Records[0].Version - 1, partition: c.Position.partition, sequence: window[0], window: window}
}
