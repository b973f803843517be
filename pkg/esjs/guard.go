package esjs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
)

// guardCategory is the store's own category: no aggregate has it.
const guardCategory = "guard"

// isOwn tells the store's own categories, whose events codecs need not know.
func isOwn(category string) bool { return category == guardCategory || category == erasureCategory }

// Guarded is the event that a guard stores, as a commit of its own under the
// category "guard": the writes that it was stored with, which stand beside it
// in the store and have the same metadata, were decided on this version of this
// aggregate. Its key is a UUID. Subscriptions pass guards over unless their
// codec has the type.
type Guarded struct {
	Category string   `json:"category"`
	Key      string   `json:"key"`
	Version  uint64   `json:"version"` // 0: the aggregate did not exist
	Position Position `json:"position"`
}

// EventType is the name that guards are stored under.
func (Guarded) EventType() string { return "esjs.Guarded" }

// Unchanged is a write for [Store.AppendAll] that writes nothing to the
// aggregate: it lets the other writes be stored only while the aggregate is at
// the revision that they were decided on. The zero Revision means that it must
// not exist. This is how a rule over several aggregates is kept: write to some,
// guard the others. Two writers that each guard what the other one writes are
// settled as if they had written to the same aggregate.
//
// An aggregate that has changed makes AppendAll fail with a *[ConflictError]
// that names it; load it with [Fresh] and decide again. The answer at the
// guard's place is the revision that was given. A guard without a write beside
// it is refused with [ErrInvalid], and so is one of an aggregate that is also written to.
// It makes the append an atomic batch with one message more, and one subject
// more in the store for ever. It needs the right to publish to the subjects of
// the category "guard".
func Unchanged(id StreamID, since Revision) Write {
	return Write{Stream: id, Expect: AtRevision(since), guard: true}
}

// guarding is the expectation that a guard's commit carries to the server.
type guarding struct {
	stream  StreamID
	subject string // literal: the server misses writes in flight for a wildcard
	since   Revision
}

func checkGuarded(writes []Write) error {
	for _, w := range writes {
		if w.guard && len(w.Events) > 0 {
			return fmt.Errorf("%w: the guard of %s has events; a guard writes nothing", ErrInvalid, w.Stream)
		}
	}
	if !slices.ContainsFunc(writes, func(w Write) bool { return !w.guard }) {
		return fmt.Errorf("%w: nothing but guards in one AppendAll; a guard needs a write that it protects", ErrInvalid)
	}
	return nil
}

// encodeGuards builds the commits of the writes that are guards, beside those
// of the others. A message has room for one expectation, and a guard's is about
// the foreign aggregate; so each guard has a key that nothing else can have,
// and its commit is the first and last one there without being guarded itself.
func (s *Store) encodeGuards(ctx context.Context, writes []Write, commits []*outgoing) error {
	first := slices.IndexFunc(writes, func(w Write) bool { return !w.guard })
	m := writes[first].Metadata
	m.CommandHash, m.Input, m.Extensions = "", InputRef{}, nil
	for i, w := range writes {
		if !w.guard {
			continue
		}
		since, err := s.base(ctx, w)
		if err != nil {
			return err
		}
		commits[i], err = s.encode(ctx, Write{
			Stream:   StreamID{Category: guardCategory, Key: s.guardKey()},
			Metadata: m,
			Time:     commits[first].time,
			Events: []Event{Guarded{
				Category: w.Stream.Category, Key: w.Stream.Key, Version: since.version, Position: since.Position(),
			}},
		}, Revision{})
		if err != nil {
			return err
		}
		commits[i].guards = &guarding{stream: w.Stream, subject: s.subjectOf(w.Stream), since: since}
	}
	return nil
}

// guardKey is a new key that is in the partition of what it is stored with.
func (s *Store) guardKey() string {
	for {
		key := uuid.Must(uuid.NewV7()).String() // fails only without a random source
		if Partition(key, s.partitions) == int(s.partition) {
			return key
		}
	}
}

// settleGuards finds out whether a batch that is not stored so far can no
// longer be, because an aggregate that it guards has moved: then it returns a
// *[ConflictError]. A guarded aggregate that has moved does not prove that on
// its own, because it may have moved after the batch was stored. It does where
// a replica, at one moment, had the move and not the batch: a replica has
// everything before what it has.
func (s *Store) settleGuards(ctx context.Context, commits []*outgoing) error {
	first := slices.IndexFunc(commits, func(c *outgoing) bool { return c.guards == nil })
	for _, c := range commits {
		if c.guards == nil {
			continue
		}
		seen := s.lastSeen(c.guards.stream) // before the replica is asked
		guarded, written, err := s.bothTails(ctx, c.guards.stream, commits[first].stream)
		if err != nil {
			if corrupt := (*CorruptError)(nil); errors.As(err, &corrupt) {
				return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
			}
			return nil // nothing is known: the batch is published again, which is harmless
		}
		s.sawSequence(c.guards.stream, guarded.Position.sequence)
		if guarded.Position.sequence < seen {
			continue // a conflict would name a version of before
		}
		if guarded.Position.sequence > c.guards.since.sequence && written.Position.sequence <= commits[first].base.sequence {
			return &ConflictError{Stream: c.guards.stream, Expected: c.guards.since.version, Actual: guarded.revision.version}
		}
	}
	return nil
}

// bothTails returns the last commits of two aggregates as one replica, which
// may lag, had them at one moment; the zero Commit where there is none.
func (s *Store) bothTails(ctx context.Context, a, b StreamID) (tailA, tailB Commit, err error) {
	c, err := s.reader().begin()
	if err != nil {
		return tailA, tailB, err
	}
	defer c.end()
	request := nats.NewMsg("$JS.API.DIRECT.GET." + s.cfg.Stream)
	request.Data = fmt.Appendf(nil, `{"multi_last":[%q,%q]}`, s.subjectOf(a), s.subjectOf(b))
	if err := c.send(ctx, request, 0); err != nil {
		return tailA, tailB, err
	}
	c.open = 3 // two commits and the end
	c.wait()
	for {
		_, msg, err := c.next(ctx)
		if err != nil {
			return tailA, tailB, err
		}
		switch status := msg.Header.Get("Status"); {
		case status == "" && msg.Header.Get("Nats-Subject") == s.subjectOf(a):
			tailA, err = s.tailFrom(a, msg)
		case status == "" && msg.Header.Get("Nats-Subject") == s.subjectOf(b):
			tailB, err = s.tailFrom(b, msg)
		case status == "204" && msg.Header.Get("Nats-Num-Pending") == "0",
			status == "404" && strings.HasPrefix(msg.Header.Get("Description"), "No Results"):
			c.open = 0
			return tailA, tailB, nil
		default:
			err = fmt.Errorf("esjs: the last commits of two aggregates: the server answered %s %s", status, msg.Header.Get("Description"))
		}
		if err != nil {
			return tailA, tailB, err
		}
	}
}
