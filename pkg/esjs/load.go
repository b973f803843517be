package esjs

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
	past    bool
	asOf    time.Time // where past
	fresh   bool
	cached  bool
}

// AtVersion loads the aggregate as it was after event n; [ErrNotFound] when it
// has fewer. 0 means now.
func AtVersion(n uint64) LoadOption { return func(o *loadOptions) { o.version = n } }

// AsOf loads the aggregate as it was at t: before its first event it is the zero state. With [AtVersion] it
// is the older of the two.
func AsOf(t time.Time) LoadOption { return func(o *loadOptions) { o.past, o.asOf = true, t } }

// Fresh asks the leader instead of a replica, also for the past that [AsOf] and [AtVersion] select.
func Fresh() LoadOption { return func(o *loadOptions) { o.fresh = true } }

// Cached answers from the handler's cache, however old, and asks nobody; what is
// not in it is loaded. With any other option it is ignored.
func Cached() LoadOption { return func(o *loadOptions) { o.cached = true } }

// Load returns the aggregate's state: what a fold of all its events gives,
// wherever its snapshot stands. It is the zero state and revision when there are
// no events. A snapshot that cannot be used only costs time, and one of more than
// the leader has is a *[CorruptError].
//
// Without options it asks any replica for what is new: it may lack what that has not
// received yet, but nothing that this store has appended or seen. [Fresh] is as new as
// the leader; [Cached] may be of any age. [AtVersion] and [AsOf] are the aggregate as
// it was. It leaves nothing behind on the server.
//
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
	case o.version != 0 || o.past:
		f, err = h.observed(ctx, id, LoadedFromPast, func(ctx context.Context, info *LoadInfo) (*folded[S], error) {
			return h.loadPast(ctx, id, o, info)
		})
	case o.fresh:
		f, err = h.refresh(ctx, id)
	case o.cached:
		f, err = h.current(ctx, id)
	default:
		f, err = h.renewed(ctx, id)
	}
	if err != nil {
		return Loaded[S]{}, err
	}
	return Loaded[S]{Stream: id, State: f.state, Revision: f.revision, Time: f.revision.time}, nil
}

// current returns the cached aggregate, or loads it.
func (h *CommandHandler[S, C, E]) current(ctx context.Context, id StreamID) (*folded[S], error) {
	f, err := h.cached(ctx, id)
	if err != nil {
		return nil, err
	}
	if f != nil {
		h.store.observer.Loaded(LoadInfo{Stream: id, Source: LoadedFromCache})
		return f, nil
	}
	if f, err = h.load(ctx, id); err != nil {
		return nil, err
	}
	return h.remember(id, f), nil
}

// renewed brings the cached aggregate to what a replica has, or loads it.
func (h *CommandHandler[S, C, E]) renewed(ctx context.Context, id StreamID) (*folded[S], error) {
	known, err := h.cached(ctx, id)
	if err != nil {
		return nil, err
	}
	if known == nil {
		if known, err = h.load(ctx, id); err != nil {
			return nil, err
		}
		return h.remember(id, known), nil
	}
	return h.observed(ctx, id, LoadedFromReplica, func(ctx context.Context, info *LoadInfo) (*folded[S], error) {
		part := h.store.of(id)
		seen := max(known.revision.sequence, part.lastSeen(id)) // before the replica is asked
		tail, err := part.replicaTail(ctx, id)
		if tail, err = part.orLeader(ctx, id, seen, tail, err); err != nil {
			return nil, err
		}
		if tail.Position.sequence == known.revision.sequence {
			return known, nil // and not back into the cache, from which an erasure may have removed it
		}
		return h.upTo(ctx, id, known, tail, info)
	})
}

// observed loads inside a span and tells the observer how that ended.
func (h *CommandHandler[S, C, E]) observed(
	ctx context.Context, id StreamID, source LoadSource, load func(context.Context, *LoadInfo) (*folded[S], error),
) (*folded[S], error) {
	info := LoadInfo{Stream: id, Source: source}
	began := time.Now()
	ctx, end := h.store.span(ctx, Span{Operation: OperationLoad, Stream: id})
	f, err := load(ctx, &info)
	end(err)
	info.Took, info.Err = time.Since(began), err
	h.store.observer.Loaded(info)
	return f, err
}

func (h *CommandHandler[S, C, E]) load(ctx context.Context, id StreamID) (*folded[S], error) {
	return h.observed(ctx, id, LoadedFromLog, func(ctx context.Context, info *LoadInfo) (*folded[S], error) {
		return h.loadCold(ctx, id, info)
	})
}

// loadCold reads the aggregate in one round trip when its snapshot is current: the
// last commit and the snapshot at the same time; in a second one the commits in
// between. A replica that is behind what this process has seen is passed over
// for the leader.
func (h *CommandHandler[S, C, E]) loadCold(ctx context.Context, id StreamID, info *LoadInfo) (*folded[S], error) {
	part := h.store.of(id)
	tail, snapshot, err := h.read(ctx, part, id)
	seen := part.lastSeen(id)
	if snapshot != nil && snapshot.sealed != nil {
		snapshot = h.snapshots.open(ctx, id, snapshot)
	}
	if snapshot != nil {
		info.Source = LoadedFromSnapshot
		seen = max(seen, snapshot.revision.sequence)
	}
	if tail, err = part.orLeader(ctx, id, seen, tail, err); err != nil {
		return nil, err
	}
	return h.catchUp(ctx, id, snapshot, tail, info)
}

// orLeader is what a replica has answered, or the leader's tail where that failed or is
// behind the sequence that was seen.
func (s *Store) orLeader(ctx context.Context, id StreamID, seen uint64, tail Commit, err error) (Commit, error) {
	if err != nil && (permanent(err) || ctx.Err() != nil) {
		return Commit{}, err
	}
	if err != nil || tail.Position.sequence < seen {
		if tail, err = s.leaderTailFrom(ctx, id, seen); err != nil {
			return Commit{}, err
		}
	}
	s.sawSequence(id, tail.Position.sequence)
	return tail, nil
}

// read asks for the last commit and the snapshot at the same time. A snapshot
// that cannot be read or used is nil: it only costs time.
func (h *CommandHandler[S, C, E]) read(ctx context.Context, part *Store, id StreamID) (tail Commit, snapshot *folded[S], err error) {
	c, err := part.reader().begin()
	if err != nil {
		return Commit{}, nil, err
	}
	defer c.end()
	const tailTag, snapshotTag = 0, 1
	if err := c.send(ctx, part.lastRequest(id), tailTag); err != nil {
		return Commit{}, nil, err
	}
	waiting := 1
	if h.snapshots != nil {
		if err := c.send(ctx, h.snapshots.request(id), snapshotTag); err != nil {
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
			snapshot = h.snapshots.decode(id, msg)
		case tag == tailTag && answerErr == nil:
			tail, err = part.tailFrom(id, msg)
		case tag == tailTag:
			err = answerErr
		}
	}
	return tail, snapshot, err
}

// catchUp folds the commits between from (nil: the beginning) and tail.
func (h *CommandHandler[S, C, E]) catchUp(ctx context.Context, id StreamID, from *folded[S], tail Commit, info *LoadInfo) (*folded[S], error) {
	if from == nil {
		from = &folded[S]{}
		info.Source = LoadedFromLog
	}
	after, proven := from.revision.sequence, "" // what this process folded itself is of this log
	if info.Source == LoadedFromSnapshot && after > 0 && !from.own {
		proven = from.commit
	}
	if tail.Position.sequence == after {
		if tail.revision.version != from.revision.version || proven != "" && tail.Records[0].ID != proven {
			return h.catchUp(ctx, id, nil, tail, info) // a snapshot that is not of this log
		}
		f := *from
		f.revision = tail.revision // with the window that the next commit carries
		return &f, nil
	}
	commits, err := h.store.of(id).history(ctx, tail, after, proven)
	switch {
	case errors.Is(err, errOffChain) && after != 0:
		return h.catchUp(ctx, id, nil, tail, info)
	case errors.Is(err, errOffChain):
		return nil, &CorruptError{Stream: id, Position: tail.Position, Reason: err.Error()}
	case err != nil:
		return nil, err
	}
	if first := commits[0].Records[0].Version; first != from.revision.version+1 {
		if after != 0 {
			return h.catchUp(ctx, id, nil, tail, info)
		}
		return nil, &CorruptError{
			Stream: id, Position: commits[0].Position,
			Reason: fmt.Sprintf("the first version is %d", first),
		}
	}
	f, began := *from, time.Now()
	if err := h.store.revealCommits(ctx, commits); err != nil {
		return nil, err
	}
	info.Commits = len(commits)
	for _, c := range commits {
		if f, err = h.agg.apply(f, c); err != nil {
			return nil, err
		}
	}
	f.commit = strings.Clone(tail.Records[0].ID) // and not all other texts of its event
	f.persons = f.persons.since(began)
	return &f, nil
}

// refresh brings the cached aggregate to what the leader has.
func (h *CommandHandler[S, C, E]) refresh(ctx context.Context, id StreamID) (*folded[S], error) {
	known, err := h.cached(ctx, id)
	if err != nil {
		return nil, err
	}
	if known == nil {
		if known, err = h.load(ctx, id); err != nil {
			return nil, err
		}
		known = h.remember(id, known)
	}
	return h.refreshFrom(ctx, id, known)
}

// refreshFrom brings known to what the leader has; known itself when nothing is new.
func (h *CommandHandler[S, C, E]) refreshFrom(ctx context.Context, id StreamID, known *folded[S]) (*folded[S], error) {
	return h.observed(ctx, id, LoadedFromLeader, func(ctx context.Context, info *LoadInfo) (*folded[S], error) {
		return h.fromLeader(ctx, id, known, info)
	})
}

func (h *CommandHandler[S, C, E]) fromLeader(ctx context.Context, id StreamID, known *folded[S], info *LoadInfo) (*folded[S], error) {
	// Asked before the leader is: what is stored meanwhile is not missing there.
	part := h.store.of(id)
	seen := max(known.revision.sequence, part.lastSeen(id))
	tail, err := part.leaderTailFrom(ctx, id, seen)
	if err != nil {
		return nil, err
	}
	if tail.Position.sequence == known.revision.sequence {
		return known, nil // and not back into the cache, from which an erasure may have removed it
	}
	return h.upTo(ctx, id, known, tail, info)
}

// upTo brings known to a tail of which it has less, and remembers it.
func (h *CommandHandler[S, C, E]) upTo(ctx context.Context, id StreamID, known *folded[S], tail Commit, info *LoadInfo) (*folded[S], error) {
	f, err := h.catchUp(ctx, id, known, tail, info)
	if err != nil {
		return nil, err
	}
	return h.remember(id, f), nil
}

// tail returns the aggregate's last commit from a replica, or from the leader
// when the replica is behind what this process has seen or has less than the
// version that is asked for, and at least one.
func (s *Store) tail(ctx context.Context, id StreamID, version uint64) (Commit, error) {
	seen := s.lastSeen(id) // before anybody is asked: what is stored meanwhile is not missing there
	tail, err := s.replicaTail(ctx, id)
	if err == nil && tail.revision.version < max(version, 1) {
		return s.leaderTailFrom(ctx, id, seen)
	}
	return s.orLeader(ctx, id, seen, tail, err)
}
