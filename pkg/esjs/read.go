package esjs

import (
	"context"
	"iter"
	"time"
)

// Read iterates an aggregate's events from version from to version to, both
// inclusive; backward when from > to. to 0 means the last version, from 0 with
// to > 0 … the first one.
func (s *Store) Read(ctx context.Context, id StreamID, from, to uint64) iter.Seq2[Record, error] {
	panic("stub")
}

// ReadAsOf iterates the events that the aggregate had at t, oldest first.
func (s *Store) ReadAsOf(ctx context.Context, id StreamID, t time.Time) iter.Seq2[Record, error] {
	panic("stub")
}

// Query selects events of the whole store. The zero Query selects all.
type Query struct {
	Categories []string
	Streams    []StreamID // in addition to Categories
	Types      []string
	After      Position  // exclusive
	Until      Position  // inclusive; zero: the store's last event at the time of the call
	Since      time.Time // inclusive
	Before     time.Time // exclusive
	Limit      int       // 0: no limit
}

// ReadAll iterates the selected events in the store's order and ends at what
// was last when it was called.
func (s *Store) ReadAll(ctx context.Context, q Query) iter.Seq2[Record, error] { panic("stub") }

// Last returns the position of the store's last commit.
func (s *Store) Last(ctx context.Context) (Position, error) { panic("stub") }
