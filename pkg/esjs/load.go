package esjs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// Loaded is an aggregate as it was read. State must not be changed.
type Loaded[S any] struct {
	Stream   StreamID
	State    S
	Revision Revision
	Time     time.Time // of the last event; zero when there is none
}

// LoadOption changes one call of Load.
type LoadOption func(*loadOptions)

type loadOptions struct {
	version uint64
	asOf    time.Time
	fresh   bool
}

// AtVersion loads the aggregate as it was after event n; [ErrNotFound] when it
// has fewer. 0 means now.
func AtVersion(n uint64) LoadOption { return func(o *loadOptions) { o.version = n } }

// AsOf loads the aggregate as it was at t.
func AsOf(t time.Time) LoadOption { return func(o *loadOptions) { o.asOf = t } }

// Fresh asks the leader instead of the cache or a replica.
func Fresh() LoadOption { return func(o *loadOptions) { o.fresh = true } }

// Load returns the aggregate's state; the zero state and revision when it has
// no events. Without options it may be as old as the cache or a lagging replica.
// Errors: [ErrNotFound] for a version that is not there, *[CorruptError],
// *[DecodeError], and what the connection says.
func (h *CommandHandler[S, C, E]) Load(ctx context.Context, key string, opts ...LoadOption) (Loaded[S], error) {
	var o loadOptions
	for _, opt := range opts {
		opt(&o)
	}
	id, err := h.stream(key)
	if err != nil {
		return Loaded[S]{}, err
	}
	var f *folded[S]
	switch {
	case o.version != 0 || !o.asOf.IsZero():
		f, err = h.loadPast(ctx, id, o)
	case o.fresh:
		f, err = h.refresh(ctx, id)
	default:
		f, err = h.current(ctx, id)
	}
	if err != nil {
		return Loaded[S]{}, err
	}
	return Loaded[S]{Stream: id, State: f.state, Revision: f.revision, Time: f.revision.time}, nil
}

// loadPast folds the aggregate up to a version or a moment. Event times never
// decrease within an aggregate, so both cut the history in two.
func (h *CommandHandler[S, C, E]) loadPast(ctx context.Context, id StreamID, o loadOptions) (*folded[S], error) {
	tail, err := h.store.tail(ctx, id, o.version)
	if err != nil {
		return nil, err
	}
	f := folded[S]{}
	if tail.revision.version == 0 {
		return h.atVersion(id, &f, o.version)
	}
	commits, err := h.store.history(ctx, tail, 0)
	if err != nil {
		return nil, err
	}
	for _, c := range commits {
		whole := len(c.Records)
		for i, r := range c.Records {
			if (o.version != 0 && r.Version > o.version) || (!o.asOf.IsZero() && r.Time.After(o.asOf)) {
				c.Records = c.Records[:i]
				break
			}
		}
		if len(c.Records) == 0 {
			break
		}
		if len(c.Records) < whole { // a version inside a commit, which nothing can follow
			last := c.Records[len(c.Records)-1]
			c.revision.version, c.revision.time, c.revision.window = last.Version, last.Time, nil
		}
		if f, err = h.agg.apply(f, c); err != nil {
			return nil, err
		}
		if len(c.Records) < whole {
			break
		}
	}
	return h.atVersion(id, &f, o.version)
}

func (h *CommandHandler[S, C, E]) atVersion(id StreamID, f *folded[S], version uint64) (*folded[S], error) {
	if f.revision.version < version {
		return nil, fmt.Errorf("%w: %s has %d events, there is no version %d", ErrNotFound, id, f.revision.version, version)
	}
	return f, nil
}

// current returns the cached aggregate, or loads it.
func (h *CommandHandler[S, C, E]) current(ctx context.Context, id StreamID) (*folded[S], error) {
	if f, ok := h.cache.Get(id.Key); ok {
		return f, nil
	}
	f, err := h.load(ctx, id)
	if err != nil {
		return nil, err
	}
	return h.remember(id, f), nil
}

// load reads the aggregate in one round trip when its snapshot is current: the
// last commit and the snapshot at the same time; in a second one the commits in
// between. A replica that is behind what this process has seen is passed over
// for the leader.
func (h *CommandHandler[S, C, E]) load(ctx context.Context, id StreamID) (*folded[S], error) {
	tail, snapshot, err := h.read(ctx, id)
	if err != nil && (permanent(err) || ctx.Err() != nil) {
		return nil, err
	}
	seen := h.store.lastSeen(id)
	if snapshot != nil {
		seen = max(seen, snapshot.revision.sequence)
	}
	if err != nil || tail.Position.sequence < seen {
		if tail, err = h.store.leaderTail(ctx, id); err != nil {
			return nil, err
		}
		if tail.Position.sequence < seen {
			return nil, behindError(id, tail, seen)
		}
	}
	h.store.sawSequence(id, tail.Position.sequence)
	return h.catchUp(ctx, id, snapshot, tail)
}

// read asks for the last commit and the snapshot at the same time. A snapshot
// that cannot be read or used is nil: it only costs time.
func (h *CommandHandler[S, C, E]) read(ctx context.Context, id StreamID) (tail Commit, snapshot *folded[S], err error) {
	c, err := h.store.reader().begin()
	if err != nil {
		return Commit{}, nil, err
	}
	defer c.end()
	const tailTag, snapshotTag = 0, 1
	if err := c.send(h.store.lastRequest(id), tailTag); err != nil {
		return Commit{}, nil, err
	}
	waiting := 1
	if h.snapshots != nil {
		if err := c.send(h.snapshots.request(id), snapshotTag); err != nil {
			return Commit{}, nil, err
		}
		waiting++
	}
	c.wait()
	for ; waiting > 0; waiting-- {
		tag, msg, answerErr := c.next(ctx)
		switch {
		case answerErr != nil && !errors.Is(answerErr, nats.ErrNoResponders):
			return Commit{}, snapshot, answerErr
		case tag == snapshotTag && answerErr == nil:
			snapshot = h.snapshots.decode(msg)
		case tag == tailTag && answerErr == nil:
			tail, err = h.store.tailFrom(id, msg)
		case tag == tailTag:
			err = answerErr
		}
	}
	return tail, snapshot, err
}

// behindError: the leader has less than what was stored and read before.
func behindError(id StreamID, tail Commit, seen uint64) error {
	return &CorruptError{
		Stream:   id,
		Position: Position{sequence: seen},
		Reason:   fmt.Sprintf("the leader's last commit is %s, but a later one was stored", tail.Position),
	}
}

// catchUp folds the commits between from (nil: the beginning) and tail.
func (h *CommandHandler[S, C, E]) catchUp(ctx context.Context, id StreamID, from *folded[S], tail Commit) (*folded[S], error) {
	if from == nil {
		from = &folded[S]{}
	}
	after := from.revision.sequence
	if tail.Position.sequence == after {
		if tail.revision.version != from.revision.version {
			return h.catchUp(ctx, id, nil, tail) // a snapshot that is not of this log
		}
		f := *from
		f.revision = tail.revision // with the window that the next commit carries
		return &f, nil
	}
	commits, err := h.store.history(ctx, tail, after)
	switch {
	case errors.Is(err, errOffChain) && after != 0:
		return h.catchUp(ctx, id, nil, tail)
	case errors.Is(err, errOffChain):
		return nil, &CorruptError{Stream: id, Position: tail.Position, Reason: err.Error()}
	case err != nil:
		return nil, err
	}
	if first := commits[0].Records[0].Version; first != from.revision.version+1 {
		if after != 0 {
			return h.catchUp(ctx, id, nil, tail)
		}
		return nil, &CorruptError{
			Stream: id, Position: commits[0].Position,
			Reason: fmt.Sprintf("the first version is %d", first),
		}
	}
	f := *from
	for _, c := range commits {
		if f, err = h.agg.apply(f, c); err != nil {
			return nil, err
		}
	}
	return &f, nil
}

// refresh brings the cached aggregate to what the leader has.
func (h *CommandHandler[S, C, E]) refresh(ctx context.Context, id StreamID) (*folded[S], error) {
	known, ok := h.cache.Get(id.Key)
	if !ok {
		f, err := h.load(ctx, id)
		if err != nil {
			return nil, err
		}
		known = f
	}
	return h.refreshFrom(ctx, id, known)
}

// refreshFrom brings known to what the leader has; known itself when nothing is new.
func (h *CommandHandler[S, C, E]) refreshFrom(ctx context.Context, id StreamID, known *folded[S]) (*folded[S], error) {
	// Asked before the leader is: what is stored meanwhile is not missing there.
	seen := max(known.revision.sequence, h.store.lastSeen(id))
	tail, err := h.store.leaderTail(ctx, id)
	if err != nil {
		return nil, err
	}
	if tail.Position.sequence < seen {
		return nil, behindError(id, tail, seen)
	}
	if tail.Position.sequence == known.revision.sequence {
		h.remember(id, known)
		return known, nil
	}
	f, err := h.catchUp(ctx, id, known, tail)
	if err != nil {
		return nil, err
	}
	return h.remember(id, f), nil
}

// tail returns the aggregate's last commit from a replica, or from the leader
// when the replica is behind what this process has seen or has less than the
// version that is asked for, and at least one.
func (s *Store) tail(ctx context.Context, id StreamID, version uint64) (Commit, error) {
	tail, err := s.replicaTail(ctx, id)
	if err == nil && tail.Position.sequence >= s.lastSeen(id) && tail.revision.version >= max(version, 1) {
		s.sawSequence(id, tail.Position.sequence)
		return tail, nil
	}
	if err != nil && permanent(err) {
		return Commit{}, err
	}
	return s.leaderTail(ctx, id)
}
