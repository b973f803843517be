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

// expiry releases what is still held when a reservation's time ends: that of the
// whole order and a margin, so it is met only where fulfilment fell silent.
func (g group) expiry(codec *esjs.Codec[events.Event], lease time.Duration) service.Deadlines[events.Event] {
	return service.Deadlines[events.Event]{
		Codec:    codec,
		Category: events.CategoryReservation,
		Types:    []string{events.ReservationConfirmed{}.EventType()},
		Name:     "expiry",
		Bucket:   BucketSubscriptions,
		Lease:    lease,
		At: func(e events.Event) (at time.Time) {
			if confirmed, ok := e.(events.ReservationConfirmed); ok {
				at = confirmed.ExpiresAt
			}
			return at
		},
		Due: func(ctx context.Context, fired esjs.Fired) error {
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

func (r Reservation) expire(d Due, levels func(string) Stock) ([]events.Event, []Move) {
	if r.Status != Held || r.ExpiresAt.IsZero() || r.ExpiresAt.After(d.At) {
		return nil, nil
	}
	return []events.Event{events.ReservationExpired{OrderID: d.OrderID}}, r.free(d.OrderID, "", levels)
}
