package refund

import (
	"cmp"
	"maps"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
)

// Status names where a refund stands.
type Status string

// The states of a refund.
const (
	New        Status = "NEW"
	Refunding  Status = "REFUNDING"  // payment gives money back
	Voiding    Status = "VOIDING"    // payment lets go of a late authorisation
	Restocking Status = "RESTOCKING" // inventory puts goods back
	Settled    Status = "SETTLED"
)

// Statuses returns every status.
func Statuses() []Status { return []Status{New, Refunding, Voiding, Restocking, Settled} }

// State is what a refund's own events say about it.
type State struct {
	Status    Status `json:"status"`
	Attention string `json:"attention,omitzero"` // code of what asked for attention, "" when nothing does
	// Quarantined is why the refund is set aside, "" when it is not.
	Quarantined string `json:"quarantined,omitzero"`
	Version     uint64 `json:"version"` // events folded

	OrderID       string             `json:"order_id"`
	RefundID      string             `json:"refund_id"`
	PaymentID     string             `json:"payment_id"`
	Cause         events.RefundCause `json:"cause"`
	Amount        events.Money       `json:"amount,omitzero"`
	Restock       []events.StockLine `json:"restock,omitzero"`
	PolicyVersion int                `json:"policy_version"`
	PolicyDigest  string             `json:"policy_digest,omitzero"` // "" when it was opened before there were any

	Asked  map[events.Step]int `json:"asked,omitzero"`  // requests by step; shared, never changed in place
	Before map[events.Step]int `json:"before,omitzero"` // Asked when an operator asked for more

	// PaidBy is the operator who said that the money went back in another way, ""
	// when the provider said that it did.
	PaidBy string `json:"paid_by,omitzero"`
	// OtherRefunded: the provider gave another amount back, and people know.
	OtherRefunded bool `json:"other_refunded,omitzero"`
	// RefundedTwice: the provider gave back what had gone back in another way.
	RefundedTwice bool `json:"refunded_twice,omitzero"`

	Step fulfilment.Deadline `json:"step,omitzero"`
}

// Apply folds one of the refund's events. It is total and pure: what it does
// not know counts as an event and changes nothing else.
func Apply(s State, e events.Event) State {
	s.Version++
	switch e := e.(type) {
	case events.RefundOpened:
		s.OrderID, s.RefundID, s.PaymentID = e.OrderID, e.RefundID, e.PaymentID
		s.Cause, s.Amount, s.Restock = e.Cause, e.Amount, e.Restock
		s.PolicyVersion, s.PolicyDigest = e.PolicyVersion, e.PolicyDigest
	case events.RefundRequested:
		return s.asked(events.StepRefund, e.Request, Refunding)
	case events.RefundVoidRequested:
		return s.asked(events.StepVoid, e.Request, Voiding)
	case events.RestockRequested:
		return s.asked(events.StepRestock, e.Request, Restocking)
	case events.RefundPaid:
		s.PaidBy = e.By
	case events.LateEffectDetected:
		s.RefundedTwice = true
	case events.RefundSettled:
		s.Status, s.Step = Settled, fulfilment.Deadline{}
	case events.AttentionRequired:
		s.Attention, s.Step = e.Code, fulfilment.Deadline{At: e.RetryAt, Version: s.Version}
		s.OtherRefunded = s.OtherRefunded || e.Code == attentionAmount
	case events.AttentionCleared:
		s.Attention = ""
	case events.OperatorIntervened:
		if e.Action == string(fulfilment.Retry) {
			s.Before = s.Asked
		}
	case events.Quarantined:
		s.Quarantined = e.Error
		s.OrderID = cmp.Or(s.OrderID, e.OrderID)
	case events.QuarantineReleased:
		s.Quarantined = ""
	}
	return s
}

// counted is how often a step was asked since an operator asked for it last: what
// the policy allows is counted from there.
func (s State) counted(step events.Step) int { return s.Asked[step] - s.Before[step] }

// asked notes a request: how often this was asked, when the answer is due, and
// the status that waits for it.
func (s State) asked(step events.Step, r events.Request, waiting Status) State {
	asked := maps.Clone(s.Asked)
	if asked == nil {
		asked = make(map[events.Step]int)
	}
	asked[step] = r.Attempt
	s.Asked, s.Status, s.Step = asked, waiting, fulfilment.Deadline{At: r.Deadline, Version: s.Version}
	return s
}

// step is what the state waits for.
func (s State) step() events.Step {
	switch s.Status {
	case Voiding:
		return events.StepVoid
	case Restocking:
		return events.StepRestock
	}
	return events.StepRefund
}

// normal gives the zero state, which has no events, its name.
func normal(s State) State {
	if s.Status == "" {
		s.Status = New
	}
	return s
}
