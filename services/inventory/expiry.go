package inventory

import (
	"context"
	"errors"
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

// lookAgain is the default of [Config].LookAgain.
const lookAgain = 10 * time.Minute

// capturing tells of a fulfilment that it asked for the money and has neither given up
// nor taken the goods: whoever pays keeps what is held for him, however long it takes
// to learn whether he did.
type capturing bool

func applyCapturing(c capturing, e events.Event) capturing {
	switch e.(type) {
	case events.CaptureRequested:
		return true
	case events.CompensationStarted, events.StockCommitConfirmed, events.FulfilmentCompleted:
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

// errCapturing is why a hold whose time has ended is kept.
var errCapturing = errors.New("its order is being paid, so the goods stay held until that is known")

// expiry releases what is still held when a reservation's time ends: that of the
// whole order and a margin, so it is met only where fulfilment fell silent, or waits to
// learn whether the money was captured. Then the goods stay.
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
			if err != nil {
				return err
			}
			if order.State {
				return esjs.RetryAfter(s.cfg.LookAgain, errCapturing)
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
