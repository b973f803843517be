package esjs

import (
	"context"
	"errors"
	"fmt"
)

// CommitRef names a commit of the event store by its sequence and by the id of its
// first event: another log has another one there, and a copy that keeps sequences has
// the same. It is kept beside what is known of the log up to there.
type CommitRef struct {
	Sequence uint64 `json:"sequence"`
	ID       string `json:"id"`
}

// ref names the commit; the zero CommitRef for what does not decode.
func (c Commit) ref() CommitRef {
	if len(c.Records) == 0 {
		return CommitRef{}
	}
	return CommitRef{Sequence: c.Position.sequence, ID: c.Records[0].ID}
}

// checkCommit refuses to go on from what another log said: the store has another
// commit at the place, or none. A leader that just changed may be behind for a moment;
// what is appended meanwhile does not make up for it.
func (s *Store) checkCommit(ctx context.Context, known CommitRef) error {
	if known.ID == "" { // stored by a release that did not know it
		return nil
	}
	at := s.at(known.Sequence)
	m, err := s.knownMessage(ctx, s.cfg.Stream, known.Sequence, followPatience/3)
	switch {
	case errors.Is(err, errNoMessage):
		return &CorruptError{Position: at, Reason: fmt.Sprintf(
			"the commit %s is not in the stream %s: it was restored or replaced", known.ID, s.cfg.Stream)}
	case err != nil && isRefusal(err):
		return nil // the follow that comes next has patience with it
	case err != nil:
		return err
	}
	if c, err := s.decodeMessage(m.subject, m.sequence, m.data); err == nil && c.Records[0].ID != known.ID {
		return &CorruptError{Stream: c.Stream, Position: at, Reason: fmt.Sprintf(
			"the commit was %s and is %s: the stream %s was restored or replaced", known.ID, c.Records[0].ID, s.cfg.Stream)}
	}
	return nil // what is not a commit is parked by who comes to it
}

// sameLog is checkCommit for who has begun to read, the first time that it is called: the log may have been replaced
// since it was last asked, and the consumer that reads now does not outlive the log.
func (s *Store) sameLog(ctx context.Context, known CommitRef) func() error {
	asked := false
	return func() error {
		if asked {
			return nil
		}
		asked = true
		return s.checkCommit(ctx, known)
	}
}
