package esjsbench

import (
	"slices"
	"time"
)

// side is one operation of those that are compared.
type side struct {
	name string
	run  func() error
}

// ratio is of two sides' medians.
type ratio struct{ of, to string }

// figure is what was measured, under a name without spaces: "append-1/raw-1", "raw-1-µs".
type figure struct {
	name  string
	value float64
}

// measure runs until loop is false and returns what it measured meanwhile. It can
// be run again.
type measure func(loop func() bool) ([]figure, error)

// compare lets sides take turns. It reports each one's median in microseconds, and
// ratios of them; without any, each side's to the first one.
func compare(sides []side, ratios ...ratio) measure {
	if len(ratios) == 0 {
		for _, s := range sides[1:] {
			ratios = append(ratios, ratio{s.name, sides[0].name})
		}
	}
	return func(loop func() bool) (figures []figure, err error) {
		medians, err := takeTurns(loop, sides)
		if err != nil {
			return nil, err
		}
		for _, s := range sides {
			figures = append(figures, figure{s.name + "-µs", microseconds(medians[s.name])})
		}
		for _, r := range ratios {
			figures = append(figures, figure{r.of + "/" + r.to, float64(medians[r.of]) / float64(medians[r.to])})
		}
		return figures, nil
	}
}

// compareRates is compare for sides that each handle so many events: it reports
// events a second, and ratios to the first side of which those above 1 are faster.
func compareRates(events int, sides []side) measure {
	return func(loop func() bool) (figures []figure, err error) {
		medians, err := takeTurns(loop, sides)
		if err != nil {
			return nil, err
		}
		first := sides[0].name
		for _, s := range sides {
			figures = append(figures, figure{s.name + "-events/s", float64(events) / medians[s.name].Seconds()})
		}
		for _, s := range sides[1:] {
			figures = append(figures, figure{s.name + "/" + first, float64(medians[first]) / float64(medians[s.name])})
		}
		return figures, nil
	}
}

// takeTurns runs all sides once for each turn of loop and returns each one's median.
func takeTurns(loop func() bool, sides []side) (map[string]time.Duration, error) {
	took, err := timeTurns(loop, sides)
	if err != nil {
		return nil, err
	}
	medians := map[string]time.Duration{}
	for name, all := range took {
		medians[name] = median(all)
	}
	return medians, nil
}

// timeTurns is takeTurns for who wants every time that a side took.
func timeTurns(loop func() bool, sides []side) (map[string][]time.Duration, error) {
	took := map[string][]time.Duration{}
	for i := 0; loop(); i++ {
		for j := range sides {
			s := sides[(i+j)%len(sides)] // nobody always follows the same one
			start := time.Now()
			if err := s.run(); err != nil {
				return nil, err
			}
			took[s.name] = append(took[s.name], time.Since(start))
		}
	}
	return took, nil
}

func median[T ~int64 | ~float64](values []T) T {
	slices.Sort(values)
	return values[len(values)/2]
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// times is a loop of n turns.
func times(n int) func() bool {
	return func() bool {
		n--
		return n >= 0
	}
}
