package fulfilment

import (
	"fmt"
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// Machine interprets the transition table under its policies. It is immutable
// and safe for concurrent use.
type Machine struct {
	policies map[int]Policy
	newest   Policy // for fulfilments that start now
	rows     map[Status]map[string][]Row
	inputs   []string
}

// NewMachine takes the policies of all fulfilments that are under way, the last
// one for those that start; without any it is [DefaultPolicy]. It fails when one
// is not valid or two have one version.
func NewMachine(policies ...Policy) (*Machine, error) {
	if len(policies) == 0 {
		policies = []Policy{DefaultPolicy()}
	}
	m := &Machine{policies: map[int]Policy{}, newest: policies[len(policies)-1], rows: map[Status]map[string][]Row{}}
	for _, p := range policies {
		if err := p.Validate(); err != nil {
			return nil, fmt.Errorf("%w: %w", esjs.ErrConfig, err)
		}
		if _, ok := m.policies[p.Version]; ok {
			return nil, fmt.Errorf("%w: two policies are version %d", esjs.ErrConfig, p.Version)
		}
		m.policies[p.Version] = p
	}
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
			if !isTimer(input) && !slices.Contains(m.inputs, input) {
				m.inputs = append(m.inputs, input)
			}
		}
	}
	return m, nil
}

// Inputs returns the event types that the table knows.
func (m *Machine) Inputs() []string { return slices.Clone(m.inputs) }

// Reaction is what an input causes: the row that applies, nil when no row
// knows the pair, and the events that it appends.
type Reaction struct {
	Row    *Row
	Events []events.Event
}

// React finds the row for an input and makes its events. It is pure. The error
// says that the fulfilment's policy version is not configured.
func (m *Machine) React(s State, in Input) (Reaction, error) {
	c := Case{State: normal(s), Policy: m.newest, At: in.At, Input: in.name(), Event: in.Event, EventID: in.EventID, Stream: in.Stream, Version: in.Version}
	if s.PolicyVersion != 0 {
		var ok bool
		if c.Policy, ok = m.policies[s.PolicyVersion]; !ok {
			return Reaction{}, fmt.Errorf("%w: fulfilment %s was started under policy version %d, which is not configured",
				esjs.ErrConfig, s.OrderID, s.PolicyVersion)
		}
	}
	if c.ofAnother() {
		return Reaction{}, nil
	}
	for _, row := range m.rows[c.State.Status][c.Input] {
		if row.Guard.holds(c) {
			return Reaction{Row: &row, Events: row.events(c)}, nil
		}
	}
	return Reaction{}, nil
}

// events makes the row's facts one after the other, each from the state that
// the ones before it leave. Leaving a state ends the attention it had.
func (r Row) events(c Case) []events.Event {
	var out []events.Event
	add := func(f Fact) {
		if f.Only.holds(c) {
			e := f.Make(c)
			c.State = Apply(c.State, e)
			out = append(out, e)
		}
	}
	if c.State.Attention != "" && r.Next != "" {
		add(attentionCleared)
	}
	for _, f := range r.Facts {
		add(f)
	}
	return out
}

// ofAnother tells that the input is about a payment or a shipment that this
// fulfilment has given up for another one.
func (c Case) ofAnother() bool {
	switch c.Stream.Category {
	case events.CategoryPayment:
		return c.State.PaymentID != "" && c.Stream.Key != c.State.PaymentID
	case events.CategoryShipment:
		return c.State.ShipmentID != "" && c.Stream.Key != c.State.ShipmentID
	}
	return false
}

// normal gives the zero state, which has no events, its name.
func normal(s State) State {
	if s.Status == "" {
		s.Status = New
	}
	return s
}

// Input is what a fulfilment reacts to: an event or a fired timer.
type Input struct {
	Event   events.Event // nil for a timer
	EventID string
	Stream  esjs.StreamID // of the event
	Version uint64        // of the event in its stream
	Timer   string        // "step", "sla" or "authexp"
	At      time.Time
}

func (in Input) name() string {
	if in.Event != nil {
		return in.Event.EventType()
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
	if !s.Status.Terminal() {
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
