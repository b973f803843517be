package esjs

import (
	"testing"

	"pgregory.net/rapid"
)

// What is stored says exactly what was finished, whatever the order in which
// it was, and a run that starts from it repeats the rest and nothing else.
func TestPlaceSaysWhatIsFinished(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		finished := map[uint64]bool{} // of the sequences that are of the source
		ours, foreign := map[uint64]bool{}, map[uint64]bool{}
		start := place{}
		for range 3 { // runs
			p := newProgress(start)
			var open []*commitEntry
			last := start.Floor.sequence
			for range rapid.IntRange(0, 30).Draw(t, "steps") {
				switch rapid.SampledFrom([]string{"deliver", "pass", "finish", "late"}).Draw(t, "step") {
				case "deliver":
					last++
					if foreign[last] {
						p.pass(last)
						continue
					}
					ours[last] = true
					if p.finished(last) {
						if !finished[last] {
							t.Fatalf("%d counts as finished", last)
						}
						p.pass(last)
						continue
					}
					if finished[last] {
						t.Fatalf("%d is repeated", last)
					}
					e := &commitEntry{sequence: last}
					p.deliver(e)
					open = append(open, e)
				case "pass":
					last++
					if ours[last] { // what is of the source stays so
						last--
						continue
					}
					foreign[last] = true
					p.pass(last)
				case "late":
					sequence := rapid.Uint64Range(1, max(last, 1)).Draw(t, "late")
					if sequence > start.top() && sequence <= p.head && !ours[sequence] && foreign[sequence] {
						delete(foreign, sequence)
						ours[sequence] = true
						e := &commitEntry{sequence: sequence}
						p.deliver(e)
						open = append(open, e)
					}
				case "finish":
					if len(open) > 0 {
						i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
						p.finish(open[i])
						finished[open[i].sequence] = true
						open = append(open[:i], open[i+1:]...)
					}
				}
				check(t, p.place(), finished, ours)
			}
			start = p.place()
		}
	})
}

func check(t *rapid.T, at place, finished, ours map[uint64]bool) {
	says := func(sequence uint64) bool {
		if sequence <= at.Floor.sequence {
			return true
		}
		for _, r := range at.Ranges {
			if r[0] <= sequence && sequence <= r[1] {
				return true
			}
		}
		return false
	}
	previous := at.Floor.sequence
	for _, r := range at.Ranges {
		if r[0] <= previous || r[1] < r[0] {
			t.Fatalf("ranges overlap or do not ascend: %+v", at)
		}
		previous = r[1]
	}
	for sequence := range ours {
		if says(sequence) != finished[sequence] {
			t.Fatalf("%d: stored as finished: %v, is: %v, in %+v", sequence, says(sequence), finished[sequence], at)
		}
	}
}
