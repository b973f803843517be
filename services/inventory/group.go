package inventory

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"golang.org/x/sync/errgroup"
)

const (
	// batchSize is the default of [Config].Batch.
	batchSize = 256
	// maxTouched bounds the aggregates of one append, of which the server takes 1000. An
	// order alone touches its lines, of which it has at most 200, and its reservation.
	maxTouched = 700
	// attempts bounds how often a group is decided again because someone else
	// changed one of its levels.
	attempts = 8
	// loadsAtOnce bounds the loads in flight before a group is decided.
	loadsAtOnce = 32
)

// group decides the requests of many orders one after the other in memory, and
// stores what they change as one atomic append.
type group struct {
	store        *esjs.Store
	stocks       *esjs.CommandHandler[Stock, StockCommand, events.Event]
	reservations *esjs.CommandHandler[Reservation, busy, events.Event]
}

// request is one event that asks something of the inventory, and where it came from.
type request struct {
	delivery    int
	event       esjs.Recorded[events.Event]
	order       string // whose reservation it is about
	traceParent string // of what its answer belongs to
}

// caused is the metadata of the request's answer.
func (r request) caused() esjs.Metadata {
	m := service.CausedBy(r.event.Record)
	m.TraceParent = r.traceParent
	return m
}

// handle answers a batch of deliveries: for each, nil when its requests are
// answered and stored.
func (g group) handle(ctx context.Context, deliveries []esjs.Delivery[events.Event]) []error {
	results := make([]error, len(deliveries))
	var waiting []request
	touched := 0
	flush := func() {
		g.answer(ctx, waiting, results)
		waiting, touched = nil, 0
	}
	for i, d := range deliveries {
		for _, e := range d.Events {
			if due, is := ended(e); is {
				e.Event = due
			}
			order := asks(e.Event)
			if order == "" {
				continue
			}
			lines := 1 + len(Reservation{}.skus(e.Event))
			if touched > 0 && touched+lines > maxTouched {
				flush()
			}
			waiting = append(waiting, request{i, e, order, d.TraceParent})
			touched += lines
		}
	}
	flush()
	return results
}

// answer stores the answers of the requests, deciding again while others change
// the levels under it. When that does not end, a reservation is refused as busy,
// which the saga asks again, and everything else is tried again later.
//
// A delivery of which one request has failed comes again from its start, so what
// it asks after that is not answered out of order.
func (g group) answer(ctx context.Context, requests []request, results []error) {
	var err error
	for attempt := range attempts {
		requests = slices.DeleteFunc(requests, func(r request) bool { return results[r.delivery] != nil })
		if len(requests) == 0 {
			return
		}
		if err = g.tryAnswer(ctx, requests, results, false); !errors.Is(err, esjs.ErrConflict) {
			break
		}
		select {
		case <-time.After(rand.N(time.Millisecond << attempt)):
		case <-ctx.Done():
		}
	}
	for _, r := range requests {
		if results[r.delivery] != nil {
			continue
		}
		failed := err
		if e, ok := r.event.Event.(events.ReservationRequested); ok && errors.Is(err, esjs.ErrConflict) {
			_, failed = g.reservations.Handle(ctx, e.OrderID, busy{e}, esjs.WithMetadata(r.caused()))
		}
		if failed != nil {
			results[r.delivery] = failed
		}
	}
}

// tryAnswer is one attempt. Whatever it changes is stored together or not at
// all, unless it is more than one append takes. What a request needs and cannot be read is the result of its delivery, and
// the others go on. A refusal changes no level, so no expectation protects it from
// an old one: it is decided again on what the leader has.
func (g group) tryAnswer(ctx context.Context, requests []request, results []error, fresh bool) error {
	d := desk{stocks: map[string]*work[Stock]{}, reservations: map[string]*work[Reservation]{}}
	g.load(ctx, requests, &d, fresh)
	for _, r := range requests {
		if results[r.delivery] != nil {
			continue
		}
		if err := d.unread(r); err != nil {
			results[r.delivery] = err
			continue
		}
		d.decide(r)
	}
	if d.refused && !fresh {
		return g.tryAnswer(ctx, requests, results, true)
	}
	var writes []esjs.Write
	for _, order := range slices.Sorted(maps.Keys(d.reservations)) {
		if w := d.reservations[order]; len(w.events) > 0 {
			writes = append(writes, g.reservations.Write(w.loaded, w.metadata, time.Time{}, w.events...))
		}
	}
	for _, sku := range slices.Sorted(maps.Keys(d.stocks)) {
		if w := d.stocks[sku]; len(w.events) > 0 {
			writes = append(writes, g.stocks.Write(w.loaded, w.metadata, time.Time{}, w.events...))
		}
	}
	if half := len(requests) / 2; half > 0 && len(writes) > maxTouched {
		// How much a request touches that names its order alone is known only now. What
		// the first half stores is answered when both are tried again.
		if err := g.tryAnswer(ctx, requests[:half], results, false); err != nil {
			return err
		}
		return g.tryAnswer(ctx, requests[half:], results, false)
	}
	_, err := g.store.AppendAll(ctx, writes...)
	return err
}

// load reads the reservations and the levels that the requests need.
func (g group) load(ctx context.Context, requests []request, d *desk, fresh bool) {
	for _, r := range requests {
		d.reservations[r.order] = &work[Reservation]{}
	}
	loadAll(ctx, g.reservations, d.reservations, esjs.Cached()) // what is appended expects what was loaded
	for _, r := range requests {
		for _, sku := range d.reservations[r.order].state.skus(r.event.Event) {
			d.stocks[sku] = &work[Stock]{}
		}
	}
	how := esjs.Cached()
	if fresh {
		how = esjs.Fresh()
	}
	loadAll(ctx, g.stocks, d.stocks, how)
}

// loadAll loads every aggregate, whatever becomes of the others.
func loadAll[S, C any](ctx context.Context, handler *esjs.CommandHandler[S, C, events.Event], into map[string]*work[S], how esjs.LoadOption) {
	var loads errgroup.Group
	loads.SetLimit(loadsAtOnce)
	for key, w := range into {
		loads.Go(func() error {
			w.loaded, w.err = handler.Load(ctx, key, how)
			w.state = w.loaded.State
			return nil
		})
	}
	_ = loads.Wait() // each has its own error
}

// work is an aggregate while a group is decided: as it was loaded, and what
// the group adds to it.
type work[S any] struct {
	loaded   esjs.Loaded[S]
	err      error // why it could not be loaded
	state    S
	events   []events.Event
	metadata esjs.Metadata
}

// desk holds the aggregates of one group.
type desk struct {
	stocks       map[string]*work[Stock]
	reservations map[string]*work[Reservation]
	refused      bool // something was out of stock
}

// unread returns why something that a request needs could not be loaded.
func (d *desk) unread(r request) error {
	w := d.reservations[r.order]
	if w.err != nil {
		return w.err
	}
	for _, sku := range w.state.skus(r.event.Event) {
		if s := d.stocks[sku]; s != nil && s.err != nil {
			return s.err
		}
	}
	return nil
}

// decide answers one request on what the earlier ones of the group left.
func (d *desk) decide(r request) {
	e := r.event
	w := d.reservations[r.order]
	answer, moves := DecideRequest(w.state, e.Event, func(sku string) Stock {
		if s := d.stocks[sku]; s != nil {
			return s.state
		}
		return Stock{}
	})
	if len(answer) == 0 {
		return
	}
	w.metadata = r.caused()
	for _, a := range answer {
		d.refused = d.refused || outOfStock(a)
		w.state = ApplyReservation(w.state, a)
		w.events = append(w.events, a)
	}
	for _, m := range moves {
		s := d.stocks[m.SKU]
		s.state = ApplyStock(s.state, m.Event)
		s.events = append(s.events, m.Event)
	}
}

// outOfStock tells the refusals that hang on the levels.
func outOfStock(answer events.Event) bool {
	switch e := answer.(type) {
	case events.ReservationRejected:
		return e.Code == events.ReservationOutOfStock
	case events.ReservationCommitFailed:
		return e.Code == events.ReservationOutOfStock
	}
	return false
}

// busy refuses a reservation for now.
type busy struct{ request events.ReservationRequested }

func decideBusy(r Reservation, c busy) ([]events.Event, error) {
	if slices.Contains(r.Answered, c.request.RequestID) {
		return nil, nil
	}
	return []events.Event{events.ReservationRejected{
		OrderID: c.request.OrderID, RequestID: c.request.RequestID, Code: events.ReservationBusy,
	}}, nil
}
