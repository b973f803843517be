package esjs

import (
	"encoding/json"
	"time"
)

// StreamID names one aggregate's stream of events: its category ("order") and
// its key ("o-1").
//
// A category is 1 to 64 bytes of [a-z0-9-]. A key is 1 to 255 bytes of valid
// UTF-8; every byte outside [A-Za-z0-9_-] is stored in subjects as =XX.
type StreamID struct {
	Category string
	Key      string
}

// String returns "order/o-1", for people; [StreamID.Subject] is for the server.
func (id StreamID) String() string { return id.Category + "/" + id.Key }

// Event is the payload of one fact with the name it is stored under. The name
// is written by a person and never changes; it is not the Go type's name.
type Event interface {
	EventType() string
}

// Versioned is an [Event] whose stored schema has a version other than 1.
// Versions are 1, 2, 3 …; see [Upcaster] for how older ones are read.
type Versioned interface {
	Event
	SchemaVersion() int
}

// Metadata travels with every event of a commit. Every field is optional. Text
// that is not UTF-8 is refused with [ErrInvalid].
type Metadata struct {
	CorrelationID string
	CausationID   string // id of the event that caused this one
	CommandID     string // id of the command that caused this one
	Actor         string
	TraceParent   string // W3C trace context; empty: that of the call's context, see [WithTraceParent]

	// CommandHash fingerprints the command's verb and body, so that a repeated
	// command id with another body is recognised.
	CommandHash string

	// Input is what a process consumed when it made this commit.
	Input InputRef

	// Extensions are the user's own CloudEvents extension attributes: names
	// are 1 to 20 characters of [a-z0-9], and none that esjs uses itself.
	Extensions map[string]string
}

// Record is one stored event: its envelope, with data as it was stored; a store
// with keys has opened [Personal] values in it, and erased ones are null.
type Record struct {
	ID            string
	Type          string
	SchemaVersion int
	Stream        StreamID
	Version       uint64    // 1, 2, 3 … within the stream, without gaps
	Time          time.Time // UTC, in nanoseconds; never below the stream's previous one
	Metadata      Metadata
	Data          json.RawMessage
	Position      Position // of the commit that holds the event
	// Person is whose [Personal] values the event holds; empty when it has none.
	Person string

	reading *personalReading // nil where no personal values were looked at
}

// Recorded is a [Record] together with its decoded event.
type Recorded[E Event] struct {
	Record
	Event E
}

// Commit is what one decision stored for one aggregate: 1 to n events in one
// message, all or nothing.
type Commit struct {
	Stream   StreamID
	Position Position
	Records  []Record

	revision Revision
}

// Revision returns the aggregate's revision after this commit.
func (c Commit) Revision() Revision { return c.revision }

// window returns the sequences of the aggregate's earlier commits that this one
// names, newest first.
func (c Commit) window() []uint64 {
	if len(c.revision.window) == 0 {
		return nil
	}
	return c.revision.window[1:]
}
