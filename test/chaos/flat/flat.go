// Package flat judges whether something that works for long takes ever more: what it
// has is measured at rest, after each of several times of equal work, so that what it
// needs to work is not taken for what it keeps.
package flat

import (
	"fmt"
	"slices"
	"strings"
)

// Least is how many rests a judgement needs; with fewer a difference may be chance.
const Least = 4

// Rest is one measurement at rest.
type Rest struct {
	Of    string  `json:"of"`    // who: a process from its start to its end, a stream, the disk of a server
	What  string  `json:"what"`  // is measured
	Work  float64 `json:"work"`  // done before, since the beginning: cycles, or what else it may grow with
	Value float64 `json:"value"` // in What's unit
}

// Bound is how much more may be there for each unit of work, and what remains of chance.
type Bound struct {
	PerWork float64
	Noise   float64 // a growth in all that is less than this is none
}

// Series is what was measured of one thing, in the order of its work.
type Series struct {
	Of, What string
	Rests    []Rest
	Bound    Bound
}

// Group sorts measurements into series. bound says what each may grow by.
func Group(rests []Rest, bound func(of, what string) Bound) (all []Series) {
	index := map[[2]string]int{}
	for _, r := range rests {
		key := [2]string{r.Of, r.What}
		i, known := index[key]
		if !known {
			i = len(all)
			index[key] = i
			all = append(all, Series{Of: r.Of, What: r.What, Bound: bound(r.Of, r.What)})
		}
		all[i].Rests = append(all[i].Rests, r)
	}
	slices.SortStableFunc(all, func(a, b Series) int { return strings.Compare(a.What, b.What) })
	return all
}

// Judged tells that there are enough rests.
func (s Series) Judged() bool { return len(s.Rests) >= Least }

// Growth is by how much the later half of the rests is above the earlier half, each
// by its median: in all, and for each unit of the work between them.
func (s Series) Growth() (whole, perWork float64) {
	half := len(s.Rests) / 2
	if half == 0 {
		return 0, 0
	}
	earlier, later := s.Rests[:half], s.Rests[len(s.Rests)-half:]
	value := func(r Rest) float64 { return r.Value }
	work := func(r Rest) float64 { return r.Work }
	whole = median(later, value) - median(earlier, value)
	if passed := median(later, work) - median(earlier, work); passed > 0 {
		perWork = whole / passed
	}
	return whole, perWork
}

func median(rests []Rest, of func(Rest) float64) float64 {
	values := make([]float64, 0, len(rests))
	for _, r := range rests {
		values = append(values, of(r))
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

// Flat tells that it did not grow by more than its bound.
func (s Series) Flat() bool {
	whole, perWork := s.Growth()
	return whole <= s.Bound.Noise || perWork <= s.Bound.PerWork
}

// String is one line for people.
func (s Series) String() string {
	whole, perWork := s.Growth()
	first, last := s.Rests[0], s.Rests[len(s.Rests)-1]
	return fmt.Sprintf("%s of %s: %.6g at first, %.6g at last, %+.6g in all between the halves of %d rests, which is %.4g for each unit of work; at most %.4g, or %.4g in all",
		s.What, s.Of, first.Value, last.Value, whole, len(s.Rests), perWork, s.Bound.PerWork, s.Bound.Noise)
}
