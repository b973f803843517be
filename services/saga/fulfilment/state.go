package fulfilment

import (
	"maps"
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
)

// State is what a fulfilment's own events say about it. Nothing else enters it.
type State struct {
	Status    Status `json:"status"`
	Attention string `json:"attention,omitzero"` // code of what asked for attention, "" when nothing does
	// Quarantined is why the fulfilment is set aside, "" when it is not.
	Quarantined string `json:"quarantined,omitzero"`
	Version     uint64 `json:"version"` // events folded

	OrderID       string             `json:"order_id"`
	OrderVersion  uint64             `json:"order_version"` // of the order, when it was submitted
	PolicyVersion int                `json:"policy_version"`
	PolicyDigest  string             `json:"policy_digest,omitzero"` // see [Policy.Digest]; "" when it was started before there were any
	Lines         []events.StockLine `json:"lines"`
	Total         events.Money       `json:"total"`
	AddressRef    string             `json:"address_ref"`
	Country       string             `json:"country"`
	MethodRef     string             `json:"method_ref"`

	ReservationID string `json:"reservation_id,omitzero"`
	PaymentID     string `json:"payment_id,omitzero"`
	Payments      int    `json:"payments,omitzero"` // payment methods tried
	// PaymentsGivenUp and ShipmentsGivenUp are those that another one took the place of, the oldest first.
	PaymentsGivenUp  []string     `json:"payments_given_up,omitzero"`
	ShipmentsGivenUp []string     `json:"shipments_given_up,omitzero"`
	Captured         events.Money `json:"captured,omitzero"`
	CaptureID        string       `json:"capture_id,omitzero"` // of the capture that paid the order
	ShipmentID       string       `json:"shipment_id,omitzero"`
	Shipments        int          `json:"shipments,omitzero"` // carriers booked, the first and its replacements
	Rebooking        bool         `json:"rebooking,omitzero"` // a replacement is requested and not yet secured
	Lost             bool         `json:"lost,omitzero"`      // the parcel is lost, and no other carrier is asked
	Dispatched       bool         `json:"dispatched,omitzero"`
	Committed        bool         `json:"committed,omitzero"`
	// GoodsLost: those of the present parcel are gone, and no other one has its place yet.
	GoodsLost bool `json:"goods_lost,omitzero"`
	// TakesFor is the shipment for which goods leave the stock beside the reserved ones, because a lost
	// parcel had those; "" when none was lost. Committed is about these goods.
	TakesFor string       `json:"takes_for,omitzero"`
	Refund   events.Money `json:"refund,omitzero"` // requested back while undoing

	Cancellation *Cancellation `json:"cancellation,omitzero"`
	Compensation *Compensation `json:"compensation,omitzero"`
	// LateEffect: something took effect after it was confirmed as undone.
	LateEffect bool `json:"late_effect,omitzero"`
	// RefundedBy is the operator who said that the money went back in another way, ""
	// when the provider said that it did.
	RefundedBy string `json:"refunded_by,omitzero"`
	// RefundedTwice: the provider gave back what had gone back in another way.
	RefundedTwice bool `json:"refunded_twice,omitzero"`

	Asked  map[Question]int `json:"asked,omitzero"`  // requests by step; shared, never changed in place
	Before map[Question]int `json:"before,omitzero"` // Asked when an operator asked for more

	Step          Deadline `json:"step,omitzero"`
	SLA           Deadline `json:"sla,omitzero"`
	Authorization Deadline `json:"authorization,omitzero"` // when the authorisation ends
}

// Deadline is a time and the version of the event that set it.
type Deadline struct {
	At      time.Time `json:"at"`
	Version uint64    `json:"version"`
}

// Cancellation is a customer's wish that is not decided yet.
type Cancellation struct {
	Reason string `json:"reason,omitzero"`
	By     string `json:"by,omitzero"`
}

// Compensation is why and what is being undone.
type Compensation struct {
	Cause       string               `json:"cause"`
	Outcome     events.Outcome       `json:"outcome"`
	Plan        []events.Step        `json:"plan"`
	Undone      []events.Step        `json:"undone,omitzero"` // confirmed steps of the plan
	Unavailable []events.Unavailable `json:"unavailable,omitzero"`
	Reason      string               `json:"reason,omitzero"`
	By          string               `json:"by,omitzero"`
}

// Apply folds one of the fulfilment's events. It is total and pure: what it
// does not know counts as an event and changes nothing else.
func Apply(s State, e events.Event) State {
	s.Version++
	switch e := e.(type) {
	case events.FulfilmentStarted:
		s.Status = Reserving
		s.OrderID, s.OrderVersion = e.OrderID, e.OrderVersion
		s.PolicyVersion, s.PolicyDigest = e.PolicyVersion, e.PolicyDigest
		s.Lines, s.Total = stockLines(e.Lines), e.Total
		s.AddressRef, s.Country, s.MethodRef = e.AddressRef, e.Country, e.MethodRef
		s.SLA = Deadline{e.Deadline, s.Version}

	case events.ReservationRequested:
		return s.asked(reserve, e.Request, Reserving)
	case events.ReservationSucceeded:
		s.ReservationID = e.ReservationID
	case events.ReservationFailed:
		s.Compensation = &Compensation{Unavailable: e.Unavailable}

	case events.AuthorizationRequested:
		if e.PaymentID != s.PaymentID {
			s.PaymentsGivenUp = givenUp(s.PaymentsGivenUp, s.PaymentID)
			s.PaymentID, s.MethodRef = e.PaymentID, e.MethodRef
			s.Payments++
		}
		return s.asked(authorize, e.Request, Authorizing)
	case events.AuthorizationCheckRequested:
		return s.asked(checkAuthorization, e.Request, AuthUnknown)
	case events.PaymentMethodAwaited:
		s.Status, s.Step = AwaitingMethod, Deadline{e.Until, s.Version}
	case events.AuthorizationSucceeded:
		s.Authorization = Deadline{e.ExpiresAt, s.Version}

	case events.ConfirmationRequested:
		return s.asked(confirm, e.Request, Confirming)

	case events.ShipmentBookingRequested:
		return s.shipping(e.ShipmentID).asked(book, e.Request, Booking)
	case events.ShipmentRebookRequested:
		s.Rebooking, s.Lost, s.Dispatched, s.GoodsLost = true, false, false, false
		return s.shipping(e.ShipmentID).asked(rebook, e.Request, Dispatching)
	case events.ShipmentSecured:
		s.Rebooking = false

	case events.CaptureRequested:
		return s.asked(capture, e.Request, Capturing)
	case events.CaptureCheckRequested:
		return s.asked(checkCapture, e.Request, CaptureUnknown)
	case events.CaptureSucceeded:
		s.Status, s.Captured, s.CaptureID = Dispatching, e.Amount, e.CaptureID

	case events.DispatchRequested:
		return s.asked(dispatch, e.Request, Dispatching)
	case events.DispatchConfirmed:
		s.Rebooking, s.Lost, s.Dispatched = false, false, true
	case events.StockCommitRequested:
		if e.ShipmentID != s.TakesFor {
			s.TakesFor, s.Committed = e.ShipmentID, false
		}
		return s.asked(commit, e.Request, Dispatching)
	case events.StockCommitConfirmed:
		s.Committed = true
	case events.CompletionRequested:
		return s.asked(complete, e.Request, Completing)
	case events.FulfilmentCompleted:
		s.Status, s.Step = Completed, Deadline{}

	case events.CancellationDeferred:
		s.Cancellation = &Cancellation{Reason: e.Reason, By: e.By}
	case events.CancellationAccepted, events.CancellationRefused:
		s.Cancellation = nil

	case events.CompensationStarted:
		c := Compensation{Cause: e.Cause, Outcome: e.Outcome, Plan: e.Plan, Reason: e.Reason, By: e.By}
		if s.Compensation != nil {
			c.Unavailable = s.Compensation.Unavailable
		}
		s.Compensation, s.Cancellation = &c, nil
		if len(e.Plan) > 0 {
			s.Status = undoing(e.Plan[0])
		}
	case events.ShipmentCancellationRequested:
		return s.asked(cancelShipment, e.Request, CompShipment)
	case events.ShipmentCancellationConfirmed:
		return s.undone(events.StepUndoShipment)
	case events.VoidRequested:
		return s.asked(void, e.Request, CompPayment)
	case events.FulfilmentRefundRequested:
		s.Refund = e.Amount
		return s.asked(refund, e.Request, CompPayment)
	case events.VoidConfirmed:
		return s.undone(events.StepUndoPayment)
	case events.RefundConfirmed:
		s.RefundedBy = e.By
		return s.undone(events.StepUndoPayment)
	case events.ReleaseRequested:
		return s.asked(release, e.Request, CompStock)
	case events.ReleaseConfirmed:
		return s.undone(events.StepUndoStock)
	case events.OutcomeDecided:
		return s.asked(decideOutcome, e.Request, CompOrder)
	case events.FulfilmentCompensated:
		s.Status, s.Step = Compensated, Deadline{}

	case events.AttentionRequired:
		s.Attention, s.Step = e.Code, Deadline{e.RetryAt, s.Version}
		if e.Captured.Sign() > 0 {
			s.Captured = e.Captured
		}
		if e.Code == attentionRebooking {
			s.Lost, s.Dispatched, s.GoodsLost = true, false, e.Lost
		}
	case events.AttentionCleared:
		s.Attention = ""
	case events.OperatorIntervened:
		if e.Action == string(Retry) {
			s.Before = s.Asked
		}
	case events.Quarantined:
		s.Quarantined = e.Error
	case events.QuarantineReleased:
		s.Quarantined = ""
	case events.LateEffectDetected:
		if e.Amount.Sign() > 0 && !slices.Contains(s.PaymentsGivenUp, e.PaymentID) {
			s.Captured = e.Amount
		}
		s.RefundedTwice = s.RefundedTwice || s.RefundedBy != "" && e.Type == events.PaymentRefunded{}.EventType()
		s.LateEffect = s.LateEffect || e.RefundID == "" && !s.takesCareOf(e)
	}
	return s
}

// takesCareOf tells that nobody has to look at a late effect: before the pivot and until
// the payment is undone the fulfilment's next steps find a capture, and use it or give it back.
func (s State) takesCareOf(e events.LateEffectDetected) bool {
	switch s.Status {
	case Authorizing, AuthUnknown, AwaitingMethod, Confirming, Booking, CompShipment:
		return e.Type == events.PaymentCaptured{}.EventType()
	}
	return false
}

// asked notes a request: how often this was asked, when the answer is due, and
// the status that waits for it.
func (s State) asked(q Question, r events.Request, waiting Status) State {
	asked := maps.Clone(s.Asked)
	if asked == nil {
		asked = make(map[Question]int)
	}
	asked[q] = r.Attempt
	s.Asked, s.Status, s.Step = asked, waiting, Deadline{r.Deadline, s.Version}
	return s
}

// shipping notes the shipment that is being booked.
func (s State) shipping(id string) State {
	if id != s.ShipmentID {
		s.ShipmentsGivenUp = givenUp(s.ShipmentsGivenUp, s.ShipmentID)
		s.ShipmentID = id
		s.Shipments++
	}
	return s
}

// givenUp adds what another one takes the place of. The list is shared, so it is never
// changed in place.
func givenUp(before []string, id string) []string {
	if id == "" {
		return before
	}
	return append(slices.Clip(before), id)
}

// hasGoods tells that those of the present parcel are held for the order, or have left the stock for it.
func (s State) hasGoods() bool { return s.TakesFor == "" || s.Committed }

// undone notes that a step of the plan is confirmed.
func (s State) undone(step events.Step) State {
	if s.Compensation == nil || slices.Contains(s.Compensation.Undone, step) {
		return s
	}
	c := *s.Compensation
	c.Undone = append(slices.Clone(c.Undone), step)
	s.Compensation = &c
	return s
}

// undoing is the status in which a step of the plan is undone.
func undoing(step events.Step) Status {
	switch step {
	case events.StepUndoShipment:
		return CompShipment
	case events.StepUndoPayment:
		return CompPayment
	case events.StepUndoStock:
		return CompStock
	}
	return CompOrder
}

// stockLines adds the lines up, because stock is held per sku.
func stockLines(lines []events.OrderLine) []events.StockLine {
	var out []events.StockLine
	for _, l := range lines {
		i := slices.IndexFunc(out, func(o events.StockLine) bool { return o.SKU == l.SKU })
		if i < 0 {
			out = append(out, events.StockLine{SKU: l.SKU, Quantity: l.Quantity})
			continue
		}
		out[i].Quantity += l.Quantity
	}
	return out
}

// everythingUndone tells that every step of the plan is confirmed but the last
// one, the order's end.
func (s State) everythingUndone() bool {
	if s.Compensation == nil {
		return false
	}
	for _, step := range s.Compensation.Plan {
		if step != events.StepUndoOrder && !slices.Contains(s.Compensation.Undone, step) {
			return false
		}
	}
	return true
}
