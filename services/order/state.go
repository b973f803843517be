package order

import (
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
)

// Status is where an order is on its way; see the package's state diagram.
type Status string

// The states of an order. The zero Status is an order that does not exist.
const (
	Draft      Status = "Draft"
	Submitted  Status = "Submitted"
	Reserved   Status = "Reserved"
	Authorized Status = "Authorized"
	Confirmed  Status = "Confirmed"
	Paid       Status = "Paid"
	Dispatched Status = "Dispatched"
	Completed  Status = "Completed"

	Cancelled Status = "Cancelled"
	Rejected  Status = "Rejected"
	Expired   Status = "Expired"
)

// way lists the states that an order passes, in their order.
var way = []Status{Draft, Submitted, Reserved, Authorized, Confirmed, Paid, Dispatched, Completed}

// State is an order as its events tell it. It is a value: Apply never changes
// what another State shares with it.
type State struct {
	OrderID    string `json:"order_id"`
	CustomerID string `json:"customer_id"`
	Currency   string `json:"currency"`
	Channel    string `json:"channel,omitzero"`
	Status     Status `json:"status"`
	Changes    int    `json:"changes,omitzero"` // of the draft, up to its end

	Lines      []Line       `json:"lines,omitzero"`
	LinesAdded int          `json:"lines_added,omitzero"` // ever; the next line's id counts on
	AddressRef string       `json:"address_ref,omitzero"`
	Country    string       `json:"country,omitzero"`
	MethodRef  string       `json:"method_ref,omitzero"`
	Total      events.Money `json:"total,omitzero"` // since the order was submitted

	ReservationID string        `json:"reservation_id,omitzero"`
	PaymentID     string        `json:"payment_id,omitzero"`
	MethodAwaited time.Time     `json:"method_awaited,omitzero"` // until when another payment method is awaited
	Cancellation  *Cancellation `json:"cancellation,omitzero"`   // that is open
	Captured      events.Money  `json:"captured,omitzero"`
	Refunds       []Refund      `json:"refunds,omitzero"`
	RefundsSum    events.Money  `json:"refunds_sum,omitzero"` // of all refunds that were requested
	Tracking      []string      `json:"tracking,omitzero"`
	End           *End          `json:"end,omitzero"`
	Answered      string        `json:"answered,omitzero"` // the last request of fulfilment that was answered
}

// Line is one line of an order.
type Line struct {
	LineID          string       `json:"line_id"`
	SKU             string       `json:"sku"`
	Name            string       `json:"name"`
	Quantity        int          `json:"quantity"`
	UnitPrice       events.Money `json:"unit_price"`
	ProductRevision string       `json:"product_revision"`
	Refunded        int          `json:"refunded,omitzero"` // quantity for which a refund was requested
}

// Refund is captured money that goes back, or went back when it is Done.
type Refund struct {
	RefundID string       `json:"refund_id"`
	Amount   events.Money `json:"amount"`
	Reason   string       `json:"reason,omitzero"`
	Done     bool         `json:"done"`
}

// Cancellation is a customer's wish to cancel.
type Cancellation struct {
	Reason string `json:"reason,omitzero"`
	By     string `json:"by,omitzero"`
}

// End is why an order was cancelled, rejected or expired.
type End struct {
	Code        string               `json:"code,omitzero"`
	Unavailable []events.Unavailable `json:"unavailable,omitzero"`
	Reason      string               `json:"reason,omitzero"`
	By          string               `json:"by,omitzero"`
}

// Apply folds one event into the state. It accepts every event in every state:
// a fact cannot fail, and an event of another category changes nothing.
func Apply(s State, event events.Event) State {
	if s.Status == Draft {
		s.Changes++
	}
	switch e := event.(type) {
	case events.OrderCreated:
		s.OrderID, s.CustomerID, s.Currency, s.Channel = e.OrderID, e.CustomerID, e.Currency, e.Channel
		s.Status = Draft
	case events.ItemAdded:
		s.LinesAdded++
		s.Lines = append(slices.Clone(s.Lines), Line{
			LineID: e.LineID, SKU: e.SKU, Name: e.Name, Quantity: e.Quantity,
			UnitPrice: e.UnitPrice, ProductRevision: e.ProductRevision,
		})
	case events.ItemQuantityChanged:
		s.Lines = changed(s.Lines, e.LineID, func(l *Line) { l.Quantity = e.New })
	case events.ItemRemoved:
		s.Lines = slices.DeleteFunc(slices.Clone(s.Lines), func(l Line) bool { return l.LineID == e.LineID })
	case events.ShippingAddressSet:
		s.AddressRef, s.Country = e.AddressRef, e.Country
	case events.PaymentMethodSet:
		s.MethodRef, s.MethodAwaited = e.MethodRef, time.Time{}
	case events.OrderSubmitted:
		s.Status, s.Total = Submitted, e.Total
	case events.OrderReserved:
		s.Status, s.ReservationID = Reserved, e.ReservationID
	case events.OrderPaymentMethodAwaited:
		s.MethodAwaited = e.Until
	case events.OrderPaymentAuthorized:
		s.Status, s.PaymentID, s.MethodAwaited = Authorized, e.PaymentID, time.Time{}
	case events.OrderConfirmed:
		s.Status, s.Answered = Confirmed, e.RequestID
	case events.OrderConfirmationRefused:
		s.Answered = e.RequestID
	case events.OrderPaid:
		s.Status, s.PaymentID, s.Captured = Paid, e.PaymentID, e.Captured
	case events.OrderDispatched:
		s.Status, s.Tracking = Dispatched, e.Tracking
	case events.OrderCompleted:
		s.Status, s.Answered = Completed, e.RequestID
	case events.OrderCancellationRequested:
		s.Cancellation = &Cancellation{Reason: e.Reason, By: e.By}
	case events.OrderCancellationRefused:
		s.Cancellation = nil
	case events.OrderCancelled:
		s = s.ended(Cancelled, e.RequestID, End{Reason: e.Reason, By: e.By})
	case events.OrderRejected:
		s = s.ended(Rejected, e.RequestID, End{Code: e.Code, Unavailable: e.Unavailable})
	case events.OrderExpired:
		s = s.ended(Expired, e.RequestID, End{})
	case events.OrderRefundRequested:
		s.Refunds = append(slices.Clip(s.Refunds), Refund{RefundID: e.RefundID, Amount: e.Amount, Reason: e.Reason})
		for _, refund := range e.Lines {
			s.Lines = changed(s.Lines, refund.LineID, func(l *Line) { l.Refunded += refund.Quantity })
		}
		if sum, err := s.RefundsSum.Add(e.Amount); err == nil { // decided to fit into what was captured
			s.RefundsSum = sum
		}
	case events.OrderRefunded:
		s.Refunds = slices.Clone(s.Refunds)
		for i := range s.Refunds {
			if s.Refunds[i].RefundID == e.RefundID {
				s.Refunds[i].Done = true
			}
		}
	}
	return s
}

// ended leaves no wish and no wait open.
func (s State) ended(status Status, requestID string, end End) State {
	s.Status, s.Answered, s.End = status, requestID, &end
	s.Cancellation, s.MethodAwaited = nil, time.Time{}
	return s
}

// changed returns lines with one of them changed.
func changed(lines []Line, id string, change func(*Line)) []Line {
	lines = slices.Clone(lines)
	for i := range lines {
		if lines[i].LineID == id {
			change(&lines[i])
		}
	}
	return lines
}

// exists tells that the order was created.
func (s State) exists() bool { return s.Status != "" }

// Ended tells that nothing but a refund can happen to the order any more.
func (s State) Ended() bool {
	return s.Status == Completed || s.Status == Cancelled || s.Status == Rejected || s.Status == Expired
}

// reached tells that the order is on its way, at status or beyond.
func (s State) reached(status Status) bool {
	return slices.Index(way, s.Status) >= slices.Index(way, status)
}

// line finds the line with this id.
func (s State) line(id string) (Line, bool) {
	for _, l := range s.Lines {
		if l.LineID == id {
			return l, true
		}
	}
	return Line{}, false
}

// sum adds up the lines. Error: [events.ErrOverflow], [events.ErrCurrency].
func sum(lines []Line) (events.Money, error) {
	var total events.Money
	for _, l := range lines {
		cost, err := l.UnitPrice.Mul(int64(l.Quantity))
		if err == nil {
			total, err = total.Add(cost)
		}
		if err != nil {
			return events.Money{}, err
		}
	}
	return total, nil
}
