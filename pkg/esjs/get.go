package esjs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
	"github.com/nats-io/nats.go"
)

// errNoMessage: the server has no message where one was asked for.
var errNoMessage = errors.New("esjs: no message")

func (s *Store) subjectOf(id StreamID) string {
	return wire.Subject(s.cfg.Prefix, id.Category, id.Key)
}

// replicaTail returns the aggregate's last commit as the nearest replica knows
// it, which may lag; the zero Commit when there is none.
func (s *Store) replicaTail(ctx context.Context, id StreamID) (Commit, error) {
	msg, err := s.reader().do(ctx, s.lastRequest(id))
	if err != nil {
		return Commit{}, err
	}
	return s.tailFrom(id, msg)
}

// lastRequest asks any replica for the aggregate's last message.
func (s *Store) lastRequest(id StreamID) *nats.Msg {
	return &nats.Msg{Subject: "$JS.API.DIRECT.GET." + s.cfg.Stream + "." + s.subjectOf(id)}
}

func (s *Store) tailFrom(id StreamID, msg *nats.Msg) (Commit, error) {
	sequence, err := directSequence(msg)
	if errors.Is(err, errNoMessage) {
		return Commit{Stream: id}, nil
	}
	if err != nil {
		return Commit{}, err
	}
	return decodeCommit(id, s.at(sequence), msg.Data)
}

// directSequence reads the sequence of a direct get's answer.
func directSequence(msg *nats.Msg) (uint64, error) {
	if status := msg.Header.Get("Status"); status != "" {
		if status == "404" {
			return 0, errNoMessage
		}
		return 0, fmt.Errorf("esjs: direct get answered %s %s", status, msg.Header.Get("Description"))
	}
	sequence, err := strconv.ParseUint(msg.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("esjs: direct get answered without a sequence")
	}
	return sequence, nil
}

// leaderTail returns the aggregate's last commit as the leader knows it, the
// zero Commit when there is none. It asks again until ctx ends while no leader answers.
func (s *Store) leaderTail(ctx context.Context, id StreamID) (Commit, error) {
	m, err := s.leaderLast(ctx, s.cfg.Stream, s.subjectOf(id))
	return s.leaderTailOf(ctx, id, m, err)
}

// leaderTailOf reads the leader's answer to the question for the aggregate's last commit.
func (s *Store) leaderTailOf(ctx context.Context, id StreamID, m message, err error) (Commit, error) {
	if errors.Is(err, errNoMessage) {
		return Commit{Stream: id}, s.checkAbsent(ctx, id)
	}
	if err != nil {
		return Commit{}, err
	}
	s.sawSequence(id, m.sequence)
	return decodeCommit(id, s.at(m.sequence), m.data)
}

const (
	// leaderPatience is how long a leader may be behind what is known to be stored: one
	// that was paused may answer once more before it learns that it leads no more. What it
	// then still does not have is lost, if it leads indeed.
	leaderPatience = 2 * time.Second
	// heardWithin is when a leader must have heard of its followers, who answer it each
	// second. One that is cut off from them goes on answering for ten to twenty seconds.
	heardWithin = 3 * time.Second
)

// leaderTailFrom is leaderTail that is not behind the sequence seen, at which a
// commit of the aggregate was stored or read before; otherwise a *[CorruptError].
func (s *Store) leaderTailFrom(ctx context.Context, id StreamID, seen uint64) (Commit, error) {
	m, err := s.surely(ctx, s.cfg.Stream, lastOf(s.subjectOf(id)), seen, leaderPatience)
	tail, err := s.leaderTailOf(ctx, id, m, err)
	if err == nil && tail.Position.sequence < seen {
		return Commit{}, &CorruptError{
			Stream:   id,
			Position: s.at(seen),
			Reason:   fmt.Sprintf("the leader's last commit is %s, but a later one was stored", tail.Position),
		}
	}
	return tail, err
}

// leaderCommit returns the commit at a sequence, where one is known to be, as the
// leader has it. A missing one is a *[CorruptError]: nothing is ever deleted.
func (s *Store) leaderCommit(ctx context.Context, id StreamID, sequence uint64) (Commit, error) {
	m, err := s.knownMessage(ctx, s.cfg.Stream, sequence, leaderPatience)
	switch {
	case errors.Is(err, errNoMessage):
		return Commit{}, &CorruptError{Stream: id, Position: s.at(sequence), Reason: "the commit is missing"}
	case err != nil:
		return Commit{}, err
	}
	return decodeCommit(id, s.at(sequence), m.data)
}

// surestTail is leaderTail of a leader that leads indeed, which costs three more requests; it asks
// until ctx ends. One that is cut off from the others would not know the newest commits.
func (s *Store) surestTail(ctx context.Context, id StreamID) (Commit, error) {
	m, err := s.surely(ctx, s.cfg.Stream, lastOf(s.subjectOf(id)), noDoubt, 0)
	return s.leaderTailOf(ctx, id, m, err)
}

// permanent tells that asking again cannot help.
func permanent(err error) bool {
	var (
		unsent *unsentError
		denied *deniedError
		syntax *unreadableError
	)
	return errors.As(err, &unsent) || errors.As(err, &denied) || errors.As(err, &syntax) || isContextError(err)
}

// commits returns the aggregate's commits at the given sequences, in the given
// order, at most [maxInFlight], with all requests in flight at once. What a
// replica does not have is asked of the leader; what the leader does not have
// is a *[CorruptError].
func (s *Store) commits(ctx context.Context, id StreamID, sequences []uint64) ([]Commit, error) {
	out := make([]Commit, len(sequences))
	if err := s.replicaCommits(ctx, id, sequences, out); err != nil && (permanent(err) || ctx.Err() != nil) {
		return nil, err
	}
	for i := range out {
		if out[i].Position.sequence != 0 {
			continue
		}
		commit, err := s.leaderCommit(ctx, id, sequences[i])
		if err != nil {
			return nil, err
		}
		out[i] = commit
	}
	return out, nil
}

// replicaCommits fills out with what any replica has. What it does not have, or what is
// damaged there, stays the zero Commit.
func (s *Store) replicaCommits(ctx context.Context, id StreamID, sequences []uint64, out []Commit) error {
	c, err := s.reader().begin()
	if err != nil {
		return err
	}
	defer c.end()
	subject := "$JS.API.DIRECT.GET." + s.cfg.Stream
	msg := &nats.Msg{Subject: subject}
	for i, sequence := range sequences {
		msg.Data = append(msg.Data[:0], `{"seq":`...)
		msg.Data = strconv.AppendUint(msg.Data, sequence, 10)
		msg.Data = append(msg.Data, `,"no_hdr":true}`...)
		if err := c.send(ctx, msg, i); err != nil {
			return err
		}
	}
	c.wait()
	for range sequences {
		i, answer, err := c.next(ctx)
		if err != nil && !errors.Is(err, nats.ErrNoResponders) {
			return err
		}
		// Asked without headers: only a refusal has one.
		if err != nil || len(answer.Header) > 0 {
			continue
		}
		if out[i], err = decodeCommit(id, s.at(sequences[i]), answer.Data); err != nil {
			out[i] = Commit{}
		}
	}
	return nil
}

// snapshotSubject is the KV subject of an aggregate's snapshot.
func snapshotSubject(bucket string, id StreamID) string {
	var b strings.Builder
	b.WriteString("$KV.")
	b.WriteString(bucket)
	b.WriteByte('.')
	b.WriteString(snapshotKey(id))
	return b.String()
}

// snapshotKey is the KV key of an aggregate's snapshot.
func snapshotKey(id StreamID) string { return id.Category + "." + wire.EscapeKey(id.Key) }
