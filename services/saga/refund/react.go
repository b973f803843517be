package refund

import (
	"fmt"
	"slices"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
)

// Machine interprets the transition table under its policies. It is immutable
// and safe for concurrent use.
type Machine struct {
	policies   fulfilment.Policies
	newest     fulfilment.Policy // for refunds that start now
	rows       []Row
	lateAnswer Row
}

// NewMachine takes the policies of all refunds that are under way, the last one
// for those that start; without any it is [fulfilment.DefaultPolicy]. It fails
// when one is not valid or two have one version.
func NewMachine(policies ...fulfilment.Policy) (*Machine, error) {
	if len(policies) == 0 {
		policies = []fulfilment.Policy{fulfilment.DefaultPolicy()}
	}
	known, err := fulfilment.PoliciesByVersion(policies)
	if err != nil {
		return nil, err
	}
	return &Machine{policies: known, newest: policies[len(policies)-1], rows: Table(), lateAnswer: lateAnswer()}, nil
}

// React finds the row for an input and makes its events; the row is nil when
// none knows the pair. It is pure. The error says that the refund's policy
// is not configured.
func (m *Machine) React(s State, in esjs.Input[events.Event]) (*Row, []events.Event, error) {
	c := Case{State: normal(s), Policy: m.newest, At: in.Time, Input: inputName(in)}
	if in.Event != nil {
		c.Event, c.Key, c.ID = in.Event.Event, in.Event.Stream.Key, in.Event.ID
	}
	switch command := in.Command.(type) {
	case fulfilment.Operator:
		c.Operator = command
	case fulfilment.SetAside:
		c.Set = command
	}
	if s.PolicyVersion != 0 && c.Input != fulfilment.InputFails && c.Input != fulfilment.OperatorRelease {
		if err := m.Knows(s); err != nil {
			return nil, nil, err
		}
		c.Policy = m.policies[s.PolicyVersion]
	}
	if c.ofAnotherPayment(in) {
		return nil, nil, nil
	}
	for _, row := range m.rows {
		if row.knows(c) && row.Guard.holds(c) {
			return &row, m.events(row, c), nil
		}
	}
	return nil, nil, nil
}

// ofAnotherPayment tells news that are none of the refund's. What its answers are known by, the request's id, another
// order's requests may have as well: they begin with that order's id, which its customer has chosen.
func (c Case) ofAnotherPayment(in esjs.Input[events.Event]) bool {
	return in.Event != nil && in.Event.Stream.Category == events.CategoryPayment && c.State.PaymentID != "" && c.Key != c.State.PaymentID
}

// Knows fails with [esjs.ErrConfig] when the policy of a refund under way is not configured.
func (m *Machine) Knows(s State) error {
	return m.policies.Knows("the refund "+s.RefundID+" of order "+s.OrderID+" was opened", s.PolicyVersion, s.PolicyDigest)
}

func (r Row) knows(c Case) bool {
	for _, status := range r.States {
		for _, input := range r.Inputs {
			if status == c.State.Status && input == c.Input {
				return true
			}
		}
	}
	return false
}

// events makes the row's facts one after the other, each from the state that
// the ones before it leave. Leaving a state ends the attention it had.
func (m *Machine) events(r Row, c Case) (out []events.Event) {
	facts := r.Facts
	if r.Next != "" && c.Operator.Action == "" && m.lateAnswer.Guard.holds(c) {
		facts = slices.Concat(m.lateAnswer.Facts, facts)
	}
	for _, f := range facts {
		e := f.Make(c)
		c.State = Apply(c.State, e)
		out = append(out, e)
	}
	return out
}

// Timers returns the timers of a state.
func Timers(s State) []esjs.Timer {
	if s.Status == Settled || s.Step.At.IsZero() {
		return nil
	}
	return []esjs.Timer{{Name: "step", At: s.Step.At, Version: s.Step.Version}}
}

func inputName(in esjs.Input[events.Event]) string {
	switch {
	case in.Event != nil:
		return in.Event.Event.EventType()
	case in.Timer != nil:
		return "timer." + in.Timer.Name
	}
	switch command := in.Command.(type) {
	case fulfilment.Operator:
		return command.Input()
	case fulfilment.SetAside:
		return fulfilment.InputFails
	}
	return fmt.Sprintf("%T", in.Command)
}
