package esjs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
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

	sealed bool // personal values stay sealed
}

// ReadAll iterates the selected events in the store's order, each once. It ends
// at what was last when it was called, as the leader knew it. It leaves nothing
// behind on the server, also when it is left early. It goes on where it was
// when the connection or the leader is lost.
//
// Nothing is left out: the commits' sequences are checked to have no gap. What
// is missing is read from the leader, or is a *[CorruptError] that names the
// place. Where one category or stream is selected the server selects, and the
// chain of each aggregate's commits is checked: then what a damaged replica hides
// of the end of an aggregate is noticed at the end, and not while commits keep coming.
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
	if q.Until.IsZero() || last.Before(q.Until) {
		q.Until = last
	}
	if !q.After.Before(q.Until) {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	ahead := readAhead{query: q, left: q.Limit, pages: make(chan [][]Record, aheadPages)}
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(ahead.pages)
		err = ahead.read(ctx, s)
	})
	defer reading.Wait()
	defer cancel()
	for page := range ahead.pages {
		for _, records := range page {
			if err := ctx.Err(); err != nil {
				return err
			}
			for i := range records {
				if !yield(records[i], nil) {
					return errStopped
				}
			}
		}
	}
	return err
}

// selective tells that events of the selected streams may be left out.
func (q *Query) selective() bool {
	return len(q.Types) > 0 || !q.Since.IsZero() || !q.Before.IsZero()
}

// selects tells that a record of the selected streams is of the selected types and times.
func (q *Query) selects(r Record) bool {
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
