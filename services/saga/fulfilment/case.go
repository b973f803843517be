package fulfilment

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// Case is one input in one state: all that a guard or an event is made from.
type Case struct {
	State  State
	Policy Policy
	At     time.Time // when the input happened

	Input    string       // the event's type, the timer with the prefix "timer.", or what an operator does
	Event    events.Event // nil for a timer and an operator
	EventID  string
	Stream   esjs.StreamID // of the event; its key is the order, payment or shipment id
	Version  uint64        // of the event in its stream
	Operator Operator      // what an operator decided
	Set      SetAside      // why the fulfilment is set aside
}

// Inputs that are no events.
const (
	TimerStep          = "timer.step"    // the step's answer is overdue
	TimerSLA           = "timer.sla"     // the order should have been captured by now
	TimerAuthorization = "timer.authexp" // the authorisation is about to end
	TimerWarning       = "timer.warning" // the deadline of a dispatch is near
)

// Whose news an input is, when it is not the payment or the shipment that the
// fulfilment goes on with.
const (
	ofGivenUp  = "given-up." // another one took its place
	ofStranger = "stranger." // never asked for
)

// isEvent tells the inputs that participants cause.
func isEvent(input string) bool { return !strings.Contains(input, ".") }

// ofOrder tells the order's own events, of which some come before it is submitted.
func ofOrder(input string) bool {
	return strings.HasPrefix(input, "Order") || input == "PaymentMethodSet"
}

// Question names what is asked of a participant. It is part of the request id.
type Question string

const (
	reserve            Question = "reserve"
	authorize          Question = "authorize"
	checkAuthorization Question = "check-authorization"
	confirm            Question = "confirm"
	book               Question = "book"
	capture            Question = "capture"
	checkCapture       Question = "check-capture"
	dispatch           Question = "dispatch"
	rebook             Question = "rebook"
	commit             Question = "commit"
	complete           Question = "complete"
	cancelShipment     Question = "cancel-shipment"
	void               Question = "void"
	refund             Question = "refund"
	release            Question = "release"
	decideOutcome      Question = "outcome"
)

// request makes the next request of q: its attempt, its id and its deadline.
// While the fulfilment has the attention of people, and not only their warning, it
// asks at a slow pace; when they asked for it, it begins anew.
func (c Case) request(q Question) events.Request {
	n := c.State.Asked[q] + 1
	counted := c.State.counted(q) + 1
	wait := c.Policy.patience(q).wait(counted)
	switch {
	case c.State.asksPeople() && c.Input == TimerStep:
		wait = c.Policy.Attention
	case undoes(q):
		wait = c.Policy.Compensate.Jittered(counted, c.State.OrderID)
	}
	return events.Request{
		OrderID:   c.State.OrderID,
		RequestID: requestID(c.State.OrderID, q, n),
		Attempt:   n,
		Deadline:  c.At.Add(wait),
	}
}

func requestID(order string, q Question, n int) string {
	return order + "/" + string(q) + "/" + strconv.Itoa(n)
}

// patience returns how long the policy waits for an answer to q.
func (p Policy) patience(q Question) Patience {
	switch q {
	case reserve:
		return p.Reserve
	case authorize:
		return p.Authorize
	case checkAuthorization:
		return p.AuthorizeCheck
	case confirm:
		return p.Confirm
	case book, rebook:
		return p.Book
	case capture:
		return p.Capture
	case checkCapture:
		return p.CaptureCheck
	case dispatch, commit:
		return p.Dispatch
	case complete: // people are asked as soon as about a step back
		pace := p.Complete
		pace.Attempts = p.Compensate.Attempts
		return pace
	}
	return p.Compensate
}

func undoes(q Question) bool {
	return q == cancelShipment || q == void || q == refund || q == release || q == decideOutcome
}

// waitingFor returns the questions that the state waits to have answered.
func (s State) waitingFor() []Question {
	switch s.Status {
	case Reserving:
		return []Question{reserve}
	case Authorizing:
		return []Question{authorize}
	case AuthUnknown:
		return []Question{checkAuthorization}
	case Confirming:
		return []Question{confirm}
	case Booking:
		return []Question{book}
	case Capturing:
		return []Question{capture}
	case CaptureUnknown:
		return []Question{checkCapture}
	case Dispatching:
		var open []Question
		if s.Rebooking {
			open = append(open, rebook)
		} else if !s.Dispatched && !s.Lost {
			open = append(open, dispatch)
		}
		if !s.Committed {
			open = append(open, commit)
		}
		return open
	case Completing:
		return []Question{complete}
	case CompShipment:
		return []Question{cancelShipment}
	case CompPayment:
		if s.Asked[refund] > 0 {
			return []Question{refund}
		}
		return []Question{void}
	case CompStock:
		return []Question{release}
	case CompOrder:
		return []Question{decideOutcome}
	}
	return nil
}

// counted is how often q was asked since an operator asked for it last: what the
// policy allows is counted from there.
func (s State) counted(q Question) int { return s.Asked[q] - s.Before[q] }

// exhausted tells that one of the open questions was asked as often as the
// policy allows.
func (c Case) exhausted() bool {
	for _, q := range c.State.waitingFor() {
		if c.State.counted(q) >= c.Policy.patience(q).Attempts {
			return true
		}
	}
	return false
}

// step names the open step for the events that tell of it.
func (s State) step() events.Step {
	switch s.Status {
	case Reserving:
		return events.StepReserve
	case Authorizing, AuthUnknown, AwaitingMethod:
		return events.StepAuthorize
	case Confirming:
		return events.StepConfirm
	case Booking:
		return events.StepBook
	case Capturing, CaptureUnknown:
		return events.StepCapture
	case Dispatching:
		if s.Dispatched {
			return events.StepCommit
		}
		return events.StepDispatch
	case CompShipment:
		return events.StepUndoShipment
	case CompPayment:
		return events.StepUndoPayment
	case CompStock:
		return events.StepUndoStock
	case CompOrder:
		return events.StepUndoOrder
	}
	return events.StepComplete
}

// attempt returns how often the open step was asked.
func (s State) attempt() int {
	n := 0
	for _, q := range s.waitingFor() {
		n = max(n, s.Asked[q])
	}
	return n
}

// identities is the name space of the ids that a fulfilment gives.
var identities = uuid.MustParse("6f2f0c43-4a0b-5f7e-9d7e-5f1b4a3c2e10")

// identity is the id of an order's nth payment, shipment or refund.
func identity(order, kind string, n int) string {
	return uuid.NewSHA1(identities, fmt.Appendf(nil, "%s\x00%s\x00%d", order, kind, n)).String()
}

// pspKey is the idempotency key of an operation on a payment: the same for
// every attempt, so that the payment provider does it once.
func pspKey(payment string, op events.PaymentOperation, refund string) string {
	key := payment + ":" + string(op)
	if refund != "" {
		key += ":" + refund
	}
	return key
}

// answered returns the request id that the confirmation of an undone step
// answers, "" when it was not asked for.
func (c Case) answered() string {
	switch e := c.Event.(type) {
	case events.ShipmentCancelled:
		return e.RequestID
	case events.ShipmentVoided:
		return e.RequestID
	case events.PaymentVoided:
		return e.RequestID
	case events.AuthorizationExpired:
		return e.RequestID
	case events.PaymentDeclined:
		return e.RequestID
	case events.PaymentNotFound:
		return e.RequestID
	case events.ReservationReleased:
		return e.RequestID
	case events.ReservationVoided:
		return e.RequestID
	case events.ReservationExpired:
		return e.RequestID
	}
	return ""
}

// the returns the case's event as a T, the zero T when it is none.
func the[T events.Event](c Case) T {
	e, _ := c.Event.(T)
	return e
}
