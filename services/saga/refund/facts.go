package refund

import (
	"strconv"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
)

// Case is one input in one state: all that a guard or an event is made from.
type Case struct {
	State  State
	Policy fulfilment.Policy
	At     time.Time    // when the input happened
	Input  string       // the event's type, or timerStep
	Event  events.Event // nil for a timer and an operator
	Key    string       // of the event's stream
	ID     string       // of the event

	Operator fulfilment.Operator // what an operator decided
	Set      fulfilment.SetAside // why the refund is set aside
}

// Fact is one event that a row appends. It is made from the state as the row's
// earlier facts have left it.
type Fact struct {
	Type string // the event's stored type
	Note string // what the table says beside it
	Make func(Case) events.Event
}

// fact describes the event that of returns.
func fact[E events.Event](note string, of func(Case) E) Fact {
	var e E
	return Fact{Type: e.EventType(), Note: note, Make: func(c Case) events.Event { return of(c) }}
}

// the returns the case's event as a T, the zero T when it is none.
func the[T events.Event](c Case) T {
	e, _ := c.Event.(T)
	return e
}

var restockExceeds = Guard{"more than left the house", func(c Case) bool {
	return the[events.ReservationRestockFailed](c).Code == events.RestockExceeds
}}

var (
	refundOpened = fact("", func(c Case) events.RefundOpened {
		opened := events.RefundOpened{PolicyVersion: c.Policy.Version, PolicyDigest: c.Policy.Digest()}
		switch e := c.Event.(type) {
		case events.OrderRefundRequested:
			opened.OrderID, opened.RefundID, opened.PaymentID, opened.Cause = c.Key, e.RefundID, e.PaymentID, events.RefundCustomer
			opened.Reason, opened.Amount, opened.Restock = e.Reason, e.Amount, e.Restock
		case events.LateEffectDetected:
			opened.OrderID, opened.RefundID, opened.PaymentID, opened.Cause = e.OrderID, e.RefundID, e.PaymentID, events.RefundLateEffect
			opened.Reason, opened.Amount = e.Type, e.Amount
		}
		return opened
	})
	refundRequested = fact("same key", func(c Case) events.RefundRequested {
		return events.RefundRequested{Request: c.request(events.StepRefund), RefundID: c.State.RefundID, PaymentID: c.State.PaymentID,
			Amount: c.State.Amount, Key: c.State.PaymentID + ":" + string(events.OperationRefund) + ":" + c.State.RefundID}
	})
	refundVoidRequested = fact("same key", func(c Case) events.RefundVoidRequested {
		return events.RefundVoidRequested{Request: c.request(events.StepVoid), RefundID: c.State.RefundID, PaymentID: c.State.PaymentID,
			Key: c.State.PaymentID + ":" + string(events.OperationVoid)}
	})
	refundPaid = fact("", func(c Case) events.RefundPaid {
		return events.RefundPaid{OrderID: c.State.OrderID, RequestID: the[events.PaymentRefunded](c).RequestID, RefundID: c.State.RefundID,
			PaymentID: c.State.PaymentID, Cause: c.State.Cause, Amount: c.State.Amount, By: c.Operator.By}
	})
	restockRequested = fact("", func(c Case) events.RestockRequested {
		return events.RestockRequested{Request: c.request(events.StepRestock), RefundID: c.State.RefundID, Lines: c.State.Restock}
	})
	restockConfirmed = fact("", func(c Case) events.RestockConfirmed {
		return events.RestockConfirmed{OrderID: c.State.OrderID, RequestID: the[events.ReservationRestocked](c).RequestID, By: c.Operator.By}
	})
	// What came late is the money itself; no other refund undoes it.
	lateEffectDetected = fact("", func(c Case) events.LateEffectDetected {
		return events.LateEffectDetected{OrderID: c.State.OrderID, EventID: c.ID, Type: c.Input, PaymentID: c.State.PaymentID}
	})
	refundedTwiceSeen = fact(attentionTwice, func(c Case) events.AttentionRequired {
		return events.AttentionRequired{OrderID: c.State.OrderID, Step: events.StepRefund, Code: attentionTwice,
			Detail: "the provider refunded what " + c.State.PaidBy + " had resolved as paid in another way, " + c.State.Amount.String()}
	})
	stepTimedOut = fact("", func(c Case) events.StepTimedOut {
		step := c.State.step()
		return events.StepTimedOut{OrderID: c.State.OrderID, Step: step, Attempt: c.State.Asked[step]}
	})
	attentionCleared = fact("", func(c Case) events.AttentionCleared {
		return events.AttentionCleared{OrderID: c.State.OrderID, Step: c.State.step()}
	})
)

func refundSettled(outcome events.RefundOutcome) Fact {
	return fact(string(outcome), func(c Case) events.RefundSettled {
		return events.RefundSettled{OrderID: c.State.OrderID, RefundID: c.State.RefundID, Outcome: outcome}
	})
}

// attentionRequired asks for people and waits for them.
func attentionRequired(code string) Fact {
	return fact(code, func(c Case) events.AttentionRequired {
		return events.AttentionRequired{OrderID: c.State.OrderID, Step: c.State.step(), Code: code, Detail: c.detail()}
	})
}

// attentionAndAgain asks for people, and goes on asking the participant slowly.
func attentionAndAgain(code string) Fact {
	return fact(code+", again each hour", func(c Case) events.AttentionRequired {
		return events.AttentionRequired{OrderID: c.State.OrderID, Step: c.State.step(), Code: code,
			Detail: c.detail(), RetryAt: c.At.Add(c.Policy.Attention)}
	})
}

// detail says in words what the operator has to know beside the code.
func (c Case) detail() string {
	switch e := c.Event.(type) {
	case events.PaymentRefunded:
		return "refunded " + e.Amount.String() + ", asked for " + c.State.Amount.String()
	case events.PaymentRefundFailed:
		return e.Code
	case events.ReservationRestockFailed:
		return e.Code
	}
	return ""
}

// request makes the next request of a step: its attempt, its id and its deadline.
// While the refund has the attention of people it asks at a slow pace; when they
// asked for it, it begins anew.
func (c Case) request(step events.Step) events.Request {
	n := c.State.Asked[step] + 1
	wait := c.Policy.Compensate.Jittered(c.State.counted(step)+1, c.State.RefundID)
	if c.State.Attention != "" {
		wait = c.Policy.Attention
	}
	return events.Request{
		OrderID:   c.State.OrderID,
		RequestID: requestPrefix + c.State.RefundID + "/" + string(step) + "/" + strconv.Itoa(n),
		Attempt:   n,
		Deadline:  c.At.Add(wait),
	}
}

const requestPrefix = "refund/"

// refundOf returns the refund that a request id belongs to, "" for one of
// fulfilment.
func refundOf(requestID string) string {
	rest, ours := strings.CutPrefix(requestID, requestPrefix)
	id, _, _ := strings.Cut(rest, "/")
	if !ours {
		return ""
	}
	return id
}
