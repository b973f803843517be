package refund

import (
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
)

// Name is the process's name: of its subscription and its metrics.
const Name = "refund"

// stateVersion of [State] in snapshots: another one makes old snapshots ignored.
const stateVersion = 4

// Process ties the machine to the event store. snapshots is the KV bucket of
// the refunds' snapshots.
func Process(m *Machine, codec *esjs.Codec[events.Event], snapshots string) esjs.Process[State, events.Event, events.Event] {
	return esjs.Process[State, events.Event, events.Event]{
		Name:     Name,
		Category: events.CategoryRefund,
		In:       codec,
		Out:      codec,
		Inputs: esjs.Query{
			Categories: []string{events.CategoryOrder, events.CategoryFulfilment, events.CategoryPayment, events.CategoryReservation},
			Types:      inputs(m.rows),
		},
		Key:         key,
		Apply:       Apply,
		React:       m.react,
		Quarantined: m.quarantined,
		Timers:      Timers,
		Done:        func(s State) bool { return s.Status == Settled },
		Handler:     esjs.HandlerConfig[State]{Snapshots: policy(snapshots)},
	}
}

// policy keeps the refunds' snapshots in a KV bucket.
func policy(bucket string) *esjs.SnapshotPolicy[State] {
	return &esjs.SnapshotPolicy[State]{Bucket: bucket, StateVersion: stateVersion, Terminal: func(s State) bool { return s.Status == Settled }}
}

// SnapshotCheck compares the refunds' snapshots in a KV bucket with their events.
func SnapshotCheck(codec *esjs.Codec[events.Event], bucket string) esjs.SnapshotCheck {
	own := esjs.Aggregate[State, any, events.Event]{Category: events.CategoryRefund, Codec: codec, Apply: Apply}
	return esjs.CheckSnapshots(own, *policy(bucket))
}

func (m *Machine) react(s State, in esjs.Input[events.Event]) ([]events.Event, error) {
	s = normal(s)
	operator, decides := in.Command.(fulfilment.Operator)
	if decides {
		if err := s.isOf(operator); err != nil {
			return nil, err
		}
	}
	row, caused, err := m.React(s, in)
	switch {
	case err == nil && row == nil && decides:
		err = m.refuse(s, operator)
	case err == nil && (row == nil || row.Counted):
		err = esjs.Unexpected(string(s.Status), inputName(in))
	}
	return caused, err
}

// quarantined is the event of row Q1.
func (m *Machine) quarantined(s State, q esjs.Quarantine) events.Event {
	_, caused, err := m.React(State{}, esjs.Input[events.Event]{Command: fulfilment.NewSetAside(q, s.OrderID)})
	if err != nil || len(caused) != 1 {
		return nil
	}
	return caused[0]
}

// key returns the refund that an input event belongs to, "" when it is none of
// a refund, such as the answers to fulfilment.
func key(r esjs.Recorded[events.Event]) string {
	switch e := r.Event.(type) {
	case events.OrderRefundRequested:
		return e.RefundID
	case events.LateEffectDetected:
		return e.RefundID
	case events.PaymentRefunded:
		if e.RequestID == "" { // the provider spoke unasked
			return e.RefundID
		}
		return refundOf(e.RequestID)
	case events.PaymentRefundFailed:
		return refundOf(e.RequestID)
	case events.PaymentVoided:
		return refundOf(e.RequestID)
	case events.PaymentVoidFailed:
		return refundOf(e.RequestID)
	case events.PaymentOutcomeUnknown:
		return refundOf(e.RequestID)
	case events.ReservationRestocked:
		return e.RefundID
	case events.ReservationRestockFailed:
		return e.RefundID
	}
	return ""
}
