package esjs

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// hearing knows for how long a follow has told nothing, although a server says at least each [followBeat] that it is
// there. It is safe for concurrent use.
type hearing struct {
	began time.Time
	heard atomic.Int64 // nanoseconds after began; below 0 while what was heard is being taken
}

// followSilence is after how much silence a stream counts as one that cannot be read. The election of a leader mostly takes less.
const followSilence = 10 * time.Second

func newHearing() *hearing { return &hearing{began: time.Now()} }

// take calls take, which may wait for as long as it likes.
func (h *hearing) take(take func() error) error {
	h.heard.Store(-1)
	defer func() { h.heard.Store(int64(time.Since(h.began))) }()
	return take()
}

// silent is why a stream counts as one that cannot be read, or nil.
func (h *hearing) silent(stream string) error {
	heard := h.heard.Load()
	silence := time.Since(h.began) - time.Duration(heard)
	if heard < 0 || silence < followSilence {
		return nil
	}
	return fmt.Errorf("%w: nothing was heard of the stream %s for %s", ErrUnavailable, stream, silence.Round(time.Second))
}

// endWithin is lastSequence for who does not wait for longer.
func (s *Store) endWithin(ctx context.Context, stream string, patience time.Duration) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.lastSequence(ctx, stream)
}
