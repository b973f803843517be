package flat

import (
	"math/rand/v2"
	"testing"
)

func series(values ...float64) Series {
	s := Series{Of: "it", What: "things", Bound: Bound{PerWork: 0.5, Noise: 2}}
	for i, v := range values {
		s.Rests = append(s.Rests, Rest{Of: s.Of, What: s.What, Work: float64(i), Value: v})
	}
	return s
}

func TestWhatGrowsIsNotFlat(t *testing.T) {
	for name, c := range map[string]struct {
		values []float64
		flat   bool
	}{
		"constant":                 {[]float64{7, 7, 7, 7, 7, 7}, true},
		"one more each time":       {[]float64{7, 8, 9, 10, 11, 12}, false},
		"one more each other time": {[]float64{1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6}, true}, // the bound
		"less each time":           {[]float64{12, 11, 10, 9, 8, 7}, true},
		"high once":                {[]float64{7, 7, 7, 7, 90, 7, 7, 7}, true},
		"low once, and growing":    {[]float64{7, 8, 9, 10, 0, 12, 13, 14}, false},
		"warm after the first":     {[]float64{2, 9, 9, 9, 9, 9, 9, 9}, true},
		"a step of chance":         {[]float64{7, 7, 7, 9, 9, 9}, true},
		"a step of more":           {[]float64{7, 7, 7, 11, 11, 11}, false},
	} {
		if s := series(c.values...); s.Flat() != c.flat {
			t.Errorf("%s: %v is flat: %v; %s", name, c.values, s.Flat(), s)
		}
	}
}

// Whatever chance adds, one more at each rest is seen, and nothing more is not.
func TestChanceIsNotGrowth(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		still, leaking := make([]float64, 12), make([]float64, 12)
		for i := range still {
			chance := float64(random.IntN(3))
			still[i], leaking[i] = 50+chance, 50+chance+float64(i)
		}
		if s := series(still...); !s.Flat() {
			t.Fatalf("%v is not flat: %s", still, s)
		}
		if s := series(leaking...); s.Flat() {
			t.Fatalf("%v is flat: %s", leaking, s)
		}
	}
}

// What grows with the work is judged by the work that was done, not by how often it was looked at.
func TestGrowthIsMeasuredByWork(t *testing.T) {
	s := Series{Bound: Bound{PerWork: 10}}
	for i := range 6 {
		s.Rests = append(s.Rests, Rest{Work: float64(i * 100), Value: float64(i * 900)})
	}
	if !s.Flat() {
		t.Errorf("9 for each unit of work is more than 10: %s", s)
	}
	if s.Bound.PerWork = 8; s.Flat() {
		t.Errorf("9 for each unit of work is not more than 8: %s", s)
	}
}

func TestFewRestsAreNotJudged(t *testing.T) {
	if series(1, 2, 3).Judged() || !series(1, 2, 3, 4).Judged() {
		t.Errorf("%d rests are needed", Least)
	}
}

func TestGroupsAreOfOneThing(t *testing.T) {
	all := Group([]Rest{{"a", "x", 1, 1}, {"b", "x", 1, 2}, {"a", "y", 1, 3}, {"a", "x", 2, 4}}, func(string, string) Bound { return Bound{} })
	if len(all) != 3 || len(all[0].Rests) != 2 || all[0].Rests[1].Value != 4 {
		t.Errorf("%+v", all)
	}
}
