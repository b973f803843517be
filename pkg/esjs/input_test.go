package esjs

import "testing"

func TestInputsKnowWhatWasConsumed(t *testing.T) {
	at := func(source string, sequence, version uint64) InputRef {
		return InputRef{ID: "i", Source: source, Position: Position{sequence: sequence}, Version: version}
	}
	var none inputLog
	folded := none.with(at("/payment", 10, 4)).with(at("/timer/step", 0, 7)).with(at("/payment", 9, 9)).with(InputRef{})
	if len(none) != 0 || len(folded) != 2 {
		t.Fatalf("folding changed the earlier value or kept too much: %v, %v", none, folded)
	}
	for name, c := range map[string]struct {
		input InputRef
		want  bool
	}{
		"the same":                          {at("/payment", 10, 4), true},
		"earlier in the same commit":        {at("/payment", 10, 3), true},
		"later in the same commit":          {at("/payment", 10, 5), false},
		"an earlier commit, higher version": {at("/payment", 9, 9), true},
		"a later commit, lower version":     {at("/payment", 11, 1), false},
		"another source, later":             {at("/shipment", 11, 1), false},
		"another source, earlier":           {at("/shipment", 8, 1), true},
		"another timer":                     {at("/timer/sla", 0, 1), false},
		"the same timer":                    {at("/timer/step", 0, 7), true},
		"the timer set again":               {at("/timer/step", 0, 9), false},
		"no input":                          {InputRef{}, false},
	} {
		if got := folded.consumed(c.input); got != c.want {
			t.Errorf("%s: consumed is %v, want %v", name, got, c.want)
		}
	}
}
