package shipping

import (
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
)

// Status is where a shipment is, as far as we know.
type Status string

// Statuses of a shipment; "" is not booked.
const (
	StatusBooked     Status = "booked"
	StatusDispatched Status = "dispatched"
	StatusDelivered  Status = "delivered"
	StatusCancelled  Status = "cancelled"
	StatusLost       Status = "lost"
	StatusVoided     Status = "voided" // cancelled without ever having been booked
)

// State is one shipment.
type State struct {
	OrderID  string       `json:"order_id"`
	Status   Status       `json:"status"`
	Carrier  string       `json:"carrier"`
	Tracking string       `json:"tracking"`
	Cost     events.Money `json:"cost"`
	ETA      time.Time    `json:"eta"`
	Cause    string       `json:"cause"`    // of a void
	Refused  int          `json:"refused"`  // how often a cancellation was refused
	Answered []string     `json:"answered"` // request ids, the newest maxAnswered
}

// maxAnswered bounds the request ids that a shipment remembers. A request is
// redelivered soon or never.
const maxAnswered = 128

// stateVersion changes when snapshots of [State] must not be read any more.
const stateVersion = 2

// Apply folds one event into the state.
func Apply(s State, e events.Event) State {
	switch e := e.(type) {
	case events.ShipmentBooked:
		s = s.answered(e.OrderID, e.RequestID)
		if s.Status == "" {
			s.Status = StatusBooked
		}
		s.Carrier, s.Tracking, s.Cost, s.ETA = e.Carrier, e.Tracking, e.Cost, e.ETA
	case events.ShipmentBookingFailed:
		s = s.answered(e.OrderID, e.RequestID)
	case events.ShipmentDispatched:
		s = s.answered(e.OrderID, e.RequestID)
		if s.Status != StatusDelivered && s.Status != StatusLost {
			s.Status = StatusDispatched
		}
	case events.ShipmentDelivered:
		s = s.answered(e.OrderID, e.RequestID)
		s.Status = StatusDelivered
	case events.ShipmentCancelled:
		s = s.answered(e.OrderID, e.RequestID)
		s.Status = StatusCancelled
	case events.ShipmentCancellationRefused:
		s = s.answered(e.OrderID, e.RequestID)
		s.Refused++
	case events.ShipmentLost:
		s = s.answered(e.OrderID, e.RequestID)
		s.Status = StatusLost
	case events.ShipmentVoided:
		s = s.answered(e.OrderID, e.RequestID)
		s.Status, s.Cause = StatusVoided, e.Cause
	}
	return s
}

// answered copies what it changes: the state is shared with the handler's cache.
func (s State) answered(orderID, requestID string) State {
	s.OrderID = orderID
	if requestID == "" || slices.Contains(s.Answered, requestID) {
		return s
	}
	s.Answered = append(slices.Clip(s.Answered), requestID)
	s.Answered = s.Answered[max(0, len(s.Answered)-maxAnswered):]
	return s
}

// isAnswered tells that a request has its answer.
func (s State) isAnswered(requestID string) bool { return slices.Contains(s.Answered, requestID) }

// left tells that the goods are, or were, on their way.
func (s State) left() bool {
	return s.Status == StatusDispatched || s.Status == StatusDelivered || s.Status == StatusLost
}

// terminal tells that nothing more will happen.
func (s State) terminal() bool {
	switch s.Status {
	case StatusDelivered, StatusCancelled, StatusLost, StatusVoided:
		return true
	}
	return false
}
