package inventory

import (
	"context"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// Due asks that a reservation whose time has ended holds nothing any more. It is
// asked by a timer and never stored.
type Due struct {
	OrderID string
	At      time.Time // of the server, when the timer fired
}

// EventType names what is never stored.
func (Due) EventType() string { return "due" }

// capturing tells of a fulfilment that it asked for the money and has not ended: who
// pays keeps what is held for him, however long it takes to learn whether he did.
type capturing bool

func applyCapturing(c capturing, e events.Event) capturing {
	switch e.(type) {
	case events.CaptureRequested:
		return true
	case events.FulfilmentCompleted, events.FulfilmentCompensated:
		return false
	}
	return c
}

// fulfilmentAggregate reads fulfilments; nothing is decided about them here.
func fulfilmentAggregate(codec *esjs.Codec[events.Event]) esjs.Aggregate[capturing, struct{}, events.Event] {
	return esjs.Aggregate[capturing, struct{}, events.Event]{
		Category: events.CategoryFulfilment, Codec: codec, Apply: applyCapturing,
		Decide: func(capturing, struct{}) ([]events.Event, error) { return nil, nil },
	}
}

// expiry releases what is still held when a reservation's time ends: that of the
// whole order and a margin, so it is met only where fulfilment fell silent, or waits to
// learn whether the money was captured. Then the goods stay; what is still held when
// fulfilment has ended all the same is due by [ended].
func (s *Service) expiry(
	codec *esjs.Codec[events.Event], g group, fulfilments *esjs.CommandHandler[capturing, struct{}, events.Event],
) service.Deadlines[events.Event] {
	return service.Deadlines[events.Event]{
		Codec:    codec,
		Category: events.CategoryReservation,
		Types:    []string{events.ReservationConfirmed{}.EventType()},
		Name:     "expiry",
		Bucket:   BucketSubscriptions,
		Lease:    s.cfg.Lease,
		At: func(e events.Event) (at time.Time) {
			if confirmed, ok := e.(events.ReservationConfirmed); ok {
				at = confirmed.ExpiresAt
			}
			return at
		},
		Due: func(ctx context.Context, fired esjs.Fired) error {
			held, err := g.reservations.Load(ctx, fired.Stream.Key, esjs.Fresh())
			if err != nil || !held.State.due(fired.FiredAt) {
				return err
			}
			order, err := fulfilments.Load(ctx, fired.Stream.Key, esjs.Fresh())
			if err != nil || bool(order.State) {
				return err
			}
			ask := esjs.Recorded[events.Event]{
				Record: esjs.Record{ID: fired.ID(), Stream: fired.Stream},
				Event:  Due{OrderID: fired.Stream.Key, At: fired.FiredAt},
			}
			results := make([]error, 1)
			g.answer(ctx, []request{{event: ask, order: fired.Stream.Key, traceParent: fired.TraceParent}}, results)
			return results[0]
		},
	}
}

// ended is what the end of a fulfilment asks for: nothing is held any more whose time
// has ended before. The second result tells whether it is one.
func ended(e esjs.Recorded[events.Event]) (Due, bool) {
	switch end := e.Event.(type) {
	case events.FulfilmentCompleted:
		return Due{OrderID: end.OrderID, At: e.Time}, true
	case events.FulfilmentCompensated:
		return Due{OrderID: end.OrderID, At: e.Time}, true
	}
	return Due{}, false
}

// due tells that goods are held and their time has ended.
func (r Reservation) due(at time.Time) bool {
	return r.Status == Held && !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(at)
}

func (r Reservation) expire(d Due, levels func(string) Stock) ([]events.Event, []Move) {
	if !r.due(d.At) {
		return nil, nil
	}
	return []events.Event{events.ReservationExpired{OrderID: d.OrderID}}, r.free(d.OrderID, "", levels)
}
