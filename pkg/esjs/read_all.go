package esjs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
)

// Query selects events of the whole store: those for which every field that is
// set holds. The zero Query selects all.
type Query struct {
	Categories []string
	Streams    []StreamID // in addition to Categories
	Types      []string
	After      Position  // exclusive
	Until      Position  // inclusive; zero: the store's last event at the time of the call
	Since      time.Time // inclusive; compared with the events' own times
	Before     time.Time // exclusive; compared with the events' own times
	Limit      int       // events; 0: no limit
}

// ReadAll iterates the selected events in the store's order and ends at what
// was last when it was called, as the leader knew it. It leaves nothing behind
// on the server, also when it is left early.
//
// Nothing is left out: the commits' sequences are checked to have no gap, or,
// where one category or stream is selected, the chain of each aggregate's
// commits is. One category or stream is selected by the server; everything else
// selects among what it sends.
//
// The first error ends the iteration: [ErrConfig] or [ErrInvalid] for a query
// that cannot be, *[CorruptError], ctx's error, and what the connection says.
func (s *Store) ReadAll(ctx context.Context, q Query) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if err := s.readAll(ctx, q, yield); err != nil && !errors.Is(err, errStopped) {
			yield(Record{}, err)
		}
	}
}

func (s *Store) readAll(ctx context.Context, q Query, yield func(Record, error) bool) error {
	if q.Limit < 0 {
		return fmt.Errorf("%w: the query's limit is %d: 0, which is none, or more is allowed", ErrInvalid, q.Limit)
	}
	last, err := s.Last(ctx)
	if err != nil {
		return err
	}
	until := q.Until
	if until.IsZero() || last.Before(until) {
		until = last
	}
	if !q.After.Before(until) {
		return nil
	}
	left := q.Limit
	deliver := func(_ message, c Commit, err error) error {
		if until.Before(c.Position) {
			return errStopped
		}
		if err != nil {
			return err
		}
		for _, r := range c.Records {
			if !q.selects(r) {
				continue
			}
			if !yield(r, nil) {
				return errStopped
			}
			if left--; left == 0 {
				return errStopped
			}
		}
		if !c.Position.Before(until) {
			return errStopped
		}
		return nil
	}
	reached := func(p Position) error {
		if p.Before(until) {
			return nil
		}
		return errStopped
	}
	return s.followCommits(ctx, q, q.After, commitFollower{deliver: deliver, reached: reached})
}

// selects tells that a record of the selected streams is of the selected types and times.
func (q Query) selects(r Record) bool {
	return (len(q.Types) == 0 || slices.Contains(q.Types, r.Type)) &&
		(q.Since.IsZero() || !r.Time.Before(q.Since)) &&
		(q.Before.IsZero() || r.Time.Before(q.Before))
}

// Last returns the position of the store's last commit as the leader knows it,
// the zero Position when there is none.
func (s *Store) Last(ctx context.Context) (Position, error) {
	sequence, err := s.lastSequence(ctx, s.cfg.Stream)
	return Position{sequence: sequence}, err
}
