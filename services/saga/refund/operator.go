package refund

import (
	"net/http"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
)

// Operators decide with the words of package fulfilment, see [fulfilment.Operator].
// There is nothing to compensate: a refund only goes forward.

var (
	asksPeople = Guard{"has attention, not in quarantine", func(c Case) bool {
		return c.State.Attention != "" && c.State.Quarantined == ""
	}}
	setAside = Guard{"in quarantine", func(c Case) bool { return c.State.Quarantined != "" || c.Operator.SetAside }}

	operatorIntervened = fact("", func(c Case) events.OperatorIntervened { return c.Operator.Intervened() })
	quarantined        = fact("", func(c Case) events.Quarantined { return c.Set.Quarantined() })
	released           = fact("", func(c Case) events.QuarantineReleased { return c.Operator.Released() })
)

// lateAnswer comes before every row that leads out of a state which has the
// attention of people.
func lateAnswer() Row {
	return Row{ID: "A4", States: started, Inputs: []string{"what the state waits for"}, Guard: attention, Facts: []Fact{attentionCleared},
		Remark: "then the row of the state, when it leads on; an operator's rows clear the attention themselves"}
}

func operatorRows() (rows []Row) {
	in := func(states ...Status) []Status { return states }
	intervened := func(f ...Fact) []Fact { return append([]Fact{operatorIntervened, attentionCleared}, f...) }
	resolve := []string{fulfilment.OperatorResolve}
	for i, step := range asking {
		rows = append(rows, Row{ID: "A1" + string(rune('a'+i)), States: in(step.status), Inputs: []string{fulfilment.OperatorRetry},
			Guard: asksPeople, Facts: intervened(step.ask)})
	}
	return append(rows,
		Row{ID: "A2a", States: in(Refunding), Inputs: resolve, Guard: both(asksPeople, noGoods),
			Facts: intervened(refundPaid, refundSettled(events.RefundOutcomeRefunded)), Next: Settled},
		Row{ID: "A2b", States: in(Refunding), Inputs: resolve, Guard: both(asksPeople, goods),
			Facts: intervened(refundPaid, restockRequested), Next: Restocking},
		Row{ID: "A2c", States: in(Voiding), Inputs: resolve, Guard: asksPeople,
			Facts: intervened(refundSettled(events.RefundOutcomeVoided)), Next: Settled},
		Row{ID: "A2e", States: in(Restocking), Inputs: resolve, Guard: both(asksPeople, refundedTwice),
			Facts: intervened(restockConfirmed, refundSettled(events.RefundOutcomeRefunded), refundedTwiceSeen), Next: Settled},
		Row{ID: "A2d", States: in(Restocking), Inputs: resolve, Guard: asksPeople,
			Facts: intervened(restockConfirmed, refundSettled(events.RefundOutcomeRefunded)), Next: Settled},
		Row{ID: "A2f", States: in(Settled), Inputs: resolve, Guard: asksPeople, Facts: intervened(),
			Remark: "somebody took care of the money"},

		Row{ID: "Q1", States: Statuses(), Inputs: []string{fulfilment.InputFails}, Facts: []Fact{quarantined},
			Remark: "its inputs wait, and its timers are not kept"},
		Row{ID: "Q2", States: Statuses(), Inputs: []string{fulfilment.OperatorRelease}, Guard: setAside, Facts: []Fact{operatorIntervened, released},
			Remark: "then the inputs that wait, in order, and the timer of the state"},
	)
}

// refuse says why an operator's command has no row.
func (m *Machine) refuse(s State, o fulfilment.Operator) error {
	return o.Refuse("the refund "+s.RefundID+" of order "+o.OrderID, fulfilment.Place(string(s.Status), s.Attention, s.Quarantined), s.openSteps(),
		func(other fulfilment.Operator) bool {
			row, _, err := m.React(s, esjs.Input[events.Event]{Command: other})
			return err == nil && row != nil
		})
}

// isOf refuses a command for a refund that is not the order's.
func (s State) isOf(o fulfilment.Operator) error {
	if s.OrderID == o.OrderID || s.OrderID == "" && (s.Quarantined != "" || o.SetAside) {
		return nil
	}
	return &esjs.Rejection{Code: "refund_not_found", Status: http.StatusNotFound, Message: "order " + o.OrderID + " has no such refund"}
}

// openSteps are the steps that an operator may resolve in this state.
func (s State) openSteps() []events.Step {
	switch s.Status {
	case Refunding, Voiding, Restocking:
		return []events.Step{s.step()}
	}
	return nil
}
