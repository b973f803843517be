package fulfilment

import (
	"fmt"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// Name is the process's name: of its subscription and its metrics.
const Name = "fulfilment"

// stateVersion of [State] in snapshots: another one makes old snapshots ignored.
const stateVersion = 1

// Process ties the machine to the event store. snapshots is the KV bucket of
// the fulfilments' snapshots.
func Process(m *Machine, codec *esjs.Codec[events.Event], snapshots string) esjs.Process[State, events.Event, events.Event] {
	waiting := newOrphans()
	return esjs.Process[State, events.Event, events.Event]{
		Name:     Name,
		Category: events.CategoryFulfilment,
		In:       codec,
		Out:      codec,
		Inputs: esjs.Query{
			Categories: []string{events.CategoryOrder, events.CategoryReservation, events.CategoryPayment, events.CategoryShipment},
			Types:      m.Inputs(),
		},
		Key:    order,
		Apply:  Apply,
		React:  func(s State, in esjs.Input[events.Event]) ([]events.Event, error) { return m.handle(waiting, s, in) },
		Timers: m.Timers,
		Done:   func(s State) bool { return s.Status.Terminal() },
		Handler: esjs.HandlerConfig[State]{Snapshots: &esjs.SnapshotPolicy[State]{
			Bucket: snapshots, StateVersion: stateVersion, Terminal: func(s State) bool { return s.Status.Terminal() },
		}},
	}
}

// handle translates the process's inputs, and the row's verdict back.
func (m *Machine) handle(waiting *orphans, s State, in esjs.Input[events.Event]) ([]events.Event, error) {
	s = normal(s)
	if in.Command != nil {
		return nil, esjs.Unexpected(string(s.Status), fmt.Sprintf("%T", in.Command))
	}
	input := Input{At: in.Time}
	if in.Timer != nil {
		input.Timer = in.Timer.Name
	} else {
		input.Event, input.EventID, input.Stream, input.Version = in.Event.Event, in.Event.ID, in.Event.Stream, in.Event.Version
	}
	r, err := m.React(s, input)
	switch {
	case err != nil:
		return nil, err
	case r.Row == nil || r.Row.Counted:
		return nil, esjs.Unexpected(string(s.Status), input.name())
	case r.Row.Early:
		if d, again := waiting.wait(input.EventID); again {
			return nil, esjs.RetryAfter(d, fmt.Errorf("%s came before the order was submitted", input.name()))
		}
		return nil, esjs.Unexpected(string(s.Status), input.name())
	}
	return r.Events, nil
}

// order returns the order that an input event belongs to.
func order(r esjs.Recorded[events.Event]) string {
	switch e := r.Event.(type) {
	case events.PaymentAuthorized:
		return e.OrderID
	case events.PaymentDeclined:
		return e.OrderID
	case events.PaymentOutcomeUnknown:
		return e.OrderID
	case events.PaymentNotFound:
		return e.OrderID
	case events.AuthorizationExpired:
		return e.OrderID
	case events.PaymentCaptured:
		return e.OrderID
	case events.PaymentCaptureFailed:
		return e.OrderID
	case events.PaymentVoided:
		return e.OrderID
	case events.PaymentVoidFailed:
		return e.OrderID
	case events.PaymentRefunded:
		return e.OrderID
	case events.PaymentRefundFailed:
		return e.OrderID
	case events.PaymentDisputed:
		return e.OrderID
	case events.ShipmentBooked:
		return e.OrderID
	case events.ShipmentBookingFailed:
		return e.OrderID
	case events.ShipmentDispatched:
		return e.OrderID
	case events.ShipmentCancelled:
		return e.OrderID
	case events.ShipmentCancellationRefused:
		return e.OrderID
	case events.ShipmentLost:
		return e.OrderID
	case events.ShipmentVoided:
		return e.OrderID
	}
	// The streams of orders and of reservations have the order's id as key.
	return r.Stream.Key
}
