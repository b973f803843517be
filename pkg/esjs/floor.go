package esjs

import (
	"container/list"
	"fmt"
	"time"
)

// span is a range of stream sequences, both ends inclusive.
type span [2]uint64

// place is where a subscription stands: everything up to Floor is finished,
// and so is everything in Ranges, which are above it, ascending and apart.
type place struct {
	Floor  Position `json:"floor"`
	Ranges []span   `json:"ranges,omitempty"`
	// Oldest is when the first message after Floor was stored that was delivered
	// and is not finished; zero when there is none.
	Oldest time.Time `json:"oldest,omitzero"`
	// Rate is how many messages a second the owner has finished of late.
	Rate float64 `json:"rate,omitzero"`
	// Newest is the newest commit of the event store that was delivered. Where the
	// store has another one there, the place is not of its log.
	Newest CommitRef `json:"newest,omitzero"`
	// Rewound tells that Floor was set by [Subscription.Rewind]: keys that were parked by what
	// comes after it are yet to be changed so that all of them waits that does. See [running.waitAgain].
	Rewound bool `json:"rewound,omitzero"`
}

// check refuses a place that no progress has: with it commits would be left out.
func (p place) check() error {
	last := p.Floor.sequence
	for _, r := range p.Ranges {
		if r[0] <= last || r[1] < r[0] {
			return fmt.Errorf("the range %d to %d does not follow %d", r[0], r[1], last)
		}
		last = r[1]
	}
	return nil
}

// top is the highest finished sequence.
func (p place) top() uint64 {
	if n := len(p.Ranges); n > 0 {
		return p.Ranges[n-1][1]
	}
	return p.Floor.sequence
}

// progress keeps which of the delivered commits are finished: the floor, up to
// which all are, and what is finished above it. It is a list of the commits
// that are not finished, so it is as small as the window, however far the others go on.
// It is not safe for concurrent use.
type progress struct {
	start  place      // finished before this run
	head   uint64     // up to here everything was delivered
	open   *list.List // of *commitEntry, ascending
	newest CommitRef
}

// commitEntry is a delivered commit that is not finished.
type commitEntry struct {
	sequence uint64
	stored   time.Time
	size     int
	parts    int // not finished yet

	at *list.Element
	// after tells that something between this commit and the next one that is
	// not finished was finished.
	after bool
}

func newProgress(start place) *progress {
	return &progress{start: start, head: start.Floor.sequence, open: list.New(), newest: start.Newest}
}

// finished tells that sequence was finished before this run.
func (p *progress) finished(sequence uint64) bool {
	if sequence <= p.start.Floor.sequence {
		return true
	}
	for len(p.start.Ranges) > 0 && p.start.Ranges[0][1] < sequence {
		p.start.Ranges = p.start.Ranges[1:] // deliveries ascend
	}
	return len(p.start.Ranges) > 0 && p.start.Ranges[0][0] <= sequence
}

// saw notes which commit was delivered.
func (p *progress) saw(m message) {
	if m.commit != "" && m.sequence > p.newest.Sequence {
		p.newest = CommitRef{m.sequence, m.commit}
	}
}

// deliver adds a commit that is to be handled. One that comes late takes its
// place among the others, and the floor falls back behind it.
func (p *progress) deliver(e *commitEntry) {
	if e.sequence > p.head {
		p.head = e.sequence
		e.at = p.open.PushBack(e)
		return
	}
	e.after = true
	for at := p.open.Back(); at != nil; at = at.Prev() {
		if at.Value.(*commitEntry).sequence < e.sequence {
			e.at = p.open.InsertAfter(e, at)
			return
		}
	}
	e.at = p.open.PushFront(e)
}

// pass moves the head over sequences that need no handling: finished before,
// not selected, or not of the source.
func (p *progress) pass(sequence uint64) {
	if sequence <= p.head {
		return
	}
	p.head = sequence
	if back := p.open.Back(); back != nil {
		back.Value.(*commitEntry).after = true
	}
}

// finish removes a commit that is finished.
func (p *progress) finish(e *commitEntry) {
	if before := e.at.Prev(); before != nil {
		before.Value.(*commitEntry).after = true
	}
	p.open.Remove(e.at)
}

// oldest returns the first commit that is not finished, or nil.
func (p *progress) oldest() *commitEntry {
	if front := p.open.Front(); front != nil {
		return front.Value.(*commitEntry)
	}
	return nil
}

// floor is the sequence up to which everything is finished.
func (p *progress) floor() uint64 {
	if e := p.oldest(); e != nil {
		return e.sequence - 1
	}
	return p.head
}

// place returns what is to be stored.
func (p *progress) place() place {
	out := place{Floor: Position{sequence: p.floor()}, Newest: p.newest}
	if e := p.oldest(); e != nil {
		out.Oldest = e.stored.UTC()
	}
	for at := p.open.Front(); at != nil; at = at.Next() {
		e := at.Value.(*commitEntry)
		end := p.head
		if next := at.Next(); next != nil {
			end = next.Value.(*commitEntry).sequence - 1
		}
		if e.after && end > e.sequence {
			out.Ranges = append(out.Ranges, span{e.sequence + 1, end})
		}
	}
	// What an earlier run had finished and this one has not reached yet stays so.
	for _, r := range p.start.Ranges {
		if r[1] > p.head {
			out.Ranges = append(out.Ranges, span{max(r[0], p.head+1), r[1]})
		}
	}
	return out
}
