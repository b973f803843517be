package esjs

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// LastBefore returns the position of the last commit that was stored before t,
// by the clock of the server that stored it; the zero Position when there is
// none. It is where to start from for what was stored at t or later: see
// [SubscriptionConfig].From. It asks the leader for about twenty commits of a million. Of
// several partitions it is the place behind the last such commit of each.
func (s *Store) LastBefore(ctx context.Context, t time.Time) (Position, error) {
	return s.ends(ctx, func(ctx context.Context, part *Store) (Position, error) { return part.lastBefore(ctx, t) })
}

func (s *Store) lastBefore(ctx context.Context, t time.Time) (Position, error) {
	state, err := s.streamState(ctx, s.cfg.Stream)
	if err != nil {
		return Position{}, err
	}
	// What is at low or before it was stored before t, what is at high was not.
	low, high := max(state.FirstSeq, 1)-1, state.LastSeq+1
	if state.Msgs == 0 {
		return Position{}, nil
	}
	for high-low > 1 {
		middle := low + (high-low)/2
		m, err := s.knownMessage(ctx, s.cfg.Stream, middle, leaderPatience)
		switch {
		case errors.Is(err, errNoMessage):
			return Position{}, &CorruptError{Position: s.at(middle), Reason: "a commit is missing in the stream " + s.cfg.Stream}
		case err != nil:
			return Position{}, fmt.Errorf("esjs: look for what was stored before %s: %w", t, err)
		case m.stored.Before(t):
			low = middle
		default:
			high = middle
		}
	}
	if low < state.FirstSeq {
		return Position{}, nil
	}
	return s.at(low), nil
}
