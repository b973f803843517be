package esjs

import (
	"errors"
	"fmt"
)

// Errors are matched with errors.Is and errors.As, never by text.
var (
	// ErrConflict: another writer was faster; every *ConflictError is one.
	ErrConflict = errors.New("esjs: conflict")
	// ErrNotFound: the aggregate has no events, or not the version asked for.
	ErrNotFound = errors.New("esjs: not found")
	// ErrTooLarge: the commit, or the snapshot, is larger than the server's max_payload; nothing was stored.
	ErrTooLarge = errors.New("esjs: too large")
	// ErrStoreFull: the stream, its account or the server reached its limit; nothing was stored.
	ErrStoreFull = errors.New("esjs: store full")
	// ErrUnknownOutcome: the append may or may not be stored; repeat it with
	// the same command id, or read.
	ErrUnknownOutcome = errors.New("esjs: unknown outcome")
	// ErrConfig: the configuration, of the store or of the server, is not usable.
	ErrConfig = errors.New("esjs: configuration")
	// ErrServerTooOld is the [ErrConfig] of a server older than [MinServerVersion].
	ErrServerTooOld = fmt.Errorf("%w: the server is too old", ErrConfig)
	// ErrNoJetStream is the [ErrConfig] of a server, or an account, without JetStream.
	ErrNoJetStream = fmt.Errorf("%w: no JetStream", ErrConfig)
	// ErrMasterKey is the [ErrConfig] of keys of persons that none of the
	// configured master keys opens.
	ErrMasterKey = fmt.Errorf("%w: master key", ErrConfig)
	// ErrNoKey: there is no key for a person's stored values, and nothing says that
	// they were erased: the bucket of keys was lost, or restored from before.
	ErrNoKey = errors.New("esjs: the key of a person is missing")
	// ErrBrokenSeal: a personal value, or a person's key, is not what was sealed
	// at its place: it was changed or moved. That is never an erased value.
	ErrBrokenSeal = errors.New("esjs: broken seal")
	// ErrCommandReused: the command id was used before with another command.
	ErrCommandReused = errors.New("esjs: command id used before with another body")
	// ErrInvalid: the call itself is wrong (a bad key, no events, two writes to
	// one aggregate); nothing was stored.
	ErrInvalid = errors.New("esjs: invalid")
	// ErrUnavailable: the server does not answer in time, a sink's storage cannot be
	// used at present (full, locked, gone), or a replica cannot be verified; trying again
	// helps when that is over.
	ErrUnavailable = errors.New("esjs: storage unavailable")
	// ErrTimersLost: fired timers were not handled within 7 days and are gone;
	// see [TimerSubscriptionConfig].Lost.
	ErrTimersLost = errors.New("esjs: fired timers are lost")
	// ErrRefused: the server refused before storing anything, or the connection
	// may not publish what was to be stored, or what a subscription, projection or process asks with.
	ErrRefused = errors.New("esjs: refused by the server")
	// ErrMoved is the [ErrRefused] of a store that takes no more appends, because it has moved
	// to other streams; see [Repartition].
	ErrMoved = fmt.Errorf("%w: the store has moved", ErrRefused)
)

// ConflictError tells which version a writer expected and which one it found.
// It is final: the refused commit can no longer be stored.
type ConflictError struct {
	Stream   StreamID
	Expected uint64
	Actual   uint64
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("esjs: conflict: %s is at version %d, not %d", e.Stream, e.Actual, e.Expected)
}

// Is makes every ConflictError match [ErrConflict].
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// CorruptError names a place where the log is not what was written: a gap in
// the versions, a commit that is missing or does not decode.
type CorruptError struct {
	Stream   StreamID
	Position Position
	Reason   string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("esjs: corrupt: %s at %s: %s", e.Stream, e.Position, e.Reason)
}

// DecodeError names an event that the codec cannot decode.
type DecodeError struct {
	Stream  StreamID
	Version uint64
	Type    string
	Unknown bool // no such type in the codec
	Err     error
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("esjs: decode %s of %s version %d: %v", e.Type, e.Stream, e.Version, e.Err)
}

func (e *DecodeError) Unwrap() error { return e.Err }

// EventError says at which event a handler, a process or a projection failed. It is what an
// [Observer] is told, and its text is that of Err alone.
type EventError struct {
	Stream        StreamID
	ID            string   // of the event, or of the fired timer
	Position      Position // of the event's commit; the zero Position for a timer
	CorrelationID string   // as it is stored with the event; "" for a timer
	Err           error
}

func (e *EventError) Error() string { return e.Err.Error() }

func (e *EventError) Unwrap() error { return e.Err }

// ErasedError refuses an event with personal values of a person who was erased;
// nothing was stored.
type ErasedError struct{ Person string }

func (e *ErasedError) Error() string {
	return fmt.Sprintf("esjs: the person %s was erased", e.Person)
}

// Rejection is the domain's "no": a Decide function returns it to refuse a
// command. Code is stable and for programs, Message is for people.
type Rejection struct {
	Code    string
	Message string
	// Status is the HTTP status that fits; 0 means 409.
	Status int
}

func (e *Rejection) Error() string { return e.Code + ": " + e.Message }

// Reject returns a *Rejection.
func Reject(code, format string, args ...any) error {
	return &Rejection{Code: code, Message: fmt.Sprintf(format, args...)}
}
