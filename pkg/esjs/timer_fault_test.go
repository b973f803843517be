package esjs_test

import (
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// A lost request, a lost answer, a false refusal and a lost connection are settled at once, and do
// not last until the context ends.
func TestTimersAreSetAndCancelledThroughFaults(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		_, stream := openTimers(t, d, "sales")
		id := esjs.StreamID{Category: "quote", Key: "q-1"}
		for name, arm := range map[string]func(*esjstest.Faults){
			"lost-answer":     func(f *esjstest.Faults) { f.LoseAcks(1) },
			"lost-request":    func(f *esjstest.Faults) { f.LoseAppends(1) },
			"false-refusal":   func(f *esjstest.Faults) { f.RefuseAppends(1) },
			"lost-connection": func(f *esjstest.Faults) { f.BeforeRequest(1, f.Disconnect) },
			"lost-settling":   func(f *esjstest.Faults) { f.LoseAcks(1); f.BeforeRequest(2, f.Disconnect) },
		} {
			f := d.Faults()
			store, err := esjs.Open(within(t), f.Dial(), d.Config())
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			timers, err := esjs.OpenTimers(within(t), store, "sales")
			if err != nil {
				t.Fatal(err)
			}
			timer := esjs.Timer{Name: name, At: time.Now().Add(time.Hour), Version: 1}
			next := timer
			next.Version = 2
			arm(f)
			if err := timers.Set(within(t), id, timer); err != nil || f.Armed() != 0 {
				t.Errorf("%s: set: %v, %d faults did not come", name, err, f.Armed())
			}
			arm(f)
			if err := timers.Replace(within(t), id, timer, next); err != nil || f.Armed() != 0 {
				t.Errorf("%s: replace: %v, %d faults did not come", name, err, f.Armed())
			}
			for _, subject := range timersNow(t, stream, "sales") {
				switch subject {
				case "set.quote.q-1." + name + ".2", "cancelled.quote.q-1." + name + ".1": // taken back in one step, or in two
				default:
					t.Errorf("%s: %s is there", name, subject)
				}
			}
			f.BeforeRequest(1, f.Disconnect)
			if err := timers.Cancel(within(t), id, next); err != nil || f.Armed() != 0 {
				t.Errorf("%s: cancel: %v, %d faults did not come", name, err, f.Armed())
			}
			if err := stream.Purge(within(t)); err != nil {
				t.Fatal(err)
			}
		}
	})
}
