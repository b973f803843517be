package esjs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// maxBatch is the server's limit of messages in one atomic batch.
const maxBatch = 1000

const (
	headerBatchID       = "Nats-Batch-Id"
	headerBatchSequence = "Nats-Batch-Sequence"
	headerBatchCommit   = "Nats-Batch-Commit"
)

// appendBatch stores the writes as one atomic batch and tells their owners.
func (s *Store) appendBatch(ctx context.Context, writes []Write) ([]Appended, error) {
	began := time.Now()
	span := Span{Operation: OperationAppend}
	for _, w := range writes {
		span.Events += len(w.Events)
	}
	ctx, end := s.span(ctx, span)
	out, err := s.storeBatch(ctx, withTrace(writes, s.TraceParent(ctx)))
	end(err)
	took := time.Since(began)
	for i, w := range writes {
		if !w.guard {
			s.observer.Appended(AppendInfo{Stream: w.Stream, Events: w.Events, Batch: len(writes), Took: took, Err: err})
		}
		if w.settled == nil {
			continue
		}
		if err != nil {
			w.settled(Appended{}, err)
		} else {
			w.settled(out[i], nil)
		}
	}
	return out, err
}

// withTrace gives the writes that have none a trace context.
func withTrace(writes []Write, traceParent string) []Write {
	if traceParent == "" {
		return writes
	}
	writes = slices.Clone(writes) // the caller's
	for i := range writes {
		if writes[i].Metadata.TraceParent == "" {
			writes[i].Metadata.TraceParent = traceParent
		}
	}
	return writes
}

func (s *Store) storeBatch(ctx context.Context, writes []Write) ([]Appended, error) {
	if len(writes) > maxBatch {
		return nil, fmt.Errorf("%w: %d aggregates in one AppendAll; the server takes at most %d", ErrInvalid, len(writes), maxBatch)
	}
	named := make(map[StreamID]bool, len(writes))
	for _, w := range writes {
		if named[w.Stream] {
			return nil, fmt.Errorf("%w: two writes name %s in one AppendAll; put their events into one write, whose expectation is its guard", ErrInvalid, w.Stream)
		}
		named[w.Stream] = true
	}
	if err := checkGuarded(writes); err != nil {
		return nil, err
	}
	for wait := newPause(); ; {
		out, err := s.tryBatch(ctx, writes)
		var conflict *ConflictError
		if err == nil || !errors.As(err, &conflict) || !expectsAny(writes, conflict.Stream) {
			return out, err
		}
		if err := wait.sleep(ctx); err != nil {
			return nil, fmt.Errorf("esjs: append to %d aggregates: %w", len(writes), err)
		}
	}
}

// tryBatch resolves the expectations and stores the batch that follows them.
func (s *Store) tryBatch(ctx context.Context, writes []Write) ([]Appended, error) {
	commits := make([]*outgoing, len(writes))
	defer func() {
		for _, c := range commits {
			if c != nil {
				c.release()
			}
		}
	}()
	for i, w := range writes {
		if w.guard {
			continue
		}
		base, err := s.base(ctx, w)
		if err != nil {
			return nil, err
		}
		if commits[i], err = s.encode(ctx, w, base); err != nil {
			return nil, err
		}
	}
	if err := s.encodeGuards(ctx, writes, commits); err != nil {
		return nil, err
	}
	return s.publishBatch(ctx, commits)
}

func expectsAny(writes []Write, id StreamID) bool {
	for _, w := range writes {
		if w.Stream == id {
			return w.Expect.kind == expectAny
		}
	}
	return false
}

// publishBatch sends the batch until its outcome is known.
func (s *Store) publishBatch(ctx context.Context, commits []*outgoing) ([]Appended, error) {
	select {
	case s.batches <- struct{}{}:
		defer func() { <-s.batches }()
	case <-ctx.Done():
		return nil, fmt.Errorf("esjs: append to %d aggregates: nothing was sent: %w", len(commits), ctx.Err())
	}
	began := time.Now()
	for wait, partly := newPause(), 0; ; {
		out, err := s.publishBatchOnce(ctx, commits)
		if errors.Is(err, errPartly) {
			if partly++; partly < partlyAttempts {
				err = nil
			}
		}
		if err != nil || out != nil {
			return out, publishError(err, wait.used, batchName(len(commits)))
		}
		// Without one of its messages this attempt was not stored.
		if denied := s.appends.deniedSince(began); denied != nil && slices.ContainsFunc(commits, func(c *outgoing) bool { return c.subject == denied.subject }) {
			err := fmt.Errorf("%w: append to %d aggregates: %w", ErrRefused, len(commits), denied)
			return nil, publishError(err, wait.used, batchName(len(commits)))
		}
		if err := wait.sleep(ctx); err != nil {
			return nil, fmt.Errorf("%w: %d aggregates: %w", ErrUnknownOutcome, len(commits), err)
		}
	}
}

// publishBatchOnce sends the batch once. Nil and no error: not stored so far.
func (s *Store) publishBatchOnce(ctx context.Context, commits []*outgoing) ([]Appended, error) {
	id := []string{uuid.NewString()}
	last := len(commits) - 1
	for i, c := range commits[:last] {
		msg := c.message()
		msg.Header[headerBatchID] = id
		msg.Header[headerBatchSequence] = []string{strconv.Itoa(i + 1)}
		if err := s.appends.publish(ctx, msg); errors.Is(err, errDisconnected) {
			return s.settleBatch(ctx, commits)
		} else if err != nil {
			return nil, err // without its last message the server drops the batch
		}
	}
	msg := commits[last].message()
	msg.Header[headerBatchID] = id
	msg.Header[headerBatchSequence] = []string{strconv.Itoa(last + 1)}
	msg.Header[headerBatchCommit] = []string{"1"}
	answer, err := s.appends.do(ctx, msg)
	var unsent *unsentError
	if errors.As(err, &unsent) {
		return nil, unsent
	}
	if err == nil {
		ack, err := parseAck(answer.Data)
		if err == nil && ack.code == 0 {
			// The messages of a batch get neighbouring sequences; the ack names the last.
			return s.batchStored(commits, func(i int) Revision {
				return commits[i].revisionAt(ack.sequence - uint64(last-i))
			}), nil
		}
		if err == nil {
			if final := s.finalError(ctx, ack); final != nil {
				return nil, fmt.Errorf("append to %d aggregates: %w", len(commits), final)
			}
		}
	}
	return s.settleBatch(ctx, commits)
}

// settleBatch settles each commit. One that is stored proves that all are, one
// that has lost proves that none is. Guards are looked at when no commit has
// been stored or has lost.
func (s *Store) settleBatch(ctx context.Context, commits []*outgoing) ([]Appended, error) {
	revisions := make([]Revision, len(commits))
	found, own := 0, 0
	for i, c := range commits {
		if c.guards != nil {
			continue
		}
		own++
		v, revision, err := s.settle(ctx, c)
		if err != nil {
			return nil, err
		}
		if v == stored {
			revisions[i] = revision
			found++
		}
	}
	switch found {
	case own:
		return s.batchStored(commits, func(i int) Revision { return revisions[i] }), nil
	case 0:
		return nil, s.settleGuards(ctx, commits)
	}
	// Stored between the reads of the first and the last tail: settled next time.
	return nil, errPartly
}

// errPartly: some commits of a batch are stored and others are not, or are not
// recognised. When that stays so the batch is one that was stored long ago, or shares
// its command id with another write: it can be stored neither now nor later.
var errPartly = fmt.Errorf("%w: a part of the batch is stored, and nothing is known of the rest", ErrUnknownOutcome)

// partlyAttempts is how often that may be found: for about half a second.
const partlyAttempts = 8

// batchName names a batch in errors.
type batchName int

func (n batchName) String() string { return strconv.Itoa(int(n)) + " aggregates" }

func (s *Store) batchStored(commits []*outgoing, revision func(int) Revision) []Appended {
	out := make([]Appended, len(commits))
	for i, c := range commits {
		if c.guards != nil {
			out[i] = Appended{Revision: c.guards.since}
			continue
		}
		out[i] = Appended{Revision: revision(i), EventIDs: c.eventIDs()}
		s.sawSequence(c.stream, out[i].Revision.sequence)
	}
	return out
}
