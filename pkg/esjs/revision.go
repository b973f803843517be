package esjs

import "time"

// Position is a place in the store. It is opaque: compare it with
// [Position.Before], store its text, and give it back. The zero Position is
// before the first event.
type Position struct {
	partition uint32
	sequence  uint64
}

// Sequence returns the stream sequence inside the position's partition; it is
// for lag arithmetic and display.
func (p Position) Sequence() uint64 { return p.sequence }

// Revision is the state of one aggregate as a writer knew it: the number of its
// events, the stream sequence of its last commit, and the window of pointers
// that the next commit will carry. The zero Revision means "no event yet".
// Revisions are values and safe to share.
type Revision struct {
	version  uint64
	sequence uint64
	time     time.Time // of the last event
	window   []uint64 // sequences of this and earlier commits, newest first; nil when unknown
}

// Version returns the number of events of the aggregate.
func (r Revision) Version() uint64 { return r.version }

// Position returns where the aggregate's last commit is stored.
func (r Revision) Position() Position { return Position{sequence: r.sequence} }

// Expectation says what an append expects of the aggregate; the zero value is
// [NoStream]. It is made by [AtRevision], [ExpectVersion], [NoStream] or [Any].
type Expectation struct {
	kind     expectKind
	revision Revision
	version  uint64
}

type expectKind uint8

const (
	expectNoStream expectKind = iota
	expectRevision
	expectVersion
	expectAny
)

// AtRevision expects the aggregate unchanged since r was read or written.
func AtRevision(r Revision) Expectation {
	if r.sequence == 0 {
		return NoStream()
	}
	return Expectation{kind: expectRevision, revision: r}
}

// ExpectVersion expects the aggregate to have exactly n events; it costs one
// read of the aggregate's last commit.
func ExpectVersion(n uint64) Expectation {
	if n == 0 {
		return NoStream()
	}
	return Expectation{kind: expectVersion, version: n}
}

// NoStream expects the aggregate not to exist.
func NoStream() Expectation { return Expectation{} }

// Any expects nothing: it reads the tail, appends guarded by it, and tries
// again when another writer was faster, until ctx ends.
func Any() Expectation { return Expectation{kind: expectAny} }

// String returns the position's text, for example "0-1871"; [ParsePosition] reads it.
func (p Position) String() string { panic("stub") }

// ParsePosition reads what [Position.String] wrote.
func ParsePosition(s string) (Position, error) { panic("stub") }

// IsZero tells that p is before the first event.
func (p Position) IsZero() bool { return p.sequence == 0 }

// Before tells that p is before q. Positions of different partitions have no order.
func (p Position) Before(q Position) bool { return p.sequence < q.sequence }

// MarshalText writes the position's text.
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the position's text.
func (p *Position) UnmarshalText(b []byte) (err error) { *p, err = ParsePosition(string(b)); return err }

// String returns the revision's text, for example "3-1871" for version 3 whose
// commit has the sequence 1871; [ParseRevision] reads it.
func (r Revision) String() string { panic("stub") }

// ParseRevision reads what [Revision.String] wrote. An append that expects the
// result reads the aggregate's last commit first.
func ParseRevision(s string) (Revision, error) { panic("stub") }
