package fulfilment

import (
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// Machine interprets the transition table under its policies. It is immutable
// and safe for concurrent use.
type Machine struct {
	policies   Policies
	newest     Policy // for fulfilments that start now
	rows       map[Status]map[string][]Row
	lateAnswer Row
	inputs     []string
}

// NewMachine takes the policies of all fulfilments that are under way, the last
// one for those that start; without any it is [DefaultPolicy]. It fails when one
// is not valid or two have one version.
func NewMachine(policies ...Policy) (*Machine, error) {
	if len(policies) == 0 {
		policies = []Policy{DefaultPolicy()}
	}
	known, err := PoliciesByVersion(policies)
	if err != nil {
		return nil, err
	}
	m := &Machine{policies: known, newest: policies[len(policies)-1], rows: map[Status]map[string][]Row{}, lateAnswer: lateAnswer()}
	for _, row := range Table() {
		for _, status := range row.States {
			if m.rows[status] == nil {
				m.rows[status] = map[string][]Row{}
			}
			for _, input := range row.Inputs {
				m.rows[status][input] = append(m.rows[status][input], row)
			}
		}
		for _, input := range row.Inputs {
			if isEvent(input) && !slices.Contains(m.inputs, input) {
				m.inputs = append(m.inputs, input)
			}
		}
	}
	return m, nil
}

// Inputs returns the event types that the table knows.
func (m *Machine) Inputs() []string { return slices.Clone(m.inputs) }

// Reaction is what an input causes: the row that applies, nil when no row
// knows the pair, and the events that it appends. Before is the row that
// applies before it, nil when there is none.
type Reaction struct {
	Row    *Row
	Before *Row
	Events []events.Event
}

// React finds the row for an input and makes its events. It is pure. The error
// says that the fulfilment's policy is not configured.
func (m *Machine) React(s State, in Input) (Reaction, error) {
	c := Case{State: normal(s), Policy: m.newest, At: in.At, Input: in.name(), Event: in.Event, EventID: in.EventID, Stream: in.Stream, Version: in.Version}
	if in.Operator != nil {
		c.Operator = *in.Operator
	}
	if in.SetAside != nil {
		c.Set = *in.SetAside
	}
	if s.PolicyVersion != 0 && c.Input != InputFails && c.Input != OperatorRelease {
		if err := m.Knows(s); err != nil {
			return Reaction{}, err
		}
		c.Policy = m.policies[s.PolicyVersion]
	}
	for _, row := range m.rows[c.State.Status][c.whose()+c.Input] {
		if row.Guard.holds(c) {
			r := Reaction{Row: &row}
			if row.Next != "" && !row.clears() && m.lateAnswer.Guard.holds(c) {
				r.Before = &m.lateAnswer
				r.make(m.lateAnswer.Facts, &c)
			}
			r.make(row.Facts, &c)
			return r, nil
		}
	}
	return Reaction{}, nil
}

// Knows fails with [esjs.ErrConfig] when the policy of a fulfilment under way is not configured.
func (m *Machine) Knows(s State) error {
	return m.policies.Knows("the fulfilment of order "+s.OrderID+" was started", s.PolicyVersion, s.PolicyDigest)
}

// make makes facts one after the other, each from the state that the ones
// before it leave.
func (r *Reaction) make(facts []Fact, c *Case) {
	for _, f := range facts {
		if f.Only.holds(*c) {
			e := f.Make(*c)
			c.State = Apply(c.State, e)
			r.Events = append(r.Events, e)
		}
	}
}

// clears tells that the row itself says where the attention ends.
func (r Row) clears() bool {
	return slices.ContainsFunc(r.Facts, func(f Fact) bool { return f.Type == attentionCleared.Type })
}

// whose is what the table puts before the name of an input: news of a payment or a
// shipment that is not the one which the fulfilment goes on with have rows of their own.
func (c Case) whose() string {
	var present string
	var before []string
	switch c.Stream.Category {
	case events.CategoryPayment:
		present, before = c.State.PaymentID, c.State.PaymentsGivenUp
	case events.CategoryShipment:
		present, before = c.State.ShipmentID, c.State.ShipmentsGivenUp
	default:
		return ""
	}
	switch {
	case c.Stream.Key == present && present != "", c.State.Status == New:
		return ""
	case slices.Contains(before, c.Stream.Key):
		return ofGivenUp
	}
	return ofStranger
}

// normal gives the zero state, which has no events, its name.
func normal(s State) State {
	if s.Status == "" {
		s.Status = New
	}
	return s
}

// Input is what a fulfilment reacts to: an event, what an operator decided, why
// it is set aside, or else a fired timer.
type Input struct {
	Event    events.Event
	EventID  string
	Stream   esjs.StreamID // of the event
	Version  uint64        // of the event in its stream
	Operator *Operator
	SetAside *SetAside
	Timer    string // "step", "sla", "authexp" or "warning"
	At       time.Time
}

func (in Input) name() string {
	switch {
	case in.Event != nil:
		return in.Event.EventType()
	case in.Operator != nil:
		return in.Operator.Input()
	case in.SetAside != nil:
		return InputFails
	}
	return "timer." + in.Timer
}

// Timers returns the timers of a state. Their names are those of the inputs
// without the prefix.
func (m *Machine) Timers(s State) []esjs.Timer {
	var timers []esjs.Timer
	arm := func(name string, d Deadline) {
		if !d.At.IsZero() {
			timers = append(timers, esjs.Timer{Name: name, At: d.At, Version: d.Version})
		}
	}
	switch {
	case s.Status.Terminal():
	case m.warns(s): // then the step's timer, when the warning is stored
		near := s.Step
		near.At = near.At.Add(-m.policies[s.PolicyVersion].DispatchWarning)
		arm("warning", near)
	default:
		arm("step", s.Step)
	}
	switch s.Status {
	case Reserving, Authorizing, AuthUnknown, AwaitingMethod, Confirming, Booking, Capturing, CaptureUnknown:
		arm("sla", s.SLA)
	}
	if ends := s.Authorization; !ends.At.IsZero() && (s.Status == Confirming || s.Status == Booking) {
		ends.At = ends.At.Add(-m.policies[s.PolicyVersion].AuthorizationMargin)
		arm("authexp", ends)
	}
	return timers
}

// warns tells that the state has a deadline of which people are warned before.
func (m *Machine) warns(s State) bool {
	p := m.policies[s.PolicyVersion]
	return s.Status == Dispatching && s.Attention == "" && !s.Rebooking && s.hasGoods() && !s.Step.At.IsZero() &&
		p.DispatchWarning > 0 && p.DispatchWarning < p.Dispatch.First
}
