package fulfilment

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/b144f99b/orderflow/pkg/events"
)

// Under any finite schedule of delays, silences, failures, late and repeated
// inputs, wishes of the customer and decisions of operators, every fulfilment ends, or asks for
// attention, and the participants' books agree with how it ended.
func TestEveryFulfilmentEndsTruthfully(t *testing.T) {
	patient, impatient := machines(t)
	rapid.Check(t, func(rt *rapid.T) {
		newWorld(rt, patient, impatient, func(label string, options int) int {
			return rapid.IntRange(0, options-1).Draw(rt, label)
		}).run()
	})
}

// The same with one fixed sequence of chances, long enough to come everywhere.
func TestSimulationReachesEveryEnd(t *testing.T) {
	patient, impatient := machines(t)
	chances := rand.New(rand.NewPCG(1, 2))
	ends, rows := map[string]int{}, map[string]int{}
	for range 3000 {
		w := newWorld(t, patient, impatient, func(_ string, options int) int { return chances.IntN(options) })
		w.run()
		ends[w.end()]++
		for id := range w.rows {
			rows[id]++
		}
	}
	for _, end := range []string{
		"COMPLETED", "COMPENSATED out_of_stock", "COMPENSATED inventory_timeout", "COMPENSATED customer", "COMPENSATED declined",
		"COMPENSATED payment_window", "COMPENSATED payment_unknown", "COMPENSATED no_carrier", "COMPENSATED carrier_timeout",
		"COMPENSATED capture_failed", "COMPENSATED sla", "COMPENSATED operator", "ATTENTION paid_without_stock",
	} {
		if ends[end] == 0 {
			t.Errorf("no run ended as %s: %v", end, ends)
		}
	}
	effective := slices.DeleteFunc(Table(), func(r Row) bool { return len(r.Facts) == 0 })
	reached := len(slices.DeleteFunc(slices.Clone(effective), func(r Row) bool { return rows[r.ID] == 0 }))
	if reached*2 < len(effective) {
		t.Errorf("only %d of %d rows from which something follows were reached", reached, len(effective))
	}
}

// machines returns one with the default policy and one that gives up soon.
func machines(t *testing.T) (patient, impatient *Machine) {
	t.Helper()
	return newTale(t).machine, newTale(t, policyOf(t, "two attempts")).machine
}

// run tells one order's whole story and checks its end.
func (w *world) run() {
	w.faults, w.rarity = w.chance("faults", 24), 1<<w.chance("rarity", 6)
	if w.chance("impatience", 2) == 0 {
		w.machine = w.impatient
	}
	mayCancel := w.chance("cancel", 3) == 0
	for range w.chance("steps", 120) {
		switch n := w.chance("step", 32); {
		case n < 20:
			w.next(readers[n%len(readers)])
		case n < 23:
			w.fire(false)
		case n < 25:
			w.fire(true)
		case n == 25:
			if mayCancel {
				w.cancel()
			}
		case n == 26:
			w.setMethod()
		case n == 27:
			w.decide()
		case n < 30:
			w.again()
		default:
			w.next("saga")
		}
	}
	w.settle()
	w.check()
}

// settle lets everybody read on and every timer fire until nothing happens any
// more, or until the fulfilment does nothing but wait for people and ask each hour.
func (w *world) settle() {
	for range 600 {
		if w.order.awaits && w.chance("another method", 4) == 0 {
			w.setMethod()
		}
		if len(w.news) > 0 && (w.quiet() && w.saga.Status.Terminal() || w.chance("the news come", 16) == 0) {
			w.news[0]()
			w.news = w.news[1:]
		}
		if !w.quiet() {
			for _, reader := range readers {
				w.next(reader)
			}
			continue
		}
		if w.saga.Attention != "" && w.chance("somebody looks", 8) == 0 {
			w.decide()
			continue
		}
		if w.saga.Status.Terminal() || !w.fire(true) {
			return
		}
	}
	if w.saga.Attention != "" {
		return
	}
	w.t.Fatalf("%s never settles: %s", w.saga.Status, w.story())
}

func (w *world) end() string {
	switch {
	case w.saga.Attention != "":
		return "ATTENTION " + w.saga.Attention
	case w.saga.Status == Compensated:
		return "COMPENSATED " + w.saga.Compensation.Cause
	}
	return string(w.saga.Status)
}

func (w *world) story() string {
	var b strings.Builder
	for _, e := range w.log {
		fmt.Fprintf(&b, "\n%s %s %+v", e.at.Format("15:04:05.000"), e.event.EventType(), e.event)
	}
	return b.String()
}

// check compares the saga's own account with the witnesses'.
func (w *world) check() {
	w.t.Helper()
	fail := func(format string, args ...any) {
		w.t.Helper()
		w.t.Errorf(format+"\n%s", append(args, w.story())...)
	}
	if !w.saga.Status.Terminal() && w.saga.Attention == "" {
		fail("rests in %s and asks nobody for attention", w.saga.Status)
	}

	terminal, captured := 0, false
	requests := map[string]bool{}
	for _, e := range w.history {
		switch e.(type) {
		case events.FulfilmentCompleted:
			terminal++
		case events.FulfilmentCompensated:
			terminal++
			c := w.saga.Compensation
			for _, step := range c.Plan {
				if step != events.StepUndoOrder && !slices.Contains(c.Undone, step) {
					fail("compensated, but %s was never confirmed as undone", step)
				}
			}
		case events.CaptureSucceeded:
			captured = true
		case events.CompensationStarted:
			if captured {
				fail("undone after the capture")
			}
		}
		if id := requestOf(e); id != "" {
			if requests[id] {
				fail("two requests are %s", id)
			}
			requests[id] = true
		}
	}
	if want := map[bool]int{true: 1, false: 0}[w.saga.Status.Terminal()]; terminal != want {
		fail("%d terminal events in %s", terminal, w.saga.Status)
	}
	if again := fold(State{}, w.history); text(w.t, again) != text(w.t, w.saga) {
		fail("folded twice:\n%s\n%s", text(w.t, again), text(w.t, w.saga))
	}
	w.checkWitnesses(fail)
}

// checkWitnesses: a completed order is paid once, committed and on its way; of
// a compensated one nobody keeps anything.
func (w *world) checkWitnesses(fail func(string, ...any)) {
	kept, held, moving, twice := 0, 0, 0, false
	for _, p := range w.payments {
		twice = twice || p.refunded && p.transferred
		if p.captured && !p.refunded && !p.transferred {
			kept++
		} else if p.authorized && !p.captured {
			held++
		}
	}
	lost := 0
	for _, s := range w.shipments {
		if s.lost {
			lost++
		} else if s.booked || s.dispatched {
			moving++
		}
	}
	seen := w.askedFor(attentionTwice)
	if twice && w.saga.Status == Compensated && !seen {
		fail("the money went back twice, and nobody is asked")
	} else if !twice && seen {
		fail("people are asked about money that went back once")
	}
	switch w.saga.Status {
	case Completed:
		if len(w.stock.left) != moving+lost {
			fail("completed: goods left for %v, and %d parcels are lost", w.stock.left, lost)
		}
		if kept != 1 || held != 0 || moving != 1 || !w.stock.committed || !w.order.completed || w.order.ended != nil {
			fail("completed: payments kept %d, held %d, shipments %d, stock %+v, order %+v", kept, held, moving, w.stock, w.order)
		}
	case Compensated:
		if kept != 0 || held != 0 || moving != 0 || (w.stock.reserved && !w.stock.released) || w.stock.committed || w.order.ended == nil || w.order.paid {
			fail("compensated: payments kept %d, held %d, shipments %d, stock %+v, order %+v", kept, held, moving, w.stock, w.order)
		}
		if want := w.saga.Compensation.Outcome; outcomeOf(w.order.ended) != want {
			fail("the order ended as %T, decided was %s", w.order.ended, want)
		}
	}
}

func outcomeOf(e events.Event) events.Outcome {
	switch e.(type) {
	case events.OrderRejected:
		return events.OutcomeRejected
	case events.OrderCancelled:
		return events.OutcomeCancelled
	case events.OrderExpired:
		return events.OutcomeExpired
	}
	return ""
}

// requestOf returns the request id of a requesting event.
func requestOf(e events.Event) string {
	switch e := e.(type) {
	case events.ReservationRequested:
		return e.RequestID
	case events.AuthorizationRequested:
		return e.RequestID
	case events.AuthorizationCheckRequested:
		return e.RequestID
	case events.ConfirmationRequested:
		return e.RequestID
	case events.ShipmentBookingRequested:
		return e.RequestID
	case events.ShipmentRebookRequested:
		return e.RequestID
	case events.CaptureRequested:
		return e.RequestID
	case events.CaptureCheckRequested:
		return e.RequestID
	case events.DispatchRequested:
		return e.RequestID
	case events.StockCommitRequested:
		return e.RequestID
	case events.CompletionRequested:
		return e.RequestID
	case events.ShipmentCancellationRequested:
		return e.RequestID
	case events.VoidRequested:
		return e.RequestID
	case events.FulfilmentRefundRequested:
		return e.RequestID
	case events.ReleaseRequested:
		return e.RequestID
	case events.OutcomeDecided:
		return e.RequestID
	}
	return ""
}
