package fulfilment

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// Action is what an operator may do; its name is the command's verb.
type Action string

// The actions. What each does in which state is in the table, rows A and Q.
const (
	Retry      Action = "retry"      // ask again, as often as the policy allows
	Resolve    Action = "resolve"    // the step is done: there is evidence
	Compensate Action = "compensate" // undo everything
	Release    Action = "release"    // let a process go on that was set aside
)

// Actions returns every action.
func Actions() []Action { return []Action{Retry, Resolve, Compensate, Release} }

// Inputs that people cause, and what sets a fulfilment aside.
const (
	OperatorRetry      = "operator.retry"
	OperatorResolve    = "operator.resolve"
	OperatorCompensate = "operator.compensate"
	OperatorRelease    = "operator.release"
	InputFails         = "input.fails" // an input cannot be decoded or handled
)

// Operator is what a person decides about a process that asks for attention or
// is set aside. It is a command of this process and of refunds.
type Operator struct {
	Action   Action
	OrderID  string
	By       string
	Reason   string
	Evidence string      // what a resolve rests on
	Step     events.Step // that is resolved; "" is the only one that is open
	// SetAside tells that inputs of the process wait, whether its own events say so or not.
	SetAside bool
}

// Input is what the tables call the decision: [OperatorRetry] and so on.
func (o Operator) Input() string { return "operator." + string(o.Action) }

// Intervened is the event that keeps who decided what, and why.
func (o Operator) Intervened() events.OperatorIntervened {
	return events.OperatorIntervened{OrderID: o.OrderID, Action: string(o.Action), By: o.By, Reason: o.Reason, Evidence: o.Evidence}
}

// Released is the event that ends a quarantine.
func (o Operator) Released() events.QuarantineReleased {
	return events.QuarantineReleased{OrderID: o.OrderID, By: o.By, Reason: o.Reason}
}

// SetAside is why a process is set aside: an input failed for good.
type SetAside struct {
	OrderID  string
	Position string // of the input; "" for a timer
	Error    string
}

// Quarantined is the event that says so.
func (a SetAside) Quarantined() events.Quarantined {
	return events.Quarantined{OrderID: a.OrderID, InputPosition: a.Position, Error: a.Error}
}

// Place names a state with what lies over it: "QUARANTINED(ATTENTION(BOOKING) no_answer)".
func Place(status, attention, quarantined string) string {
	if attention != "" {
		status = "ATTENTION(" + status + ") " + attention
	}
	if quarantined != "" {
		status = "QUARANTINED(" + status + ")"
	}
	return status
}

// Refuse says why an operator's command is not possible and what is. place is
// where the process named by what stands, open are the steps that it waits for, and
// allowed says whether another command would be possible.
func (o Operator) Refuse(what, place string, open []events.Step, allowed func(Operator) bool) error {
	if o.Action == Resolve && o.might(Resolve, open, allowed) {
		return o.refuseStep(what+" is in "+place, open)
	}
	var possible []string
	for _, a := range Actions() {
		if o.might(a, open, allowed) {
			possible = append(possible, string(a))
		}
	}
	end := "an operator has nothing to decide there"
	if len(possible) > 0 {
		end = "an operator may " + strings.Join(possible, " or ") + " there"
	}
	return refusal(http.StatusConflict, "wrong_state", "%s is in %s, where %s is not possible; %s", what, place, o.Action, end)
}

// might tells that an action would be possible, for one of the open steps or without one.
func (o Operator) might(a Action, open []events.Step, allowed func(Operator) bool) bool {
	o.Action = a
	return slices.ContainsFunc(append([]events.Step{""}, open...), func(step events.Step) bool {
		o.Step = step
		return allowed(o)
	})
}

// refuseStep says which of the open steps could be resolved.
func (o Operator) refuseStep(where string, open []events.Step) error {
	steps := make([]string, len(open))
	for i, step := range open {
		steps[i] = string(step)
	}
	if o.Step == "" {
		return refusal(http.StatusUnprocessableEntity, "step_required",
			"%s, where the steps %s are open; say in \"step\" which one is done", where, strings.Join(steps, " and "))
	}
	return refusal(http.StatusConflict, "step_not_open",
		"%s, where the step %s cannot be resolved; it may be %s", where, o.Step, strings.Join(steps, " or "))
}

func refusal(status int, code, format string, args ...any) error {
	return &esjs.Rejection{Code: code, Status: status, Message: fmt.Sprintf(format, args...)}
}

// refuse says why an operator's command has no row.
func (m *Machine) refuse(s State, o Operator) error {
	what := "the fulfilment of order " + o.OrderID
	if s.Version == 0 && !o.SetAside {
		return &esjs.Rejection{Code: "saga_not_found", Status: http.StatusNotFound,
			Message: "order " + o.OrderID + " has no fulfilment; it begins when the order is submitted"}
	}
	return o.Refuse(what, Place(string(s.Status), s.Attention, s.Quarantined), s.openSteps(), func(other Operator) bool {
		r, err := m.React(s, Input{Operator: &other})
		return err == nil && r.Row != nil
	})
}

// openSteps are the steps that an operator may resolve in this state.
func (s State) openSteps() []events.Step {
	switch s.Status {
	case Dispatching:
		var open []events.Step
		if !s.Dispatched {
			open = append(open, events.StepDispatch)
		}
		if !s.Committed {
			open = append(open, events.StepCommit)
		}
		return open
	case CompShipment, CompPayment, CompStock:
		return []events.Step{s.step()}
	}
	return nil
}

// order is the order's id, also before there is a fulfilment.
func (c Case) order() string { return cmp.Or(c.State.OrderID, c.Operator.OrderID, c.Set.OrderID) }

// Does an operator have something to decide?
var (
	asksPeople = Guard{"has attention, not in quarantine", func(c Case) bool {
		return c.State.Attention != "" && c.State.Quarantined == ""
	}}
	setAside = Guard{"in quarantine", func(c Case) bool { return c.State.Quarantined != "" || c.Operator.SetAside }}
)

// resolving holds when people are asked and the operator means the step: by
// name, or because no other one is open.
func resolving(step events.Step) Guard {
	return both(asksPeople, Guard{"of the step " + string(step), func(c Case) bool {
		open := c.State.openSteps()
		return slices.Contains(open, step) && (c.Operator.Step == step || c.Operator.Step == "" && len(open) == 1)
	}})
}

var (
	operatorIntervened = fact(func(c Case) events.OperatorIntervened {
		o := c.Operator
		o.OrderID = c.order()
		return o.Intervened()
	})
	quarantined = fact(func(c Case) events.Quarantined { return c.Set.Quarantined() })
	released    = fact(func(c Case) events.QuarantineReleased {
		o := c.Operator
		o.OrderID = c.order()
		return o.Released()
	})
)

// intervened are the facts of an operator's decision, after which nobody has to
// look any more.
func intervened(f ...Fact) []Fact { return append(facts(operatorIntervened, attentionCleared), f...) }
