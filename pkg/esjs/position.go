package esjs

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Position is a place in the store: that of a commit, or how far somebody came. In a
// store of several partitions (see [Config].Partitions) the second names a place in each
// of them; those that it does not name it has at their beginning. It is opaque: compare it
// with [Position.Before] and [Position.Covers], store its text, and give it back. The zero
// Position is before the first event. Positions that are the same place are equal by ==.
type Position struct {
	partition uint32
	sequence  uint64
	// all is the text of a place in more than one partition; the other fields are then zero.
	all string
}

// Sequence returns how many messages the streams of the store have up to the position, which
// is the stream sequence inside its partition where it is in one; it is for lag arithmetic and display.
func (p Position) Sequence() uint64 {
	if p.all == "" {
		return p.sequence
	}
	var sum uint64
	for _, e := range p.elements() {
		sum += e.sequence
	}
	return sum
}

// Partition returns the partition that a commit's position is in, from 0 on; 0 for a
// place in several.
func (p Position) Partition() int { return int(p.partition) }

// IsZero tells that p is before the first event.
func (p Position) IsZero() bool { return p.sequence == 0 && p.all == "" }

// Covers tells that who came to p has passed what is at q: p is at q or behind it in each
// partition that q names. Every position covers the zero Position.
func (p Position) Covers(q Position) bool {
	if p.all == "" && q.all == "" {
		return q.sequence <= p.in(q.partition)
	}
	for _, e := range q.elements() {
		if p.in(e.partition) < e.sequence {
			return false
		}
	}
	return true
}

// Before tells that p is before q: q covers it and is another place. Of two commits in
// different partitions neither is before the other.
func (p Position) Before(q Position) bool { return p != q && q.Covers(p) }

// Later returns the place that covers both and nothing more.
func (p Position) Later(q Position) Position {
	if p.all == "" && q.all == "" && p.partition == q.partition {
		return Position{partition: p.partition, sequence: max(p.sequence, q.sequence)}
	}
	return joinPositions(append(p.elements(), q.elements()...))
}

// in is the sequence in one partition.
func (p Position) in(partition uint32) uint64 {
	if p.all == "" {
		if p.partition == partition {
			return p.sequence
		}
		return 0
	}
	for _, e := range p.elements() {
		if e.partition == partition {
			return e.sequence
		}
	}
	return 0
}

// only is the place in one partition.
func (p Position) only(partition uint32) Position {
	if sequence := p.in(partition); sequence > 0 {
		return Position{partition: partition, sequence: sequence}
	}
	return Position{}
}

// In returns the place in one partition, which is the zero Position where p is at its beginning.
func (p Position) In(partition int) Position { return p.only(uint32(partition)) }

// upTo is how many messages somebody who came to p has yet to pass to have passed q.
func (p Position) upTo(q Position) (n uint64) {
	for _, e := range q.elements() {
		if at := p.in(e.partition); at < e.sequence {
			n += e.sequence - at
		}
	}
	return n
}

// elements are the places in the partitions that p names.
func (p Position) elements() []Position {
	switch {
	case p.all != "":
		elements, _ := parseElements(p.all) // written here
		return elements
	case p.sequence != 0:
		return []Position{p}
	}
	return nil
}

// joinPositions is the place that covers places in one partition each.
func joinPositions(elements []Position) Position {
	last := map[uint32]uint64{}
	for _, e := range elements {
		last[e.partition] = max(last[e.partition], e.sequence)
	}
	elements = elements[:0:0]
	for partition, sequence := range last {
		if sequence > 0 {
			elements = append(elements, Position{partition: partition, sequence: sequence})
		}
	}
	switch len(elements) {
	case 0:
		return Position{}
	case 1:
		return elements[0]
	}
	slices.SortFunc(elements, func(a, b Position) int { return cmp.Compare(a.partition, b.partition) })
	texts := make([]string, len(elements))
	for i, e := range elements {
		texts[i] = e.String()
	}
	return Position{all: strings.Join(texts, ",")}
}

// String returns the position's text, for example "0-1871", or "0-1871,1-1902" where it is
// in two partitions; [ParsePosition] reads it.
func (p Position) String() string {
	if p.all != "" {
		return p.all
	}
	return strconv.FormatUint(uint64(p.partition), 10) + "-" + strconv.FormatUint(p.sequence, 10)
}

// ParsePosition reads what [Position.String] wrote. Before the first event there is
// one position, "0-0".
func ParsePosition(s string) (Position, error) {
	if !strings.Contains(s, ",") {
		return parsePosition(s)
	}
	elements, err := parseElements(s)
	if err != nil {
		return Position{}, err
	}
	p := joinPositions(elements)
	if p.all != s { // one place has one text
		return Position{}, fmt.Errorf("%w: %q is not a position: its text is %q", ErrInvalid, s, p)
	}
	return p, nil
}

func parseElements(s string) ([]Position, error) {
	elements := make([]Position, 0, strings.Count(s, ",")+1)
	for text := range strings.SplitSeq(s, ",") {
		e, err := parsePosition(text)
		if err != nil {
			return nil, err
		}
		elements = append(elements, e)
	}
	return elements, nil
}

// parsePosition reads a place in one partition.
func parsePosition(s string) (Position, error) {
	partition, sequence, err := parsePair(s)
	if err != nil || partition > math.MaxUint32 || sequence == 0 && partition != 0 {
		return Position{}, fmt.Errorf("%w: %q is not a position, such as %q", ErrInvalid, s, "0-1871")
	}
	return Position{partition: uint32(partition), sequence: sequence}, nil
}

// MarshalText writes the position's text.
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the position's text.
func (p *Position) UnmarshalText(b []byte) (err error) {
	*p, err = ParsePosition(string(b))
	return err
}
