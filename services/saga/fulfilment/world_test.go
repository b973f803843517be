package fulfilment

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// world is one order, its fulfilment and its participants on one log. Each of
// them reads the log at its own pace; chance says who goes next, what fails, and
// what a participant keeps to itself. The participants tell the truth: they are
// the witness of what became of money, goods and parcel.
type world struct {
	t                  rapid.TB
	machine, impatient *Machine
	chance             func(label string, options int) int // 0 <= result < options
	now                time.Time
	faults             int // that may still happen
	rarity             int // of faults: one in so many opportunities

	log  []entry
	read map[string]int // by reader

	saga    State
	history []events.Event  // of the saga
	rows    map[string]bool // that applied
	caused  map[string]bool
	idle    []entry // what the saga read lately and had nothing to do for
	fired   map[esjs.Timer]bool

	order     orderWitness
	stock     stockWitness
	payments  map[string]*paymentWitness
	shipments map[string]*shipmentWitness
	news      []func() // what the provider did and tells later
}

type entry struct {
	id      string
	stream  esjs.StreamID
	version uint64
	event   events.Event
	at      time.Time
}

type orderWitness struct {
	version                                uint64
	cancelOpen, confirmed, paid, completed bool
	ended                                  events.Event
	awaits                                 bool
}

type stockWitness struct {
	reserved, released, rejected, committed, expired bool
	expires                                          time.Time
	left                                             map[string]bool // goods that left, by the shipment in whose place; "": the reserved ones
}

// paymentWitness is the provider's book: what it says happened, whoever knows of it.
type paymentWitness struct {
	authorized, declined, voided, captured, refunded bool
	transferred                                      bool // an operator gave the money back by bank
}

type shipmentWitness struct{ booked, cancelled, dispatched, lost bool }

func newWorld(t rapid.TB, patient, impatient *Machine, chance func(string, int) int) *world {
	w := &world{
		t: t, machine: patient, impatient: impatient, chance: chance, now: submittedAt, rows: map[string]bool{},
		read: map[string]int{}, caused: map[string]bool{}, fired: map[esjs.Timer]bool{},
		stock: stockWitness{left: map[string]bool{}}, payments: map[string]*paymentWitness{}, shipments: map[string]*shipmentWitness{},
	}
	w.says(events.CategoryOrder, orderID, events.PaymentMethodSet{MethodRef: "card-0"})
	w.says(events.CategoryOrder, orderID, submitted(t))
	return w
}

// says stores an event of a participant.
func (w *world) says(category, key string, e events.Event) {
	if category == events.CategoryOrder {
		w.order.version++
	}
	w.log = append(w.log, entry{id: fmt.Sprint("e", len(w.log)), stream: esjs.StreamID{Category: category, Key: key}, version: w.order.version, event: e, at: w.now})
}

// fails tells whether a fault that may happen does.
func (w *world) fails(label string) bool {
	if w.faults > 0 && w.chance(label, w.rarity) == 0 {
		w.faults--
		return true
	}
	return false
}

// next lets a reader take its next entry; false when it has read everything.
func (w *world) next(reader string) bool {
	for w.read[reader] < len(w.log) {
		e := w.log[w.read[reader]]
		w.read[reader]++
		w.now = w.now.Add(time.Millisecond)
		switch {
		case reader == "saga" && e.stream.Category != events.CategoryFulfilment:
			w.react(e)
			return true
		case reader != "saga" && e.stream.Category == events.CategoryFulfilment:
			if !w.fails("silence of " + reader) {
				w.participant(reader, e.event)
			}
			return true
		}
	}
	return false
}

// react gives the saga an input. As in a real process, one that caused
// something is recognised when it comes again.
func (w *world) react(e entry) {
	if w.caused[e.id] {
		return
	}
	if w.append(Input{Event: e.event, EventID: e.id, Stream: e.stream, Version: e.version, At: e.at}) {
		w.caused[e.id] = true
	} else {
		w.idle = append(w.idle, e)
	}
}

// again shows the saga what it had nothing to do for, as after a crash.
func (w *world) again() {
	if len(w.idle) > 0 {
		w.react(w.idle[w.chance("again", len(w.idle))])
	}
}

// fire lets the next timer fire, when it is due or by waiting for it; false when none is armed.
func (w *world) fire(wait bool) bool {
	var first *esjs.Timer
	for _, timer := range w.machine.Timers(w.saga) {
		if !w.fired[timer] && (first == nil || timer.At.Before(first.At)) {
			first = &timer
		}
	}
	if first == nil || (!wait && first.At.After(w.now)) {
		return first != nil
	}
	if first.At.After(w.now) {
		w.now = first.At
	}
	w.fired[*first] = true
	w.append(Input{Timer: first.Name, At: w.now})
	return true
}

func (w *world) append(in Input) bool {
	r, err := w.machine.React(w.saga, in)
	if err != nil {
		w.t.Fatal(err)
	}
	if r.Row != nil {
		w.rows[r.Row.ID] = true
	}
	for _, e := range r.Events {
		w.saga = Apply(w.saga, e)
		w.history = append(w.history, e)
		w.log = append(w.log, entry{stream: esjs.StreamID{Category: events.CategoryFulfilment, Key: orderID}, event: e, at: w.now})
		if late, ok := e.(events.LateEffectDetected); ok {
			w.refundProcess(late)
		}
	}
	return len(r.Events) > 0
}

// quiet tells that everybody has read everything.
func (w *world) quiet() bool {
	for _, reader := range readers {
		if w.read[reader] < len(w.log) {
			return false
		}
	}
	return true
}

var readers = []string{"saga", "order", "inventory", "payment", "shipping"}

func (w *world) participant(name string, e events.Event) {
	switch name {
	case "order":
		w.orderReads(e)
	case "inventory":
		w.inventoryReads(e)
	case "payment":
		w.paymentReads(e)
	case "shipping":
		w.shippingReads(e)
	}
}

// cancel is the customer's wish, while the order takes it.
func (w *world) cancel() {
	if !w.order.cancelOpen && !w.order.paid && w.order.ended == nil {
		w.order.cancelOpen = true
		w.says(events.CategoryOrder, orderID, events.OrderCancellationRequested{Reason: "wish", By: "c-1"})
	}
}

// setMethod is the customer's other card, while the order awaits it.
func (w *world) setMethod() {
	if w.order.awaits && w.order.ended == nil {
		w.order.awaits = false
		w.says(events.CategoryOrder, orderID, events.PaymentMethodSet{MethodRef: "card-2"})
	}
}

// decide is what an operator does when people are asked, and never what is not true:
// the money that nobody is known to have given back, the operator gives back.
func (w *world) decide() {
	if w.saga.Attention == "" {
		return
	}
	o := Operator{Action: Actions()[w.chance("action", 3)], OrderID: orderID, By: "alice", Reason: "somebody had to"}
	if open := w.saga.openSteps(); o.Action == Resolve && len(open) > 0 {
		o.Step = open[w.chance("which step", len(open))]
		if p := w.payment(w.saga.PaymentID); o.Step == events.StepUndoPayment && p.captured && w.saga.Asked[refund] > 0 {
			p.transferred = true
		} else if !w.isDone(o.Step) {
			return
		}
		o.Evidence = "seen"
	}
	w.append(Input{Operator: &o, At: w.now})
}

// isDone tells what a step's participant would say, if it said anything.
func (w *world) isDone(step events.Step) bool {
	parcel, payment := w.shipment(w.saga.ShipmentID), w.payment(w.saga.PaymentID)
	switch step {
	case events.StepDispatch:
		return parcel.dispatched && !parcel.lost
	case events.StepCommit:
		return w.stock.left[w.saga.TakesFor]
	case events.StepUndoShipment:
		return parcel.cancelled
	case events.StepUndoPayment:
		return payment.voided || payment.refunded
	case events.StepUndoStock:
		return w.stock.released
	}
	return false
}
