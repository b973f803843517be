package esjs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
)

// Streams iterates the aggregates of a category, each once, in the order of
// their keys as [EscapeKey] writes them. Every aggregate that exists when it is
// called is named; one that is created meanwhile may be.
//
// It reads no event. The leader lists what it has in memory, 100,000 aggregates
// at a time, and passes over all of the category for each such list: on two
// cores that took 2 ms for 1,000 aggregates, 0.15 s for 100,000 and 14 s for a million.
//
// The first error ends the iteration: [ErrInvalid] for what is not a category,
// *[CorruptError] for a subject that is not an aggregate's, ctx's error, and
// what the connection says.
func (s *Store) Streams(ctx context.Context, category string) iter.Seq2[StreamID, error] {
	return merged(s.parts, func(part *Store) iter.Seq2[StreamID, error] { return part.streams(ctx, category) },
		func(a, b StreamID) int { return strings.Compare(wire.EscapeKey(a.Key), wire.EscapeKey(b.Key)) })
}

func (s *Store) streams(ctx context.Context, category string) iter.Seq2[StreamID, error] {
	return func(yield func(StreamID, error) bool) {
		if err := wire.CheckCategory(category); err != nil {
			yield(StreamID{}, fmt.Errorf("%w: %w", ErrInvalid, err))
			return
		}
		last := "" // subject that was yielded
		for offset := 0; ; {
			page, total, err := s.subjects(ctx, s.cfg.Prefix+"."+category+".*", offset)
			if err != nil {
				yield(StreamID{}, err)
				return
			}
			for _, subject := range slices.Sorted(maps.Keys(page)) {
				// Aggregates that came meanwhile move others to a later page: some come twice, none is left out.
				if subject <= last {
					continue
				}
				last = subject
				_, key, err := wire.ParseSubject(s.cfg.Prefix, subject)
				if err != nil {
					err = &CorruptError{Stream: StreamID{Category: category, Key: subject}, Reason: err.Error()}
				}
				if !yield(StreamID{Category: category, Key: key}, err) || err != nil {
					return
				}
			}
			if offset += len(page); len(page) == 0 || offset >= total {
				return
			}
		}
	}
}

// subjects lists a part of the subjects that a filter selects, with the number
// of messages of each, as the leader's index has them, and how many there are in all.
func (s *Store) subjects(ctx context.Context, filter string, offset int) (page map[string]uint64, total int, err error) {
	info, err := s.subjectsInfo(ctx, s.cfg.Stream, filter, offset)
	return info.State.Subjects, info.Total, err
}

// checkAbsent is asked when the leader has no last commit of an aggregate. A
// commit that it cannot read, because bits of it have flipped, looks the same;
// but then the leader's index still counts the aggregate's commits.
func (s *Store) checkAbsent(ctx context.Context, id StreamID) error {
	subject := s.subjectOf(id)
	commits, _, err := s.subjects(ctx, subject, 0)
	if err != nil || commits[subject] == 0 {
		return err
	}
	// It may have been stored in between, or who had none leads no more.
	if _, err := s.surely(ctx, s.cfg.Stream, lastOf(subject), 1, 0); !errors.Is(err, errNoMessage) {
		return err
	}
	return &CorruptError{Stream: id, Reason: fmt.Sprintf("the leader counts %d commits and cannot read the last one", commits[subject])}
}
