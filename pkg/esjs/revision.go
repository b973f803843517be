package esjs

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Revision is the state of one aggregate as a writer knew it: the number of its
// events, the stream sequence of its last commit, and the window of pointers
// that the next commit will carry. The zero Revision means "no event yet".
// Revisions are values and safe to share.
type Revision struct {
	version   uint64
	partition uint32
	sequence  uint64
	time      time.Time // of the last event
	window    []uint64  // sequences of this and earlier commits, newest first; nil when unknown
}

// Version returns the number of events of the aggregate.
func (r Revision) Version() uint64 { return r.version }

// Position returns where the aggregate's last commit is stored.
func (r Revision) Position() Position {
	if r.sequence == 0 {
		return Position{}
	}
	return Position{partition: r.partition, sequence: r.sequence}
}

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

// String returns the revision's text, for example "3-1871" for version 3 whose
// commit has the sequence 1871, or "3-2-1871" where that is in partition 2; [ParseRevision] reads it.
func (r Revision) String() string {
	place := strconv.FormatUint(r.sequence, 10)
	if r.partition != 0 {
		place = r.Position().String()
	}
	return strconv.FormatUint(r.version, 10) + "-" + place
}

// ParseRevision reads what [Revision.String] wrote. An append that expects the
// result reads the aggregate's last commit first.
func ParseRevision(s string) (Revision, error) {
	left, place, _ := strings.Cut(s, "-")
	if partition, _, found := strings.Cut(place, "-"); !found {
		place = "0-" + place
	} else if partition == "0" {
		place = "" // partition 0 is left out, so that a revision has one text
	}
	version, err := strconv.ParseUint(left, 10, 64)
	at, placeErr := parsePosition(place)
	r := Revision{version: version, partition: at.partition, sequence: at.sequence}
	if err != nil || placeErr != nil || at.partition >= maxPartitions || (version == 0) != (r.sequence == 0) || r.String() != s {
		return Revision{}, fmt.Errorf("%w: %q is not a revision, such as %q", ErrInvalid, s, "3-1871")
	}
	return r, nil
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
