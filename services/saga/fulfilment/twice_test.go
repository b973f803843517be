package fulfilment

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/b144f99b/orderflow/pkg/events"
)

// Stories where the provider captures late and tells of no refund in time, and operators
// give the money back by bank: what goes back twice comes to people.
func TestSimulationOfMoneyThatGoesBackTwice(t *testing.T) {
	comesThrough(t, map[string]int{"impatience": 0, "faults": 23, "rarity": 5, "capture denied and done": 0, "refund not heard of": 0, "action": 1},
		"A2h", "L3a", "L3b", "C7")
}

// Stories where the provider declines, and authorises or captures all the same: while another card
// is awaited, when it took the place of the first one, and after the end.
func TestSimulationOfDeclinesThatDoNotLast(t *testing.T) {
	comesThrough(t, map[string]int{"faults": 23, "rarity": 5, "declined": 0, "soft": 0, "declined, and not for good": 0},
		"F9a", "F9c", "F30", "C5", "C6a", "C7", "L1a", "L4a")
}

// comesThrough runs stories in which some things happen whenever they can, and demands that they come through rows.
func comesThrough(t *testing.T, often map[string]int, rows ...string) {
	t.Helper()
	patient, impatient := machines(t)
	chances := rand.New(rand.NewPCG(3, 4))
	came := map[string]int{}
	for range 300 {
		w := newWorld(t, patient, impatient, func(label string, options int) int {
			if n, ok := often[label]; ok {
				return n
			}
			return chances.IntN(options)
		})
		w.run()
		for id := range w.rows {
			came[id]++
		}
	}
	for _, id := range rows {
		if came[id] == 0 {
			t.Errorf("no run came through row %s: %v", id, came)
		}
	}
}

// askedFor tells that people were asked with this code.
func (w *world) askedFor(code string) bool {
	return slices.ContainsFunc(w.history, func(e events.Event) bool {
		asked, ok := e.(events.AttentionRequired)
		return ok && asked.Code == code
	})
}
