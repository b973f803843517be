package esjs

import "context"

// FollowedMessage is what FollowStream delivers.
type FollowedMessage struct {
	Subject  string
	Sequence uint64
	Pending  uint64
	Data     []byte
}

// FollowStream opens the reader below subscriptions to tests.
func FollowStream(ctx context.Context, s *Store, stream string, subjects []string, gapless bool, after uint64,
	deliver func(FollowedMessage) error, reached func(sequence, pending uint64) error) error {
	return s.follow(ctx, source{stream: stream, subjects: subjects, gapless: gapless}, after, follower{
		deliver: func(m message) error {
			return deliver(FollowedMessage{m.subject, m.sequence, m.pending, m.data})
		},
		reached: reached,
	})
}

// FollowWithLoss follows all commits as a filtered reader does whose consumer
// leaves out those that lose names.
func FollowWithLoss(ctx context.Context, s *Store, after Position, lose func(Commit) bool, deliver func(Commit) error) error {
	check, err := newContinuity(s, after.sequence)
	if err != nil {
		return err
	}
	pass := func(_ message, c Commit, err error) error { return deliver(c) }
	return s.follow(ctx, source{stream: s.cfg.Stream}, after.sequence, follower{deliver: func(m message) error {
		c, err := s.decodeMessage(m.subject, m.sequence, m.data)
		if err != nil || lose(c) {
			return err
		}
		if err := check.next(ctx, c, pass); err != nil {
			return err
		}
		return pass(m, c, nil)
	}})
}
