package esjs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// Write is one commit to be stored, or a guard made by [Unchanged].
//
// A write that is appended again with the same command id, events and
// expectation is recognised, and answers as it did the first time. With [Any]
// that holds while it is among the newest 64 commits of the aggregate, which are
// then read. A command id belongs to one write: event ids are made from it.
type Write struct {
	Stream   StreamID
	Expect   Expectation
	Events   []Event
	Metadata Metadata  // of the commit; stored with its events
	Time     time.Time // zero: now. Raised to the aggregate's previous time when it is below.

	guard   bool                  // Stream must be unchanged, nothing is written to it
	settled func(Appended, error) // told the outcome: a handler's cache follows it
}

// Appended is what an append stored.
type Appended struct {
	Revision Revision // of the aggregate after it
	EventIDs []string // in the order of the events
}

// Append stores the events as one commit of the aggregate, whole or not at all,
// in one round trip. Where expect is [ExpectVersion], [Any] or a revision that
// was parsed, it reads the aggregate's last commit first. Events are read back
// as they were given, under versions without a gap and times that never decrease.
//
// An aggregate that is not as expected is a *[ConflictError], which tells the
// version that it is at. Of writers that expect the same version exactly one
// succeeds, of those that expect no stream too. A version inside a commit is
// one to look at and none to append at.
//
// It tries until the outcome is known or ctx ends. A lost request, a lost
// answer, a false refusal, a lost connection and the loss of the leader change
// nothing. A conflict is final: the refused commit can no longer be stored. When
// ctx has ended before anything was sent, the error is ctx's, and nothing was
// stored. When it ends later, the error is [ErrUnknownOutcome] unless the outcome is known.
//
// What cannot be a commit is refused with [ErrInvalid], more than the server
// takes in one message with [ErrTooLarge], and anything with [ErrStoreFull] by a
// full store: nothing was stored. [ErrRefused] is what else the server refuses
// before it stores, and what the connection may not publish. A personal value of
// an erased person is refused with an *[ErasedError]; where the person's key cannot
// be used the error is [ErrMasterKey], [ErrNoKey] or [ErrBrokenSeal].
func (s *Store) Append(ctx context.Context, id StreamID, expect Expectation, events ...Event) (Appended, error) {
	return s.AppendWrite(ctx, Write{Stream: id, Expect: expect, Events: events})
}

// AppendWrite stores one commit with the metadata and the time that the write has. It is
// otherwise like [Store.Append]. A guard made by [Unchanged] is refused with [ErrInvalid],
// because nothing is written that it could protect.
func (s *Store) AppendWrite(ctx context.Context, w Write) (Appended, error) {
	if w.guard {
		return Appended{}, checkGuarded([]Write{w})
	}
	return s.of(w.Stream).append(ctx, w)
}

// AppendAll stores commits of several aggregates, all or none of them. One write
// costs what Append costs; several are one atomic batch, which on a single
// server takes many times as long as one publish whatever its size: put together
// what can wait. With [Unchanged] among the writes, all are stored only while
// the aggregates that it names are unchanged.
//
// In a store of several partitions all the aggregates, those of guards too, must be in
// one of them, as those with the same key are; others are refused with [ErrInvalid] before anything
// is written, and the error says which key is where. See [Partition].
//
// The answers are in the order of the writes. Two writes that name one aggregate
// are refused with [ErrInvalid], and so are more than 1000 writes. Faults change
// nothing here either. A repeated batch of which only a part is recognised is an
// [ErrUnknownOutcome]. More batches than the server takes at a time wait for
// their turn. Errors are those of [Store.Append].
func (s *Store) AppendAll(ctx context.Context, writes ...Write) ([]Appended, error) {
	switch len(writes) {
	case 0:
		return nil, nil
	case 1:
		out, err := s.AppendWrite(ctx, writes[0])
		if err != nil {
			return nil, err
		}
		return []Appended{out}, nil
	}
	part, err := s.together(writes)
	if err != nil {
		return nil, err
	}
	return part.appendBatch(ctx, writes)
}

// append stores one commit and tells the write's owner what became of it.
func (s *Store) append(ctx context.Context, w Write) (Appended, error) {
	began := time.Now()
	ctx, end := s.span(ctx, Span{Operation: OperationAppend, Stream: w.Stream, Events: len(w.Events), Parent: w.Metadata.TraceParent})
	if w.Metadata.TraceParent == "" {
		w.Metadata.TraceParent = s.TraceParent(ctx)
	}
	out, err := s.appendOne(ctx, w)
	end(err)
	s.observer.Appended(AppendInfo{Stream: w.Stream, Events: w.Events, Batch: 1, Took: time.Since(began), Err: err})
	if w.settled != nil {
		w.settled(out, err)
	}
	return out, err
}

func (s *Store) appendOne(ctx context.Context, w Write) (Appended, error) {
	for wait := newPause(); ; {
		base, err := s.base(ctx, w)
		if err != nil {
			return Appended{}, err
		}
		c, err := s.encode(ctx, w, base)
		if err != nil {
			return Appended{}, err
		}
		out, err := s.publish(ctx, c)
		c.release()
		if err == nil || w.Expect.kind != expectAny || !errors.Is(err, ErrConflict) {
			return out, err
		}
		if err := wait.sleep(ctx); err != nil { // Any: another writer was faster
			return Appended{}, fmt.Errorf("esjs: append to %s: %w", w.Stream, err)
		}
	}
}

// base resolves an expectation to the revision that the commit follows.
func (s *Store) base(ctx context.Context, w Write) (Revision, error) {
	id, expect := w.Stream, w.Expect
	if err := checkStream(id); err != nil {
		return Revision{}, err
	}
	if isOwn(id.Category) {
		return Revision{}, fmt.Errorf("%w: the category %q is the store's own", ErrInvalid, id.Category)
	}
	version := expect.version
	switch {
	case expect.kind == expectNoStream:
		return Revision{}, nil
	case expect.kind == expectRevision && expect.revision.window != nil && expect.revision.partition == s.partition:
		return expect.revision, nil
	case expect.kind == expectRevision:
		version = expect.revision.version
	case expect.kind == expectVersion:
		// A replica may lag: only the leader can say that the version is another one.
		if tail, err := s.replicaTail(ctx, id); err == nil && tail.revision.version == version {
			return tail.revision, nil
		}
	}
	// A leader that leads no more says less than is stored: what this store has seen refutes it.
	tail, err := s.leaderTailFrom(ctx, id, s.lastSeen(id))
	switch {
	case err != nil:
		return Revision{}, err
	case expect.kind == expectAny:
		return s.baseOfAny(ctx, w, tail)
	case tail.revision.version == version && (expect.kind == expectVersion || tail.Position == expect.revision.Position()):
		return tail.revision, nil
	}
	return s.baseOfRepeated(ctx, w, tail, version)
}

// publish sends the commit until its outcome is known.
func (s *Store) publish(ctx context.Context, c *outgoing) (Appended, error) {
	for wait := newPause(); ; {
		verdict, revision, err := s.publishOnce(ctx, c)
		switch {
		case err != nil:
			return Appended{}, publishError(err, wait.used, c.stream)
		case verdict == stored:
			s.sawSequence(c.stream, revision.sequence)
			return Appended{Revision: revision, EventIDs: c.eventIDs()}, nil
		}
		if err := wait.sleep(ctx); err != nil {
			return Appended{}, fmt.Errorf("%w: %s: %w", ErrUnknownOutcome, c.stream, err)
		}
	}
}

// publishOnce sends the commit once. Every answer but an ack is settled by the
// aggregate's tail as the leader shows it: a conflict error does not prove that
// nothing was written, because a leader that was paused and came back refuses
// what the real leader stored.
func (s *Store) publishOnce(ctx context.Context, c *outgoing) (verdict, Revision, error) {
	answer, err := s.appends.do(ctx, c.message())
	var unsent *unsentError
	if errors.As(err, &unsent) {
		return pending, Revision{}, unsent
	}
	if denied := (*deniedError)(nil); errors.As(err, &denied) {
		return pending, Revision{}, fmt.Errorf("%w: append to %s: %w", ErrRefused, c.stream, denied)
	}
	if err == nil {
		ack, err := parseAck(answer.Data)
		if err == nil && ack.code == 0 {
			return stored, c.revisionAt(ack.sequence), nil
		}
		if err == nil {
			final := s.finalError(ctx, ack)
			if errors.Is(final, ErrMoved) { // an earlier attempt may be the last one that was taken
				if v, revision, err := s.settle(ctx, c); v == stored || errors.Is(err, ErrConflict) {
					return v, revision, err
				}
			}
			if final != nil {
				return pending, Revision{}, fmt.Errorf("append to %s: %w", c.stream, final)
			}
		}
	}
	return s.settle(ctx, c)
}

// message is the commit as it is published.
func (c *outgoing) message() *nats.Msg {
	header := c.msg.Header
	clear(header)
	c.expect[0] = strconv.FormatUint(c.base.sequence, 10)
	header[headerExpectedLastSubjectSequence] = c.expect[:]
	if c.guards != nil {
		c.expect[0] = strconv.FormatUint(c.guards.since.sequence, 10)
		header[headerExpectedLastSubject] = []string{c.guards.subject}
	}
	header[headerContentType] = contentTypeBatch
	c.msg = nats.Msg{Subject: c.subject, Header: header, Data: c.body}
	return &c.msg
}

const (
	headerExpectedLastSubjectSequence = "Nats-Expected-Last-Subject-Sequence"
	headerExpectedLastSubject         = "Nats-Expected-Last-Subject-Sequence-Subject"
	headerContentType                 = "Content-Type"
)

// contentTypeBatch is shared by all messages and never written to.
var contentTypeBatch = []string{"application/cloudevents-batch+json"}

// publishError gives the error that ended a publish its meaning. On the first
// attempt nothing can be stored; later an earlier attempt may still be under
// way, and only a conflict is final.
func publishError(err error, again bool, what fmt.Stringer) error {
	var unsent *unsentError
	switch {
	case err == nil, errors.Is(err, ErrConflict), errors.Is(err, ErrUnknownOutcome):
		return err
	case again:
		return fmt.Errorf("%w: %s: an earlier attempt got no answer, and then: %s", ErrUnknownOutcome, what, err.Error()) // not matched as the refusal: it is none
	case !errors.As(err, &unsent):
		return err
	case isContextError(unsent.err):
		return fmt.Errorf("esjs: append to %s: nothing was sent: %w", what, unsent.err)
	case errors.Is(unsent.err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %s: %w", ErrTooLarge, what, unsent.err)
	}
	return fmt.Errorf("%w: append to %s was not sent: %w", ErrRefused, what, unsent.err)
}

// pause is a growing, jittered wait: 1 to 4 ms first, at most 255 ms.
type pause struct {
	next time.Duration
	used bool
}

func newPause() *pause { return &pause{next: 2500 * time.Microsecond} }

func (p *pause) sleep(ctx context.Context) error {
	p.used = true
	wait := p.next/2 + rand.N(p.next)
	p.next = min(2*p.next, 170*time.Millisecond)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
