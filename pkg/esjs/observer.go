package esjs

import (
	"context"
	"errors"
	"time"
)

// Observer is told what a store and everything on it does: a binding to metrics
// and logs implements it. Package esjsprom has one for Prometheus.
//
// Methods are called concurrently and on the path of what they tell of: they
// must not block, and must not change or keep what they are given. An
// implementation embeds [NopObserver], so that it still compiles, and does
// nothing, when a later version tells of more.
type Observer interface {
	// Handles is called when a command handler of a category is made, before it does
	// anything: what is rare can be shown as 0 before it happens for the first time.
	Handles(category string)
	// Appended is called after every commit of [Store.Append], [Store.AppendWrite], [Store.AppendAll] and
	// command handlers, when its outcome is known or it has failed.
	Appended(AppendInfo)
	// Settled is called when a publish got no ack and the leader was asked what
	// became of the commit. An append may be settled several times.
	Settled(id StreamID, found Settlement)
	// Loaded is called after every load of an aggregate by a command handler.
	Loaded(LoadInfo)
	// SnapshotStored is called after every attempt of a command handler to store a snapshot of an
	// aggregate, and for each that it has given up because too many wait.
	SnapshotStored(SnapshotInfo)
	// Decided is called after every call of [CommandHandler.Handle], also by a process.
	Decided(DecisionInfo)
	// Connected tells that one of the store's connections, named as in [Dial],
	// is there, was lost, or is there again.
	Connected(connection string, connected bool)

	// Handled is called after every call of a subscription's handler and every
	// transaction of a projection; err is what it returned, or nil, as an *[EventError] where it
	// failed at an event: a batch's are joined, one for each commit. A panic of
	// the handler is an error. A projection waits for a sink that is unavailable: each
	// attempt to open it, and each of a transaction, is told, and what else it cannot be
	// asked once a second. It is also called, with an error, for what is parked because it
	// cannot be decoded, of which no handler is told, and when a key that is to be
	// parked waits because that could not be stored, once a second until it is; and, with an
	// [ErrUnavailable], once a second while nothing was heard for 10 s of the stream that is to be read.
	Handled(subscription string, took time.Duration, err error)
	// Lag is called about once a second: how many commits are delivered or
	// stored and not finished, and the age of the oldest of them that was delivered.
	Lag(subscription string, events uint64, behind time.Duration)
	// ParkedKeys is called when the number of parked keys changes.
	ParkedKeys(subscription string, n int)
	// Active tells that this instance became, or no longer is, the one that
	// handles a leased subscription, or of several partitions one that handles any;
	// also, once and with false, that it stands by because it found another one active.
	Active(subscription string, active bool)
	// Stopped is called when a subscription or projection has ended in this instance, for
	// whatever reason, and is the last that is told of it unless it is started again.
	Stopped(subscription string)
	// Fenced tells that this instance had to stop handling a leased subscription, because
	// its lease was not renewed in time: nothing can be stored, or another instance has
	// taken over. Active is told when this instance has the lease again, or finds another's.
	Fenced(subscription string)
	// WindowFull tells that delivery waits, or goes on, because as many
	// commits as the window allows are delivered and not finished.
	WindowFull(subscription string, full bool)
	// TimerLate is called before a fired timer is handled: how much later than
	// its time the server fired it.
	TimerLate(subscription string, late time.Duration)
	// Unexpected is called for a pair of state and input that the process does
	// not know; see [UnexpectedError].
	Unexpected(process, state, input string)
}

// AppendInfo tells how the append of one commit ended.
type AppendInfo struct {
	Stream StreamID
	Events []Event
	Batch  int // commits that were stored together, or not at all; 1 for an append alone
	Took   time.Duration
	Err    error // those of [Store.Append]; nil: stored
}

// Settlement is what the leader's log says of a commit whose publish got no ack.
type Settlement string

// The settlements of a commit.
const (
	SettledStored   Settlement = "stored"   // only the ack was lost
	SettledConflict Settlement = "conflict" // another commit stands in its place
	SettledOpen     Settlement = "open"     // not stored so far: it is published again
	SettledUnknown  Settlement = "unknown"  // the leader could not be asked
)

// LoadInfo tells how a load ended.
type LoadInfo struct {
	Stream  StreamID
	Source  LoadSource
	Commits int // that were read and folded
	Took    time.Duration
	Err     error
}

// LoadSource is where the state of a load came from.
type LoadSource string

// The sources of a load.
const (
	LoadedFromCache    LoadSource = "cache"    // the handler's, without asking the server
	LoadedFromSnapshot LoadSource = "snapshot" // a stored snapshot, and the commits after it
	LoadedFromLog      LoadSource = "log"      // all of the aggregate's commits
	LoadedFromReplica  LoadSource = "replica"  // what was cached, brought up to what a replica has
	LoadedFromLeader   LoadSource = "leader"   // what was known, brought up to what the leader has
	LoadedFromPast     LoadSource = "past"     // the commits up to a version or a moment
)

// SnapshotInfo tells what became of a snapshot. One that was not stored only costs time: the
// aggregate is loaded from an older one, or from all of its commits, until the next one is due.
type SnapshotInfo struct {
	Stream StreamID
	Took   time.Duration // of encoding and storing it; not of waiting for those before it
	// Err is nil when the snapshot, or a newer one, is stored. [ErrTooLarge]: the state is larger than the
	// server's max_payload. [ErrStoreFull]: the bucket is at its limit, see [MaxBytes]. [ErrRefused]: the connection may
	// not write there, or the bucket is not as it must be. [ErrUnavailable]: the bucket has not answered for
	// 5 s, or 4096 snapshots wait for the bucket already. An *[ErasedError] is no fault: a person was erased whose values
	// the state had. Any other says why the state cannot be encoded; one that was folded from
	// values of more than 256 persons is not stored.
	Err error
}

// DecisionInfo tells how a command ended.
type DecisionInfo struct {
	Stream   StreamID
	Attempts int  // of deciding; above 1 when another writer was faster, or the state was old
	Events   int  // that were stored
	Repeated bool // the command, or the input of the process, was handled before
	Took     time.Duration
	Err      error // those of [CommandHandler.Handle]
}

// Outcome names what an error of this package means in one word, for the labels
// of metrics and traces: "ok" for nil, "rejected", "conflict", "unknown", "full",
// "too_large", "invalid", "reused", "refused", "not_found", "corrupt", "decode",
// "erased", "unavailable", "config", "canceled", "deadline", and "error" for all others.
func Outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, new(*Rejection)):
		return "rejected"
	case errors.Is(err, ErrUnknownOutcome): // before what it wraps
		return "unknown"
	case errors.Is(err, ErrConflict):
		return "conflict"
	case errors.Is(err, ErrStoreFull):
		return "full"
	case errors.Is(err, ErrTooLarge):
		return "too_large"
	case errors.Is(err, ErrInvalid):
		return "invalid"
	case errors.Is(err, ErrCommandReused):
		return "reused"
	case errors.Is(err, ErrRefused):
		return "refused"
	case errors.Is(err, ErrNotFound):
		return "not_found"
	case errors.As(err, new(*CorruptError)):
		return "corrupt"
	case errors.As(err, new(*DecodeError)):
		return "decode"
	case errors.As(err, new(*ErasedError)):
		return "erased"
	case errors.Is(err, ErrUnavailable):
		return "unavailable"
	case errors.Is(err, ErrConfig):
		return "config"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline"
	}
	return "error"
}

// NopObserver is an [Observer] that does nothing.
type NopObserver struct{}

var _ Observer = NopObserver{}

// Handles does nothing, and so do the other methods.
func (NopObserver) Handles(string) {}

// Appended does nothing.
func (NopObserver) Appended(AppendInfo) {}

// Settled does nothing.
func (NopObserver) Settled(StreamID, Settlement) {}

// Loaded does nothing.
func (NopObserver) Loaded(LoadInfo) {}

// SnapshotStored does nothing.
func (NopObserver) SnapshotStored(SnapshotInfo) {}

// Decided does nothing.
func (NopObserver) Decided(DecisionInfo) {}

// Connected does nothing.
func (NopObserver) Connected(string, bool) {}

// Handled does nothing.
func (NopObserver) Handled(string, time.Duration, error) {}

// Lag does nothing.
func (NopObserver) Lag(string, uint64, time.Duration) {}

// ParkedKeys does nothing.
func (NopObserver) ParkedKeys(string, int) {}

// Active does nothing.
func (NopObserver) Active(string, bool) {}

// Stopped does nothing.
func (NopObserver) Stopped(string) {}

// Fenced does nothing.
func (NopObserver) Fenced(string) {}

// WindowFull does nothing.
func (NopObserver) WindowFull(string, bool) {}

// TimerLate does nothing.
func (NopObserver) TimerLate(string, time.Duration) {}

// Unexpected does nothing.
func (NopObserver) Unexpected(process, state, input string) {}

// observerOr returns o, or the store's own where there is none.
func (s *Store) observerOr(o Observer) Observer {
	if o == nil {
		return s.observer
	}
	return o
}
