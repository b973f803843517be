package esjs

import (
	"math/rand/v2"
	"testing"

	"github.com/go-json-experiment/json"
)

func inputAt(source string, sequence, version uint64) InputRef {
	return InputRef{ID: "i", Source: source, Position: Position{sequence: sequence}, Version: version}
}

func TestInputsKnowWhatWasConsumed(t *testing.T) {
	var none inputLog
	folded := none.with(inputAt("/payment", 10, 4)).with(inputAt("/timer/step", 0, 7)).with(inputAt("/payment", 8, 9)).with(InputRef{})
	if len(none) != 0 || len(folded) != 2 {
		t.Fatalf("folding changed the earlier value or kept too much: %v, %v", none, folded)
	}
	for name, c := range map[string]struct {
		input  InputRef
		want   inputSeen
		passed bool
	}{
		"the same":                          {inputAt("/payment", 10, 4), inputConsumed, true},
		"earlier in the same commit":        {inputAt("/payment", 10, 3), inputNew, true},
		"later in the same commit":          {inputAt("/payment", 10, 5), inputNew, false},
		"the one that came late":            {inputAt("/payment", 8, 9), inputConsumed, true},
		"between two, higher version":       {inputAt("/payment", 9, 9), inputNew, true},
		"before all":                        {inputAt("/payment", 1, 1), inputNew, true},
		"a later commit, lower version":     {inputAt("/payment", 11, 1), inputNew, false},
		"another source, later":             {inputAt("/shipment", 11, 1), inputNew, false},
		"another source, earlier":           {inputAt("/shipment", 9, 1), inputNew, true},
		"another timer":                     {inputAt("/timer/sla", 0, 1), inputNew, false},
		"the same timer":                    {inputAt("/timer/step", 0, 7), inputConsumed, true},
		"the same timer as it was set once": {inputAt("/timer/step", 0, 3), inputConsumed, true},
		"the timer set again":               {inputAt("/timer/step", 0, 9), inputNew, false},
		"no input":                          {InputRef{}, inputNew, false},
	} {
		if got := folded.consumed(c.input); got != c.want {
			t.Errorf("%s: consumed is %v, want %v", name, got, c.want)
		}
		if passed := folded.passed(c.input); passed != c.passed {
			t.Errorf("%s: passed is %t, want %t", name, passed, c.passed)
		}
	}
}

// Inputs are taken in turn, set aside, released in whatever order and taken again
// after crashes, and the fold goes through snapshots of this form and of the form
// that earlier releases stored. Each input takes effect once, and the history
// is asked for old ones only.
func TestEachInputTakesEffectOnce(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		m := &inputModel{rng: rng, effects: map[InputRef]int{}, listsAll: true}
		n := 1 + rng.IntN(3*inputLogSize)
		var taken, parked, released []InputRef
		for i := range n {
			r := inputAt("/payment", uint64(1+i/2), uint64(1+i%2))
			if rng.IntN(4) == 0 {
				parked = append(parked, r)
			} else {
				m.take(t, r, false)
				taken = append(taken, r)
			}
			if rng.IntN(10) == 0 { // a crash: what was taken last is taken again
				for _, r := range taken[rng.IntN(len(taken)+1):] {
					m.take(t, r, false)
				}
			}
			if rng.IntN(10) == 0 || i == n-1 {
				rng.Shuffle(len(parked), func(i, j int) { parked[i], parked[j] = parked[j], parked[i] })
				released = append(released, parked...)
				parked = nil
				for _, r := range released { // those of earlier releases again
					m.take(t, r, true)
				}
			}
		}
		for i := range n {
			r := inputAt("/payment", uint64(1+i/2), uint64(1+i%2))
			if m.effects[r] != 1 {
				t.Fatalf("seed %d: input %s of %d took effect %d times", seed, r.place(), n, m.effects[r])
			}
		}
		if m.listsAll && n <= inputLogSize && m.asked > 0 {
			t.Fatalf("seed %d: the history was asked %d times for %d inputs, which all are listed", seed, m.asked, n)
		}
	}
}

// inputModel is an instance that consumes each input that it takes.
type inputModel struct {
	rng      *rand.Rand
	log      inputLog
	effects  map[InputRef]int // the history
	asked    int              // it
	listsAll bool             // the log was never in the earlier form
}

func (m *inputModel) take(t *testing.T, r InputRef, outOfTurn bool) {
	seen := m.log.passed(r)
	if outOfTurn {
		switch m.log.consumed(r) {
		case inputNew:
			seen = false
		case inputConsumed:
			seen = true
		case inputPerhaps:
			m.asked++
			seen = m.effects[r] > 0
		}
	}
	if !seen {
		m.effects[r]++
		m.log = m.log.with(r)
	}
	switch m.rng.IntN(20) {
	case 0:
		m.log = throughSnapshot(t, m.log, false)
	case 1:
		m.log, m.listsAll = throughSnapshot(t, m.log, true), false
	}
	if known := m.log["events"]; len(known.Recent) > inputLogSize {
		t.Fatalf("%d inputs are listed, want at most %d", len(known.Recent), inputLogSize)
	}
}

// throughSnapshot stores and loads the log; old: in the form without a list.
func throughSnapshot(t *testing.T, log inputLog, old bool) inputLog {
	t.Helper()
	var stored any = log
	if old {
		places := map[string]inputPlace{}
		for stream, known := range log {
			places[stream] = known.inputPlace
		}
		stored = places
	}
	text, err := json.Marshal(stored)
	if err != nil {
		t.Fatal(err)
	}
	var loaded inputLog
	if err := json.Unmarshal(text, &loaded); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return loaded
}

// Snapshots that are stored keep their meaning.
func TestStoredFormOfConsumedInputs(t *testing.T) {
	log := inputLog{}.with(inputAt("/payment", 10, 4)).with(inputAt("/payment", 8, 1)).with(inputAt("/timer/step", 0, 7))
	text, err := json.Marshal(log, json.Deterministic(true))
	const want = `{"/timer/step":{"version":7},"events":{"position":"0-10","version":4,"recent":["0-8/1","0-10/4"]}}`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v, want %s", text, err, want)
	}
	var earlier inputLog
	if err := json.Unmarshal([]byte(`{"events":{"position":"0-10","version":4},"/timer/step":{"version":7}}`), &earlier); err != nil {
		t.Fatal(err)
	}
	for r, want := range map[InputRef]inputSeen{
		inputAt("/payment", 10, 4): inputConsumed, inputAt("/payment", 10, 3): inputPerhaps,
		inputAt("/payment", 11, 1): inputNew, inputAt("/timer/step", 0, 7): inputConsumed,
	} {
		if got := earlier.consumed(r); got != want {
			t.Errorf("%s: %v, want %v", r.place(), got, want)
		}
	}
	var broken inputLog
	if err := json.Unmarshal([]byte(`{"events":{"position":"0-10","version":4,"recent":["nonsense"]}}`), &broken); err == nil {
		t.Error("a list that cannot be read is accepted")
	}
}
