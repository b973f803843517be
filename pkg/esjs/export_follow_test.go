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
	deliver func(FollowedMessage) error, reached func(uint64) error) error {
	return s.follow(ctx, source{stream: stream, subjects: subjects, gapless: gapless}, after, follower{
		deliver: func(m message) error {
			return deliver(FollowedMessage{m.subject, m.sequence, m.pending, m.data})
		},
		reached: reached,
	})
}

// FollowCommits opens the reader of commits to tests.
func FollowCommits(ctx context.Context, s *Store, q Query, after Position, deliver func(Commit, error) error) error {
	return s.followCommits(ctx, q, after, commitFollower{
		deliver: func(_ message, c Commit, err error) error { return deliver(c, err) },
	})
}
