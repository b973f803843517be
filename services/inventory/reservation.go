package inventory

import (
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
)

// Status is where a reservation is.
type Status string

// What a reservation can be; the empty status means that there was no request.
const (
	Held      Status = "Held"
	Rejected  Status = "Rejected"
	Released  Status = "Released"
	Committed Status = "Committed"
	Expired   Status = "Expired"
	Voided    Status = "Voided"
)

// Reservation is what an order holds of the stock; its key is the order's id.
type Reservation struct {
	Status    Status             `json:"status"`
	Lines     []events.StockLine `json:"lines,omitzero"`
	ExpiresAt time.Time          `json:"expires_at,omitzero"`
	Answered  []string           `json:"answered,omitzero"` // the newest request ids
	Restocks  []Restock          `json:"restocks,omitzero"`
	// Parcels are the shipments for which the lines left the house once more, each in the place of a lost one.
	Parcels []string `json:"parcels,omitzero"`
}

// Restock is what a refund put back of a committed reservation.
type Restock struct {
	RefundID string             `json:"refund_id"`
	Lines    []events.StockLine `json:"lines"`
}

// maxAnswered bounds the request ids that a reservation remembers: more than
// the attempts of all its steps.
const maxAnswered = 64

// ApplyReservation folds one event of a reservation.
func ApplyReservation(r Reservation, e events.Event) Reservation {
	switch e := e.(type) {
	case events.ReservationConfirmed:
		r.Status, r.Lines, r.ExpiresAt = Held, e.Lines, e.ExpiresAt
		return r.answered(e.RequestID)
	case events.ReservationRejected:
		if r.Status == "" {
			r.Status = Rejected
		}
		return r.answered(e.RequestID)
	case events.ReservationReleased:
		if !e.NothingHeld {
			r.Status = Released
		}
		return r.answered(e.RequestID)
	case events.ReservationCommitted:
		r.Status = Committed
		if e.ShipmentID != "" && !slices.Contains(r.Parcels, e.ShipmentID) {
			r.Parcels = append(slices.Clip(r.Parcels), e.ShipmentID)
		}
		return r.answered(e.RequestID)
	case events.ReservationCommitFailed:
		return r.answered(e.RequestID)
	case events.ReservationExpired:
		r.Status = Expired
		return r.answered(e.RequestID)
	case events.ReservationVoided:
		r.Status = Voided
		return r.answered(e.RequestID)
	case events.ReservationRestocked:
		if !e.AlreadyBack {
			r.Restocks = append(slices.Clip(r.Restocks), Restock{e.RefundID, e.Lines})
		}
		return r.answered(e.RequestID)
	case events.ReservationRestockFailed:
		return r.answered(e.RequestID)
	}
	return r
}

func (r Reservation) answered(request string) Reservation {
	kept := r.Answered[max(0, len(r.Answered)-maxAnswered+1):]
	r.Answered = append(slices.Clone(kept), request)
	return r
}

// Move is one change of one sku's level.
type Move struct {
	SKU   string
	Event events.Event
}

// DecideRequest answers a request of an order's fulfilment or refund, with the levels as
// they are. Every request with a new id gets an answer, even when nothing
// changes; one that was answered gets none. All moves and the answer are stored
// together or not at all.
func DecideRequest(r Reservation, request events.Event, levels func(sku string) Stock) (answer []events.Event, moves []Move) {
	switch e := request.(type) {
	case events.ReservationRequested:
		return r.reserve(e, levels)
	case events.ReleaseRequested:
		return r.release(e, levels)
	case events.StockCommitRequested:
		return r.commit(e, levels)
	case Due:
		return r.expire(e, levels)
	case events.RestockRequested:
		return r.restock(e, levels)
	}
	return nil, nil
}

// asks returns the order for which an event asks something of the inventory,
// "" when it asks nothing.
func asks(e events.Event) (order string) {
	switch e := e.(type) {
	case events.ReservationRequested:
		return e.OrderID
	case events.ReleaseRequested:
		return e.OrderID
	case events.StockCommitRequested:
		return e.OrderID
	case events.RestockRequested:
		return e.OrderID
	case Due:
		return e.OrderID
	}
	return ""
}

// skus are those whose levels the request needs.
func (r Reservation) skus(request events.Event) []string {
	lines := r.Lines
	switch e := request.(type) {
	case events.ReservationRequested:
		lines = e.Lines
	case events.RestockRequested:
		lines = e.Lines
	case Due:
		if !r.due(e.At) {
			return nil
		}
	}
	skus := make([]string, len(lines))
	for i, l := range lines {
		skus[i] = l.SKU
	}
	return skus
}

func (r Reservation) reserve(e events.ReservationRequested, levels func(string) Stock) ([]events.Event, []Move) {
	if slices.Contains(r.Answered, e.RequestID) {
		return nil, nil
	}
	confirmed := events.ReservationConfirmed{
		OrderID: e.OrderID, RequestID: e.RequestID, ReservationID: e.OrderID, Lines: r.Lines, ExpiresAt: r.ExpiresAt,
	}
	rejected := events.ReservationRejected{OrderID: e.OrderID, RequestID: e.RequestID}
	switch r.Status {
	case Held:
		return []events.Event{confirmed}, nil
	case Released, Committed, Expired, Voided:
		rejected.Code = events.ReservationGone
		return []events.Event{rejected}, nil
	}
	lines := merged(e.Lines)
	for _, l := range lines {
		if available := levels(l.SKU).Available(); available < l.Quantity {
			rejected.Unavailable = append(rejected.Unavailable, events.Unavailable{SKU: l.SKU, Wanted: l.Quantity, Available: available})
		}
	}
	if len(rejected.Unavailable) > 0 {
		rejected.Code = events.ReservationOutOfStock
		return []events.Event{rejected}, nil
	}
	moves := make([]Move, len(lines))
	for i, l := range lines {
		s := levels(l.SKU)
		moves[i] = Move{l.SKU, events.StockReserved{
			OrderID: e.OrderID, RequestID: e.RequestID, ReservationID: e.OrderID, Quantity: l.Quantity,
			OnHandAfter: s.OnHand, ReservedAfter: s.Reserved + l.Quantity,
		}}
	}
	confirmed.Lines, confirmed.ExpiresAt = lines, e.ExpiresAt
	return []events.Event{confirmed}, moves
}

// merged names each sku once, in the order of the lines.
func merged(lines []events.StockLine) []events.StockLine {
	var out []events.StockLine
	for _, l := range lines {
		if i := slices.IndexFunc(out, func(o events.StockLine) bool { return o.SKU == l.SKU }); i >= 0 {
			out[i].Quantity += l.Quantity
		} else {
			out = append(out, l)
		}
	}
	return out
}

func (r Reservation) release(e events.ReleaseRequested, levels func(string) Stock) ([]events.Event, []Move) {
	if slices.Contains(r.Answered, e.RequestID) {
		return nil, nil
	}
	switch r.Status {
	case "", Rejected: // a late request to reserve must find this
		return []events.Event{events.ReservationVoided{OrderID: e.OrderID, RequestID: e.RequestID, Cause: e.Cause}}, nil
	case Held:
		return []events.Event{events.ReservationReleased{OrderID: e.OrderID, RequestID: e.RequestID, Cause: e.Cause}},
			r.free(e.OrderID, e.RequestID, levels)
	}
	return []events.Event{events.ReservationReleased{OrderID: e.OrderID, RequestID: e.RequestID, Cause: e.Cause, NothingHeld: true}}, nil
}

// free are the moves that release what is held.
func (r Reservation) free(order, request string, levels func(string) Stock) []Move {
	moves := make([]Move, len(r.Lines))
	for i, l := range r.Lines {
		s := levels(l.SKU)
		moves[i] = Move{l.SKU, events.StockReleased{
			OrderID: order, RequestID: request, ReservationID: order, Quantity: l.Quantity,
			OnHandAfter: s.OnHand, ReservedAfter: s.Reserved - l.Quantity,
		}}
	}
	return moves
}

func (r Reservation) commit(e events.StockCommitRequested, levels func(string) Stock) ([]events.Event, []Move) {
	if slices.Contains(r.Answered, e.RequestID) {
		return nil, nil
	}
	committed := events.ReservationCommitted{OrderID: e.OrderID, RequestID: e.RequestID, ShipmentID: e.ShipmentID}
	failed := events.ReservationCommitFailed{OrderID: e.OrderID, RequestID: e.RequestID, Code: events.ReservationGone, ShipmentID: e.ShipmentID}
	switch {
	case r.Status == Committed && e.ShipmentID != "" && !slices.Contains(r.Parcels, e.ShipmentID):
		for _, l := range r.Lines {
			if levels(l.SKU).Available() < l.Quantity {
				failed.Code = events.ReservationOutOfStock
				return []events.Event{failed}, nil
			}
		}
		return []events.Event{committed}, r.leave(e, levels, 0)
	case r.Status == Committed:
		return []events.Event{committed}, nil
	case r.Status == Held && e.ShipmentID == "":
		return []events.Event{committed}, r.leave(e, levels, 1)
	}
	return []events.Event{failed}, nil
}

// leave are the moves by which the lines leave the house; held is 1 when they were
// held until now, 0 when they are others.
func (r Reservation) leave(e events.StockCommitRequested, levels func(string) Stock, held int) []Move {
	moves := make([]Move, len(r.Lines))
	for i, l := range r.Lines {
		s := levels(l.SKU)
		moves[i] = Move{l.SKU, events.StockCommitted{
			OrderID: e.OrderID, RequestID: e.RequestID, ReservationID: e.OrderID, Quantity: l.Quantity,
			OnHandAfter: s.OnHand - l.Quantity, ReservedAfter: s.Reserved - held*l.Quantity,
		}}
	}
	return moves
}
