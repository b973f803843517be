package esjs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"
)

// Query selects events of the whole store: those for which every field that is
// set holds. The zero Query selects all.
type Query struct {
	Categories []string
	Streams    []StreamID // in addition to Categories
	Types      []string

	// The rest is for [Store.ReadAll]. A subscription, a projection and the inputs of a
	// process go on for ever, and refuse it with [ErrConfig].
	After  Position  // exclusive
	Until  Position  // inclusive; zero: the store's last event at the time of the call
	Since  time.Time // inclusive; compared with the events' own times
	Before time.Time // exclusive; compared with the events' own times
	Limit  int       // events; 0: no limit

	sealed bool // personal values stay sealed
}

// ReadAll iterates the selected events in the store's order, each once. It ends
// at what was last when it was called, as the leader knew it. It leaves nothing
// behind on the server, also when it is left early. It goes on where it was
// when the connection or the leader is lost.
//
// Of several partitions each is read in its order, and of their next events the one with
// the earliest time comes first: that is an order for people, because times of different servers do
// not tell what was before what. After and Until hold in each partition that they name;
// of one that After does not name all is selected, and of one that Until does not name nothing.
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
		if err := s.readParts(ctx, q, yield); err != nil && !errors.Is(err, errStopped) {
			yield(Record{}, err)
		}
	}
}

// readParts reads what is selected of each partition.
func (s *Store) readParts(ctx context.Context, q Query, yield func(Record, error) bool) error {
	if q.Limit < 0 {
		return fmt.Errorf("%w: the query's limit is %d: 0, which is none, or more is allowed", ErrInvalid, q.Limit)
	}
	if err := errors.Join(s.checkPosition(q.After), s.checkPosition(q.Until)); err != nil {
		return err
	}
	if _, err := s.querySubjects(q); err != nil {
		return err
	}
	var parts []*Store
	for _, part := range s.parts {
		if _, some := q.in(part); some {
			parts = append(parts, part)
		}
	}
	if len(parts) == 1 {
		own, _ := q.in(parts[0])
		return parts[0].readAll(ctx, own, yield)
	}
	n := 0
	for r, err := range merged(parts, func(part *Store) iter.Seq2[Record, error] {
		return func(yield func(Record, error) bool) {
			own, _ := q.in(part)
			if err := part.readAll(ctx, own, yield); err != nil && !errors.Is(err, errStopped) {
				yield(Record{}, err)
			}
		}
	}, func(a, b Record) int { return a.Time.Compare(b.Time) }) {
		if !yield(r, err) || err != nil {
			return errStopped
		}
		if n++; n == q.Limit {
			break
		}
	}
	return nil
}

// checkEndless refuses the fields of a query that are for [Store.ReadAll] alone. instead says
// what is to be used.
func (q Query) checkEndless(instead string) error {
	var set []string
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"After", !q.After.IsZero()}, {"Until", !q.Until.IsZero()}, {"Since", !q.Since.IsZero()},
		{"Before", !q.Before.IsZero()}, {"Limit", q.Limit != 0},
	} {
		if field.set {
			set = append(set, field.name)
		}
	}
	if len(set) == 0 {
		return nil
	}
	return fmt.Errorf("%w: the query has %s, which is for ReadAll: %s", ErrConfig, strings.Join(set, ", "), instead)
}

// fromInstead is what a subscription and a process have for a query's After and Until.
const fromInstead = "it starts after From (Store.Last is now, Store.LastBefore any other time) and goes on until its context ends"

// in is what a query selects in one partition; false when that is nothing.
func (q Query) in(part *Store) (Query, bool) {
	if part.partitions < 2 {
		return q, true
	}
	q.After = q.After.only(part.partition)
	if !q.Until.IsZero() {
		if q.Until = q.Until.only(part.partition); q.Until.IsZero() {
			return q, false
		}
	}
	if len(q.Streams) > 0 {
		q.Streams = slices.DeleteFunc(slices.Clone(q.Streams), func(id StreamID) bool {
			return Partition(id.Key, part.partitions) != int(part.partition)
		})
		return q, len(q.Streams)+len(q.Categories) > 0
	}
	return q, true
}

func (s *Store) readAll(ctx context.Context, q Query, yield func(Record, error) bool) error {
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
// the zero Position when there is none. Of several partitions it is the place behind the last
// commit of each.
func (s *Store) Last(ctx context.Context) (Position, error) {
	return s.ends(ctx, func(ctx context.Context, part *Store) (Position, error) {
		sequence, err := part.lastSequence(ctx, part.cfg.Stream)
		return part.at(sequence), err
	})
}
