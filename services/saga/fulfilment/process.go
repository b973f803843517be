package fulfilment

import (
	"fmt"
	"strings"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// Name is the process's name: of its subscription and its metrics.
const Name = "fulfilment"

// stateVersion of [State] in snapshots: another one makes old snapshots ignored.
const stateVersion = 5

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
		Key:         order,
		Apply:       Apply,
		React:       func(s State, in esjs.Input[events.Event]) ([]events.Event, error) { return m.handle(waiting, s, in) },
		Quarantined: m.quarantined,
		Timers:      m.Timers,
		Done:        func(s State) bool { return s.Status.Terminal() },
		Handler:     esjs.HandlerConfig[State]{Snapshots: policy(snapshots)},
	}
}

func policy(bucket string) *esjs.SnapshotPolicy[State] {
	return &esjs.SnapshotPolicy[State]{
		Bucket: bucket, StateVersion: stateVersion, Terminal: func(s State) bool { return s.Status.Terminal() },
	}
}

// SnapshotCheck compares the fulfilments' snapshots in a KV bucket with their events.
func SnapshotCheck(codec *esjs.Codec[events.Event], bucket string) esjs.SnapshotCheck {
	own := esjs.Aggregate[State, any, events.Event]{Category: events.CategoryFulfilment, Codec: codec, Apply: Apply}
	return esjs.CheckSnapshots(own, *policy(bucket))
}

// handle translates the process's inputs, and the row's verdict back.
func (m *Machine) handle(waiting *orphans, s State, in esjs.Input[events.Event]) ([]events.Event, error) {
	s = normal(s)
	switch in.Command.(type) {
	case nil, Operator, SetAside:
	default:
		return nil, esjs.Unexpected(string(s.Status), fmt.Sprintf("%T", in.Command))
	}
	input := translated(in)
	r, err := m.React(s, input)
	switch {
	case err != nil:
		return nil, err
	case r.Row == nil && input.Operator != nil:
		return nil, m.refuse(s, *input.Operator)
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

// translated is an input as the machine knows it.
func translated(in esjs.Input[events.Event]) Input {
	switch command := in.Command.(type) {
	case Operator:
		return Input{Operator: &command, At: in.Time}
	case SetAside:
		return Input{SetAside: &command, At: in.Time}
	}
	if in.Timer != nil {
		return Input{Timer: in.Timer.Name, At: in.Time}
	}
	return Input{Event: in.Event.Event, EventID: in.Event.ID, Stream: in.Event.Stream, Version: in.Event.Version, At: in.Time}
}

// quarantined is the event of row Q1.
func (m *Machine) quarantined(_ State, q esjs.Quarantine) events.Event {
	aside := NewSetAside(q, q.Key)
	r, err := m.React(State{}, Input{SetAside: &aside})
	if err != nil || len(r.Events) != 1 {
		return nil
	}
	return r.Events[0]
}

// NewSetAside tells of a quarantine what people need of it: of a panic not the stack.
func NewSetAside(q esjs.Quarantine, order string) SetAside {
	aside := SetAside{OrderID: order}
	aside.Error, _, _ = strings.Cut(q.Reason, "\n")
	if !q.Input.IsZero() {
		aside.Position = q.Input.String()
	}
	return aside
}

// order returns the order that an input event belongs to. Of one that cannot be
// decoded the envelope tells it: participants correlate all that they do for an order
// by its id.
func order(r esjs.Recorded[events.Event]) string {
	switch e := r.Event.(type) {
	case nil:
		if r.Stream.Category == events.CategoryPayment || r.Stream.Category == events.CategoryShipment {
			return r.Metadata.CorrelationID
		}
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
