package simulation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/inventory"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
	"github.com/b144f99b/orderflow/services/saga/refund"
)

// instance is a fulfilment or a refund, as operators see it.
type instance struct {
	order, status, attention string
	aside                    bool // it says so
	payment, shipment        string
}

func (w *world) fulfilment(key string) instance {
	f := w.shop.Fulfilments[key]
	return instance{f.OrderID, string(f.Status), f.Attention, f.Quarantined != "", f.PaymentID, f.ShipmentID}
}

func (w *world) refund(key string) instance {
	r := w.shop.Refunds[key]
	return instance{r.OrderID, string(r.Status), r.Attention, r.Quarantined != "", r.PaymentID, ""}
}

// decision is what an operator decided once, and may send again.
type decision struct {
	saga     saga
	key, id  string
	operator fulfilment.Operator
}

// decide gives an instance an operator's decision, as the service does: the decision is
// stored first, and then what was set aside goes on. What is refused changes nothing.
func (s *process[S]) decide(ctx context.Context, w *world, key, id string, o fulfilment.Operator) error {
	if err := w.mortal(ctx); err != nil {
		return err
	}
	o.SetAside = s.reader.aside[key]
	if !w.repeated(s.Category, key, id) || w.defect == decidesAgain {
		before := s.see(key)
		caused, err := s.React(s.kept.states[key], esjs.Input[events.Event]{Command: o, Time: time.Now()})
		if err != nil {
			return err
		}
		if before.attention == "" && !o.SetAside || (o.Action == fulfilment.Release) != o.SetAside {
			w.violated("P4", "an operator may %s %s %s in %+v, set aside %t", o.Action, s.Category, key, before, o.SetAside)
		}
		store(w, s.kept, key, id, caused...)
	}
	if err := w.mortal(ctx); err != nil {
		return err
	}
	if o.Action == fulfilment.Release && !s.see(key).aside {
		delete(s.reader.aside, key)
	}
	s.arm(w, key)
	return w.mortal(ctx)
}

// setAside stops an instance, as an input does that cannot be handled: from here on
// its inputs wait. One that has not begun yet is left alone.
func (s *process[S]) setAside(w *world, key string) {
	if s.reader.aside[key] || s.see(key).status == "" {
		return
	}
	store(w, s.kept, key, "", s.Quarantined(s.kept.states[key], esjs.Quarantine{Key: key, Reason: "a bug was found"}))
	s.reader.aside[key] = true
}

func (s *process[S]) keys() []string           { return sortedKeys(s.kept.states) }
func (s *process[S]) look(key string) instance { return s.see(key) }
func (s *process[S]) isAside(key string) bool  { return s.reader.aside[key] }

// operate lets an operator decide about something: most of the time about what asks
// for it, and sometimes about anything, in any way; or send a decision again.
func (w *world) operate(ctx context.Context) {
	ctx, end := w.live(ctx)
	defer end()
	if len(w.decisions) > 0 && w.rand.IntN(4) == 0 {
		d := w.decisions[w.rand.IntN(len(w.decisions))]
		stored := len(w.log)
		if _ = d.saga.decide(ctx, w, d.key, d.id, d.operator); len(w.log) != stored {
			w.violated("P4", "%s of %s is decided twice by one command", d.operator.Action, d.key)
		}
		return
	}
	s := w.sagas[w.rand.IntN(len(w.sagas))]
	keys := s.keys()
	if asking := slices.DeleteFunc(slices.Clone(keys), func(key string) bool {
		return s.look(key).attention == "" && !s.isAside(key)
	}); len(asking) > 0 && w.rand.IntN(4) > 0 {
		keys = asking
	}
	if len(keys) == 0 {
		return
	}
	key := keys[w.rand.IntN(len(keys))]
	o := fulfilment.Operator{
		Action: fulfilment.Actions()[w.rand.IntN(len(fulfilment.Actions()))], OrderID: s.look(key).order, By: "alice", Reason: "it was looked at",
	}
	if o.Action == fulfilment.Resolve {
		o.Step = []events.Step{"", events.StepDispatch, events.StepCommit}[w.rand.IntN(3)]
		if o.Evidence = w.evidence(ctx, s.look(key), o.Step); o.Evidence == "" {
			return
		}
	}
	w.decided(ctx, s, key, o)
}

// decided sends a new decision, and remembers it when it was one.
func (w *world) decided(ctx context.Context, s saga, key string, o fulfilment.Operator) {
	w.lastDecision++
	d := decision{s, key, fmt.Sprint("operator ", w.lastDecision), o}
	stored := len(w.log)
	err := s.decide(ctx, w, d.key, d.id, d.operator)
	var refused *esjs.Rejection
	switch {
	case len(w.log) > stored:
		w.decisions = append(w.decisions, d)
		w.operators["operator may "+string(o.Action)]++
	case errors.As(err, &refused):
		w.operators["operator may not "+string(o.Action)]++
	case err == nil:
		w.violated("P4", "%s of %s is accepted and does nothing", o.Action, key)
	case ctx.Err() == nil:
		w.violated("P4", "%s of %s fails: %v", o.Action, key, err)
	}
}

// failsSomewhere sets an instance aside.
func (w *world) failsSomewhere() {
	s := w.sagas[w.rand.IntN(len(w.sagas))]
	if keys := s.keys(); len(keys) > 0 {
		s.setAside(w, keys[w.rand.IntN(len(keys))])
	}
}

// release lets everything go on that is set aside.
func (w *world) release(ctx context.Context) {
	for _, s := range w.sagas {
		for _, key := range s.keys() {
			if s.isAside(key) {
				w.decided(ctx, s, key, fulfilment.Operator{Action: fulfilment.Release, OrderID: s.look(key).order, By: "bob", Reason: "it is repaired"})
			}
		}
	}
}

// evidence is what an operator knows when he says that a step is done: he asks the
// partner, or makes it so himself. "" is when it is not so.
func (w *world) evidence(ctx context.Context, i instance, step events.Step) string {
	f := w.shop.Fulfilments[i.order]
	switch i.status {
	case string(fulfilment.Dispatching):
		gone, _ := w.partners.server.Shipment(i.shipment)
		dispatched, committed := gone.Dispatches > 0 && gone.Status != "lost", w.taken(i.order)
		switch {
		case (step == events.StepDispatch || step == "" && f.Committed) && dispatched:
			return "the carrier has it"
		case (step == events.StepCommit || step == "" && f.Dispatched) && committed:
			return "the goods have left the shelf"
		}
	case string(fulfilment.CompShipment):
		if w.partners.byHand(ctx, parcelPath(i.shipment, "cancel")) {
			return "the carrier gave it back"
		}
	case string(fulfilment.CompPayment):
		if f.Refund.Sign() > 0 {
			return "a transfer"
		}
		if w.partners.byHand(ctx, paymentPath(i.payment, "void")) {
			return "the bank let go of it"
		}
	case string(fulfilment.CompStock):
		if status := w.reservations.states[i.order].Status; status == inventory.Released || status == inventory.Voided {
			return "nothing is held"
		}
	case string(refund.Voiding):
		if w.partners.byHand(ctx, paymentPath(i.payment, "void")) {
			return "the bank let go of it"
		}
	case string(refund.Refunding):
		return "a transfer"
	default:
		return "it was taken care of"
	}
	return ""
}

// taken tells that the goods of an order's present parcel left the stock.
func (w *world) taken(order string) bool {
	r, parcel := w.reservations.states[order], w.shop.Fulfilments[order].TakesFor
	return r.Status == inventory.Committed && (parcel == "" || slices.Contains(r.Parcels, parcel))
}

// byHand lets a person ask a partner, and tells whether it was done.
func (o *outside) byHand(ctx context.Context, path string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://partners"+path, strings.NewReader("{}"))
	if err != nil {
		panic(err)
	}
	request.Header.Set("Idempotency-Key", "by hand "+path)
	answer, err := requestWire{o}.RoundTrip(request)
	return err == nil && answer.StatusCode == http.StatusOK
}
