package esjs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
)

// Read iterates an aggregate's events from version from to version to, both
// inclusive. from 0 is the first version and to 0 the last one; what lies
// beyond the last version is not there and ends the iteration. It goes backward
// when to is not 0 and below from: Read(ctx, id, math.MaxUint64, 1) is the whole
// aggregate, newest first.
//
// It may be as old as a lagging replica, but never older than what this store
// has read or written of the aggregate. That there are no events is the
// leader's word. It holds at most 64 commits in memory, and takes one round trip
// for each 64 commits, and forward another one for each 64 that it first goes back over, wherever
// they are stored. It leaves nothing behind on the server.
//
// What a replica has lost or damaged is read from the leader. What is lost or
// damaged there too, or does not follow what was before it, is a *[CorruptError]
// that names the place.
//
// The first error ends the iteration: [ErrNotFound] when the aggregate has no
// events, [ErrInvalid], *[CorruptError], ctx's error, and what the connection says.
func (s *Store) Read(ctx context.Context, id StreamID, from, to uint64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		s := s.of(id)
		tail, err := s.existingTail(ctx, id)
		if err != nil {
			yield(Record{}, err)
			return
		}
		from := max(from, 1)
		walk := s.forward
		switch {
		case to == 0:
			to = math.MaxUint64
		case to < from:
			walk = s.backward
		}
		var unread error
		err = walk(ctx, tail, from, to, func(r Record) bool {
			if unread = s.revealRecord(ctx, &r, nil); unread != nil {
				return false
			}
			return yield(r, nil)
		})
		if unread != nil {
			err = unread
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(Record{}, err)
		}
	}
}

// ReadAsOf iterates the events that the aggregate had at t, oldest first; none
// when its first one is younger. It is otherwise like [Store.Read].
func (s *Store) ReadAsOf(ctx context.Context, id StreamID, t time.Time) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for r, err := range s.Read(ctx, id, 1, 0) {
			// Times never decrease within an aggregate.
			if err == nil && r.Time.After(t) || !yield(r, err) {
				return
			}
		}
	}
}

// errStopped: the consumer of an iterator has enough.
var errStopped = errors.New("esjs: stopped")

func (s *Store) existingTail(ctx context.Context, id StreamID) (Commit, error) {
	if err := checkStream(id); err != nil {
		return Commit{}, err
	}
	tail, err := s.tail(ctx, id, 1)
	if err != nil {
		return Commit{}, err
	}
	if tail.revision.version == 0 {
		return Commit{}, fmt.Errorf("%w: %s has no events", ErrNotFound, id)
	}
	return tail, nil
}

// forward yields the versions from from to to, oldest first. It first finds the
// sequences of the commits, for which only each 64th has to be read.
func (s *Store) forward(ctx context.Context, tail Commit, from, to uint64, yield func(Record) bool) error {
	var sequences []uint64 // newest first, without tail's
	for at := tail; ; {
		page := olderThan(at, from)
		sequences = append(sequences, page...)
		if len(page) < wire.WindowSize {
			break
		}
		oldest, err := s.commits(ctx, tail.Stream, page[len(page)-1:])
		if err != nil {
			return err
		}
		at = oldest[0]
	}
	slices.Reverse(sequences)
	var last uint64 // version read, once there is one
	for page := range slices.Chunk(sequences, wire.WindowSize) {
		commits, err := s.commits(ctx, tail.Stream, page)
		if err != nil {
			return err
		}
		for _, c := range commits {
			if last, err = forwardCommit(c, last, from, to, yield); err != nil || last >= to {
				return err
			}
		}
	}
	_, err := forwardCommit(tail, last, from, to, yield)
	return err
}

// forwardCommit yields what is selected of c, which must follow the version
// last or, where that is 0, hold from. It returns c's last version.
func forwardCommit(c Commit, last, from, to uint64, yield func(Record) bool) (uint64, error) {
	if first := c.Records[0].Version; last == 0 && first > from || last != 0 && first != last+1 {
		return last, versionGap(c, first, last)
	}
	for _, r := range c.Records {
		if r.Version >= from && r.Version <= to && !yield(r) {
			return last, errStopped
		}
	}
	return c.revision.version, nil
}

// backward yields the versions from from down to to, newest first.
func (s *Store) backward(ctx context.Context, tail Commit, from, to uint64, yield func(Record) bool) error {
	page := []Commit{tail} // newest first
	var above Commit       // the one after the commit at hand, where it is known
	for {
		for _, c := range page {
			if last := c.revision.version; above.Records != nil && above.Records[0].Version != last+1 {
				return versionGap(above, above.Records[0].Version, last)
			}
			above = c
			for _, r := range slices.Backward(c.Records) {
				if r.Version >= to && r.Version <= from && !yield(r) {
					return errStopped
				}
			}
		}
		sequences := olderThan(page[len(page)-1], to)
		if len(sequences) == 0 {
			return nil
		}
		var err error
		if len(sequences) == wire.WindowSize && above.Records[0].Version > from {
			// Where all of them are above from, only the oldest one's window is needed.
			if page, err = s.commits(ctx, tail.Stream, sequences[len(sequences)-1:]); err != nil {
				return err
			}
			if page[0].Records[0].Version > from {
				above = Commit{}
				continue
			}
		}
		if page, err = s.commits(ctx, tail.Stream, sequences); err != nil {
			return err
		}
	}
}

// olderThan returns the sequences of the commits before c that can hold a
// version of from or above, newest first: at most 64, and fewer only when these
// are all. A commit holds one version at least.
func olderThan(c Commit, from uint64) []uint64 {
	first, window := c.Records[0].Version, c.window()
	if first <= from {
		return nil
	}
	return window[:min(uint64(len(window)), first-from)]
}

func versionGap(c Commit, version, previous uint64) error {
	reason := fmt.Sprintf("version %d follows %d", version, previous)
	return &CorruptError{Stream: c.Stream, Position: c.Position, Reason: reason}
}
