package shipping

import (
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// Command is one of [Ask], [Tell] and [News].
type Command interface {
	decide(State) []events.Event
}

// Decide returns the events that a command causes; none when it is old news. News
// are taken of every shipment that was asked for, also where the carrier's answer
// was lost.
func Decide(s State, c Command) ([]events.Event, error) {
	if n, ok := c.(News); ok && s.OrderID == "" {
		return nil, &esjs.Rejection{Code: "unknown_shipment", Message: "no shipment has the reference " + n.ShipmentID, Status: 404}
	}
	return c.decide(s), nil
}

// Operation is what the carrier can be asked for.
type Operation string

// Operations of the carrier.
const (
	Book     Operation = "book"
	Dispatch Operation = "dispatch"
	Cancel   Operation = "cancel"
)

// Ask is a request of fulfilment.
type Ask struct {
	ShipmentID string
	OrderID    string
	RequestID  string
	Op         Operation
	AddressRef string // of a booking
	Country    string
	Lines      []events.StockLine
	Cause      string // of a cancellation
	// Deadline is when the order's process asks again, by another request, or gives up.
	Deadline time.Time
}

// decide answers what can be answered without the carrier.
func (a Ask) decide(s State) []events.Event {
	if s.isAnswered(a.RequestID) {
		return nil
	}
	if known := a.known(s); known != nil {
		return []events.Event{known}
	}
	return nil
}

// known returns the answer that the state already holds; nil when it does not.
func (a Ask) known(s State) events.Event {
	switch a.Op {
	case Book:
		switch s.Status {
		case StatusBooked, StatusDispatched, StatusDelivered:
			return events.ShipmentBooked{OrderID: a.OrderID, RequestID: a.RequestID, Carrier: s.Carrier, Tracking: s.Tracking, Cost: s.Cost, ETA: s.ETA}
		case StatusCancelled, StatusLost, StatusVoided:
			return events.ShipmentBookingFailed{OrderID: a.OrderID, RequestID: a.RequestID, Code: string(s.Status)}
		}
	case Dispatch:
		switch s.Status {
		case StatusDispatched, StatusDelivered:
			return a.dispatched(s.Tracking)
		case StatusLost:
			return events.ShipmentLost{OrderID: a.OrderID, RequestID: a.RequestID}
		case "", StatusCancelled, StatusVoided:
			return events.ShipmentCancelled{OrderID: a.OrderID, RequestID: a.RequestID} // nobody will take the goods
		}
	case Cancel:
		switch s.Status {
		case StatusCancelled:
			return events.ShipmentCancelled{OrderID: a.OrderID, RequestID: a.RequestID}
		case StatusVoided:
			return a.voided()
		case StatusDispatched, StatusDelivered, StatusLost:
			return events.ShipmentCancellationRefused{OrderID: a.OrderID, RequestID: a.RequestID, Reason: "goods_left"}
		}
	}
	return nil
}

// NeedsCarrier tells, after Decide, that only the carrier can answer a.
func (a Ask) NeedsCarrier(s State) bool {
	return !s.isAnswered(a.RequestID) && a.known(s) == nil
}

func (a Ask) dispatched(tracking string) events.Event {
	return events.ShipmentDispatched{OrderID: a.OrderID, RequestID: a.RequestID, Tracking: []string{tracking}}
}

func (a Ask) voided() events.Event {
	return events.ShipmentVoided{OrderID: a.OrderID, RequestID: a.RequestID, Cause: a.Cause}
}

// Answer is what the carrier said.
type Answer struct {
	Kind    AnswerKind
	Account Account // with Done
	Code    string  // why it was refused
}

// AnswerKind tells how sure an answer is.
type AnswerKind int

// Kinds of answers. The zero kind is the one that claims nothing.
const (
	Unknown AnswerKind = iota // the operation may or may not have been done
	Done                      // Account is the truth
	Refused                   // definitely not done
	Missing                   // definitely not done: the carrier does not know the shipment, and never booked it
)

// Account is a shipment as the carrier's books have it.
type Account struct {
	Status        string // booked, dispatched, delivered, cancelled, lost
	Carrier       string
	Tracking      string
	Cost          events.Money
	ETA           time.Time
	NothingBooked bool // of a cancellation: there was no booking
}

// tookParcel tells that the parcel is, or was, booked and not cancelled.
func (a Account) tookParcel() bool {
	return slices.Contains([]string{"booked", "dispatched", "delivered", "lost"}, a.Status)
}

// Tell is the carrier's answer to a request.
type Tell struct {
	Ask
	Answer Answer
}

// decide turns an answer into the event that the request waits for. The
// carrier dispatches in its own time: when it has only accepted the request,
// its webhook brings the answer.
func (t Tell) decide(s State) []events.Event {
	if s.isAnswered(t.RequestID) {
		return nil
	}
	account := t.Answer.Account
	switch t.Op {
	case Book:
		switch {
		case t.Answer.Kind == Done && account.tookParcel():
			return []events.Event{events.ShipmentBooked{
				OrderID: t.OrderID, RequestID: t.RequestID,
				Carrier: account.Carrier, Tracking: account.Tracking, Cost: account.Cost, ETA: account.ETA,
			}}
		case t.Answer.Kind == Done && account.Status == "cancelled":
			return []events.Event{t.bookingFailed(account.Status, false)}
		case t.Answer.Kind == Done: // money is captured for a booking, so it has to be told
			return []events.Event{t.bookingFailed("not_told", true)}
		case t.Answer.Kind == Unknown:
			return []events.Event{t.bookingFailed("carrier_unreachable", true)}
		default:
			return []events.Event{t.bookingFailed(t.Answer.Code, false)}
		}
	case Dispatch:
		switch {
		case t.Answer.Kind == Refused:
			return []events.Event{events.ShipmentCancelled{OrderID: t.OrderID, RequestID: t.RequestID}}
		case t.Answer.Kind == Done && (account.Status == "dispatched" || account.Status == "delivered"):
			return []events.Event{t.dispatched(account.Tracking)}
		case t.Answer.Kind == Done && account.Status == "lost":
			return []events.Event{events.ShipmentLost{OrderID: t.OrderID, RequestID: t.RequestID}}
		}
	case Cancel:
		switch {
		case t.Answer.Kind == Missing, t.Answer.Kind == Done && account.NothingBooked:
			return []events.Event{t.voided()}
		case t.Answer.Kind == Done && account.Status == "cancelled":
			return []events.Event{events.ShipmentCancelled{OrderID: t.OrderID, RequestID: t.RequestID}}
		case t.Answer.Kind == Refused:
			return []events.Event{events.ShipmentCancellationRefused{OrderID: t.OrderID, RequestID: t.RequestID, Reason: t.Answer.Code}}
		}
	}
	return nil
}

func (t Tell) bookingFailed(code string, transient bool) events.Event {
	return events.ShipmentBookingFailed{OrderID: t.OrderID, RequestID: t.RequestID, Code: code, Transient: transient}
}

// News is what the carrier told by webhook.
type News struct {
	ShipmentID string
	EventID    string // the carrier's
	RequestID  string // of the request that caused it; may be empty
	Account    Account
}

// decide stores what is new. Webhooks come late and in any order: a parcel
// that was delivered, or lost, had been dispatched, and booked before that.
func (n News) decide(s State) []events.Event {
	var news []events.Event
	if s.Status == "" && n.Account.tookParcel() && n.Account.Status != "booked" {
		news = append(news, events.ShipmentBooked{
			OrderID: s.OrderID, Carrier: n.Account.Carrier, Tracking: n.Account.Tracking, Cost: n.Account.Cost, ETA: n.Account.ETA,
		})
	}
	dispatched := events.ShipmentDispatched{
		OrderID: s.OrderID, RequestID: n.RequestID, Tracking: []string{n.Account.Tracking}, CarrierEventID: n.EventID,
	}
	switch n.Account.Status {
	case "dispatched":
		if !s.left() {
			news = append(news, dispatched)
		}
	case "delivered":
		if !s.left() {
			news = append(news, dispatched)
		}
		if s.Status != StatusDelivered {
			news = append(news, events.ShipmentDelivered{OrderID: s.OrderID, CarrierEventID: n.EventID})
		}
	case "lost":
		if !s.left() {
			news = append(news, dispatched)
		}
		if s.Status != StatusLost && s.Status != StatusDelivered {
			news = append(news, events.ShipmentLost{OrderID: s.OrderID, CarrierEventID: n.EventID})
		}
	case "cancelled":
		if s.Status == StatusBooked {
			news = append(news, events.ShipmentCancelled{OrderID: s.OrderID, CarrierEventID: n.EventID})
		}
	}
	return news
}
