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
	patient, impatient := machines(t)
	chances := rand.New(rand.NewPCG(3, 4))
	often := map[string]int{"impatience": 0, "faults": 23, "rarity": 5, "capture denied and done": 0, "refund not heard of": 0, "action": 1}
	rows := map[string]int{}
	for range 300 {
		w := newWorld(t, patient, impatient, func(label string, options int) int {
			if n, ok := often[label]; ok {
				return n
			}
			return chances.IntN(options)
		})
		w.run()
		for id := range w.rows {
			rows[id]++
		}
	}
	for _, id := range []string{"A2h", "L3a", "L3b", "C7"} {
		if rows[id] == 0 {
			t.Errorf("no run came through row %s: %v", id, rows)
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
