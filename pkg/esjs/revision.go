package esjs

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

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
	window   []uint64  // sequences of this and earlier commits, newest first; nil when unknown
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
// again when another writer was faster, until ctx ends. An append whose outcome
// is unknown may be stored twice when it is repeated with Any and without a
// command id; see [Write].
func Any() Expectation { return Expectation{kind: expectAny} }

// String returns the position's text, for example "0-1871"; [ParsePosition] reads it.
func (p Position) String() string {
	return strconv.FormatUint(uint64(p.partition), 10) + "-" + strconv.FormatUint(p.sequence, 10)
}

// ParsePosition reads what [Position.String] wrote. Before the first event there is
// one position, "0-0".
func ParsePosition(s string) (Position, error) {
	partition, sequence, err := parsePair(s)
	if err != nil || partition > math.MaxUint32 || sequence == 0 && partition != 0 {
		return Position{}, fmt.Errorf("%w: %q is not a position, such as %q", ErrInvalid, s, "0-1871")
	}
	return Position{partition: uint32(partition), sequence: sequence}, nil
}

// IsZero tells that p is before the first event.
func (p Position) IsZero() bool { return p.sequence == 0 }

// Before tells that p is before q. Positions of different partitions have no order.
func (p Position) Before(q Position) bool { return p.sequence < q.sequence }

// MarshalText writes the position's text.
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the position's text.
func (p *Position) UnmarshalText(b []byte) (err error) {
	*p, err = ParsePosition(string(b))
	return err
}

// String returns the revision's text, for example "3-1871" for version 3 whose
// commit has the sequence 1871; [ParseRevision] reads it.
func (r Revision) String() string {
	return strconv.FormatUint(r.version, 10) + "-" + strconv.FormatUint(r.sequence, 10)
}

// ParseRevision reads what [Revision.String] wrote. An append that expects the
// result reads the aggregate's last commit first.
func ParseRevision(s string) (Revision, error) {
	version, sequence, err := parsePair(s)
	if err != nil || (version == 0) != (sequence == 0) {
		return Revision{}, fmt.Errorf("%w: %q is not a revision, such as %q", ErrInvalid, s, "3-1871")
	}
	return Revision{version: version, sequence: sequence}, nil
}

// parsePair reads "a-b", two decimal numbers as strconv writes them.
func parsePair(s string) (a, b uint64, err error) {
	left, right, _ := strings.Cut(s, "-")
	if a, err = strconv.ParseUint(left, 10, 64); err == nil {
		b, err = strconv.ParseUint(right, 10, 64)
	}
	if err == nil && strconv.FormatUint(a, 10)+"-"+strconv.FormatUint(b, 10) != s {
		err = strconv.ErrSyntax
	}
	return a, b, err
}
