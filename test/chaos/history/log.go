package history

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// Commit is one stored commit, in the log's order.
type Commit struct {
	Partition int      `json:"partition,omitzero"`
	Sequence  uint64   `json:"sequence"` // within the partition
	Key       string   `json:"key"`
	First     uint64   `json:"first"` // version of its first event
	Ops       []string `json:"ops"`   // the operation of each event
	Times     []int64  `json:"times"` // of each event, in nanoseconds
}

// place is the text of a place: a sequence, of another partition than the first one with that.
func place(partition int, sequence uint64) string {
	if partition == 0 {
		return strconv.FormatUint(sequence, 10)
	}
	return fmt.Sprintf("%d-%d", partition, sequence)
}

func (c Commit) at() string { return place(c.Partition, c.Sequence) }

func (c Commit) last() uint64 { return c.First + uint64(len(c.Ops)) - 1 }

// Log is what the store has in the end, in its order; of several partitions each in its order.
type Log []Commit

// index finds in a log what is asked for.
type index struct {
	ops     map[string]map[string]Commit // by operation and key, the first
	streams map[string][]string          // by key, the operation of each version
	sums    map[string][]uint64          // by key, the sum up to each version
}

func (l Log) index() index {
	x := index{map[string]map[string]Commit{}, map[string][]string{}, map[string][]uint64{}}
	for _, c := range l {
		if len(c.Ops) == 0 {
			continue
		}
		of := x.ops[c.Ops[0]]
		if of == nil {
			of = map[string]Commit{}
			x.ops[c.Ops[0]] = of
		}
		if _, twice := of[c.Key]; !twice {
			of[c.Key] = c
		}
		for _, op := range c.Ops {
			sum := Sum(x.sum(c.Key, uint64(len(x.streams[c.Key]))), op)
			x.streams[c.Key] = append(x.streams[c.Key], op)
			x.sums[c.Key] = append(x.sums[c.Key], sum)
		}
	}
	return x
}

// sum is that of the aggregate's events up to a version that the log has.
func (x index) sum(key string, version uint64) uint64 {
	if version == 0 {
		return 0
	}
	return x.sums[key][version-1]
}

func (x index) version(key string) uint64 { return uint64(len(x.streams[key])) }

// checkLog judges the log by itself: gaps, and what is there twice.
func (h *History) checkLog() (found []Finding) {
	type tail struct {
		version uint64
		place   string
		time    int64
	}
	tails := map[string]tail{}
	seen := map[string]string{}   // by operation and key, the place
	sequences := map[int]uint64{} // by partition
	for _, c := range h.Log {
		at := c.Key + " at " + c.at()
		if before := sequences[c.Partition]; c.Sequence != before+1 {
			found = append(found, Finding{Kind: Gap, Key: c.Key, Text: fmt.Sprintf("in partition %d sequence %d follows %d", c.Partition, c.Sequence, before)})
		}
		sequences[c.Partition] = c.Sequence
		last := tails[c.Key]
		if c.First != last.version+1 {
			found = append(found, Finding{Kind: Gap, Key: c.Key, Text: fmt.Sprintf("%s: version %d follows %d, which is at %s", at, c.First, last.version, cmp.Or(last.place, "0"))})
		}
		if len(c.Ops) == 0 {
			found = append(found, Finding{Kind: Gap, Key: c.Key, Text: at + " has no events"})
			continue
		}
		for _, t := range c.Times {
			if t < last.time {
				found = append(found, Finding{Kind: Gap, Key: c.Key, Text: at + " is of an earlier time than the commit before it"})
			}
			last.time = max(last.time, t)
		}
		tails[c.Key] = tail{c.last(), c.at(), last.time}
		for _, op := range slices.Compact(slices.Clone(c.Ops)) {
			if before, twice := seen[op+"\x00"+c.Key]; twice {
				found = append(found, Finding{Kind: Twice, Op: op, Key: c.Key, Text: fmt.Sprintf("%s is also at %s", at, before)})
			}
			seen[op+"\x00"+c.Key] = c.at()
		}
	}
	return found
}
