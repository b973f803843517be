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
}

// paymentWitness is the provider's book: what it says happened, whoever knows of it.
type paymentWitness struct {
	authorized, declined, voided, captured, refunded bool
}

type shipmentWitness struct{ booked, cancelled, dispatched, lost bool }

func newWorld(t rapid.TB, patient, impatient *Machine, chance func(string, int) int) *world {
	w := &world{
		t: t, machine: patient, impatient: impatient, chance: chance, now: submittedAt, rows: map[string]bool{},
		read: map[string]int{}, caused: map[string]bool{}, fired: map[esjs.Timer]bool{},
		payments: map[string]*paymentWitness{}, shipments: map[string]*shipmentWitness{},
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

func (w *world) orderReads(e events.Event) {
	say := func(e events.Event) { w.says(events.CategoryOrder, orderID, e) }
	switch e := e.(type) {
	case events.PaymentMethodAwaited:
		w.order.awaits = true
	case events.ConfirmationRequested:
		if w.order.cancelOpen && !w.order.confirmed {
			say(events.OrderConfirmationRefused{RequestID: e.RequestID, Reason: "cancellation"})
		} else {
			w.order.confirmed = true
			say(events.OrderConfirmed{RequestID: e.RequestID})
		}
	case events.CaptureSucceeded:
		w.order.paid = true
	case events.CancellationRefused:
		w.order.cancelOpen = false
	case events.CompletionRequested:
		w.order.completed = true
		say(events.OrderCompleted{RequestID: e.RequestID})
	case events.OutcomeDecided:
		switch e.Outcome {
		case events.OutcomeRejected:
			w.order.ended = events.OrderRejected{RequestID: e.RequestID, Code: e.Code}
		case events.OutcomeCancelled:
			w.order.ended = events.OrderCancelled{RequestID: e.RequestID, Reason: e.Reason, By: e.By}
		case events.OutcomeExpired:
			w.order.ended = events.OrderExpired{RequestID: e.RequestID}
		}
		say(w.order.ended)
	}
}

func (w *world) inventoryReads(e events.Event) {
	say := func(e events.Event) { w.says(events.CategoryReservation, orderID, e) }
	if w.stock.reserved && !w.stock.committed && w.now.After(w.stock.expires) {
		w.stock.reserved, w.stock.expired = false, true
		say(events.ReservationExpired{OrderID: orderID})
	}
	switch e := e.(type) {
	case events.ReservationRequested:
		switch {
		case w.stock.released:
			say(events.ReservationVoided{OrderID: orderID, RequestID: e.RequestID})
		case w.stock.reserved:
			say(events.ReservationConfirmed{OrderID: orderID, RequestID: e.RequestID, ReservationID: orderID, Lines: e.Lines, ExpiresAt: w.stock.expires})
		case w.stock.rejected || w.fails("out of stock"):
			w.stock.rejected = true
			say(events.ReservationRejected{OrderID: orderID, RequestID: e.RequestID, Code: events.ReservationOutOfStock})
		case w.fails("inventory busy"):
			say(events.ReservationRejected{OrderID: orderID, RequestID: e.RequestID, Code: events.ReservationBusy})
		default:
			w.stock.reserved, w.stock.expires = true, e.ExpiresAt
			say(events.ReservationConfirmed{OrderID: orderID, RequestID: e.RequestID, ReservationID: orderID, Lines: e.Lines, ExpiresAt: e.ExpiresAt})
		}
	case events.ReleaseRequested:
		if held := w.stock.reserved; held || w.stock.released || w.stock.expired {
			say(events.ReservationReleased{OrderID: orderID, RequestID: e.RequestID, NothingHeld: !held})
		} else {
			say(events.ReservationVoided{OrderID: orderID, RequestID: e.RequestID})
		}
		w.stock.reserved, w.stock.released = false, true
	case events.StockCommitRequested:
		if !w.stock.reserved && !w.stock.committed {
			say(events.ReservationCommitFailed{OrderID: orderID, RequestID: e.RequestID, Code: events.ReservationGone})
			return
		}
		w.stock.committed = true
		say(events.ReservationCommitted{OrderID: orderID, RequestID: e.RequestID})
	}
}

func (w *world) payment(id string) *paymentWitness {
	if w.payments[id] == nil {
		w.payments[id] = &paymentWitness{}
	}
	return w.payments[id]
}

func (w *world) paymentReads(e events.Event) {
	switch e := e.(type) {
	case events.AuthorizationRequested:
		p := w.payment(e.PaymentID)
		if !p.authorized && !p.declined && !p.voided && !w.fails("authorisation lost on its way") {
			p.declined = w.fails("declined")
			p.authorized = !p.declined
		}
		if w.fails("authorisation not heard of") {
			w.says(events.CategoryPayment, e.PaymentID, events.PaymentOutcomeUnknown{OrderID: orderID, RequestID: e.RequestID, Op: events.OperationAuthorize})
			return
		}
		w.tellAuthorization(e.PaymentID, e.RequestID)
	case events.AuthorizationCheckRequested:
		w.tellAuthorization(e.PaymentID, e.RequestID)
	case events.CaptureRequested:
		p := w.payment(e.PaymentID)
		if p.authorized && !p.captured && w.fails("capture denied and done") {
			// The provider answers no, and tells later that it was done.
			p.captured = true
			w.says(events.CategoryPayment, e.PaymentID, events.PaymentCaptureFailed{OrderID: orderID, RequestID: e.RequestID, Code: "error"})
			w.says(events.CategoryPayment, e.PaymentID, events.PaymentCaptured{OrderID: orderID, CaptureID: "c", Amount: euros(w.t, "24.90"), PSPEventID: "evt"})
			return
		}
		if p.authorized && !p.captured && !w.fails("capture lost on its way") {
			if w.fails("authorisation ended") {
				p.authorized = false
			} else {
				p.captured = true
			}
		}
		if w.fails("capture not heard of") {
			w.says(events.CategoryPayment, e.PaymentID, events.PaymentOutcomeUnknown{OrderID: orderID, RequestID: e.RequestID, Op: events.OperationCapture})
			return
		}
		w.tellCapture(e.PaymentID, e.RequestID)
	case events.CaptureCheckRequested:
		if w.fails("check fails") {
			w.says(events.CategoryPayment, e.PaymentID, events.PaymentOutcomeUnknown{OrderID: orderID, RequestID: e.RequestID, Op: events.OperationCapture})
			return
		}
		w.tellCapture(e.PaymentID, e.RequestID)
	case events.VoidRequested:
		p := w.payment(e.PaymentID)
		switch {
		case p.captured:
			w.says(events.CategoryPayment, e.PaymentID, events.PaymentVoidFailed{OrderID: orderID, RequestID: e.RequestID, Code: "captured"})
		case w.fails("void fails"):
			w.says(events.CategoryPayment, e.PaymentID, events.PaymentVoidFailed{OrderID: orderID, RequestID: e.RequestID, Code: "busy"})
		default:
			held := p.authorized
			p.authorized, p.voided = false, true
			w.says(events.CategoryPayment, e.PaymentID, events.PaymentVoided{OrderID: orderID, RequestID: e.RequestID, NothingHeld: !held})
		}
	case events.FulfilmentRefundRequested:
		w.payment(e.PaymentID).refunded = true
		w.says(events.CategoryPayment, e.PaymentID, events.PaymentRefunded{OrderID: orderID, RequestID: e.RequestID, RefundID: e.RefundID, Amount: e.Amount, TotalRefunded: e.Amount})
	}
}

func (w *world) tellAuthorization(id, request string) {
	p := w.payment(id)
	switch {
	case p.authorized || p.captured:
		w.says(events.CategoryPayment, id, events.PaymentAuthorized{OrderID: orderID, RequestID: request, AuthID: "a", Amount: euros(w.t, "24.90"), ExpiresAt: w.now.Add(20 * time.Hour)})
	case p.declined:
		class := events.DeclineHard
		if w.chance("soft", 2) == 0 {
			class = events.DeclineSoft
		}
		w.says(events.CategoryPayment, id, events.PaymentDeclined{OrderID: orderID, RequestID: request, Code: "no", Class: class})
	case p.voided:
		w.says(events.CategoryPayment, id, events.PaymentDeclined{OrderID: orderID, RequestID: request, Code: "voided", Class: events.DeclineHard})
	default:
		w.says(events.CategoryPayment, id, events.PaymentNotFound{OrderID: orderID, RequestID: request, Op: events.OperationAuthorize})
	}
}

func (w *world) tellCapture(id, request string) {
	p := w.payment(id)
	switch {
	case p.captured:
		w.says(events.CategoryPayment, id, events.PaymentCaptured{OrderID: orderID, RequestID: request, CaptureID: "c", Amount: euros(w.t, "24.90")})
	case p.authorized:
		w.says(events.CategoryPayment, id, events.PaymentNotFound{OrderID: orderID, RequestID: request, Op: events.OperationCapture})
	default:
		w.says(events.CategoryPayment, id, events.PaymentCaptureFailed{OrderID: orderID, RequestID: request, Code: "expired"})
	}
}

func (w *world) shipment(id string) *shipmentWitness {
	if w.shipments[id] == nil {
		w.shipments[id] = &shipmentWitness{}
	}
	return w.shipments[id]
}

func (w *world) shippingReads(e events.Event) {
	book := func(id, request string) {
		s := w.shipment(id)
		switch {
		case s.cancelled:
			w.says(events.CategoryShipment, id, events.ShipmentVoided{OrderID: orderID, RequestID: request})
		case !s.booked && w.fails("no carrier"):
			w.says(events.CategoryShipment, id, events.ShipmentBookingFailed{OrderID: orderID, RequestID: request, Code: "no", Transient: w.chance("transient", 2) == 0})
		default:
			s.booked = true
			w.says(events.CategoryShipment, id, events.ShipmentBooked{OrderID: orderID, RequestID: request, Carrier: "dhl"})
		}
	}
	switch e := e.(type) {
	case events.ShipmentBookingRequested:
		book(e.ShipmentID, e.RequestID)
	case events.ShipmentRebookRequested:
		book(e.ShipmentID, e.RequestID)
	case events.ShipmentCancellationRequested:
		s := w.shipment(e.ShipmentID)
		booked := s.booked
		s.booked, s.cancelled = false, true
		if booked {
			w.says(events.CategoryShipment, e.ShipmentID, events.ShipmentCancelled{OrderID: orderID, RequestID: e.RequestID})
		} else {
			w.says(events.CategoryShipment, e.ShipmentID, events.ShipmentVoided{OrderID: orderID, RequestID: e.RequestID})
		}
	case events.DispatchRequested:
		s := w.shipment(e.ShipmentID)
		if s.lost || w.fails("lost parcel") {
			s.lost = true
			w.says(events.CategoryShipment, e.ShipmentID, events.ShipmentLost{OrderID: orderID})
			return
		}
		s.dispatched = true
		w.says(events.CategoryShipment, e.ShipmentID, events.ShipmentDispatched{OrderID: orderID, RequestID: e.RequestID, Tracking: []string{"T"}})
	}
}
