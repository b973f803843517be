package queries

import (
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
)

// Questions about sagas: the fulfilments of orders, and refunds.
var (
	SagaGet     = Question[SagaRequest, Saga]{"query.sagas.get", "One saga as it is now"}
	SagaList    = Question[SagaFilter, SagaPage]{"query.sagas.list", "Sagas, the oldest first"}
	SagaSummary = Question[SagaSummaryRequest, SagaSummaries]{"query.sagas.summary", "Sagas by state, durations of steps, failures by cause"}
)

// SagaKind tells the processes apart.
type SagaKind string

// Kinds of sagas.
const (
	SagaFulfilment SagaKind = "fulfilment" // its id is the order's
	SagaRefund     SagaKind = "refund"     // its id is the refund's
)

// SagaStates returns every state that a saga is shown in, those of fulfilments and
// refunds, in the order in which an order passes them.
func SagaStates() []string {
	return []string{
		"RESERVING", "AUTHORIZING", "AUTH_UNKNOWN", "AWAITING_METHOD", "CONFIRMING", "BOOKING", "CAPTURING", "CAPTURE_UNKNOWN",
		"DISPATCHING", "COMPLETING", "COMP_SHIPMENT", "COMP_PAYMENT", "COMP_STOCK", "COMP_ORDER", "REFUNDING", "VOIDING", "RESTOCKING",
		"COMPLETED", "COMPENSATED", "SETTLED",
	}
}

// SagaRequest names a saga: the fulfilment of an order, or a refund.
type SagaRequest struct {
	OrderID  string `json:"order_id,omitzero" jsonschema:"for the fulfilment of this order"`
	RefundID string `json:"refund_id,omitzero" jsonschema:"for this refund"`
	ReadYourWrites
}

// SagaFilter selects sagas; the zero one selects all that ever began.
type SagaFilter struct {
	Kind      SagaKind    `json:"kind,omitzero"`
	State     string      `json:"state,omitzero" jsonschema:"for example BOOKING"`
	Step      events.Step `json:"step,omitzero" jsonschema:"the step that it is in"`
	Cause     string      `json:"cause,omitzero" jsonschema:"why it is, or was, undone"`
	OrderID   string      `json:"order_id,omitzero"`
	Attention bool        `json:"attention,omitzero" jsonschema:"only those that an operator must look at"`
	Unaided   bool        `json:"unaided,omitzero" jsonschema:"only those that no operator must look at"`
	Open      bool        `json:"open,omitzero" jsonschema:"only those that have not ended"`
	Overdue   bool        `json:"overdue,omitzero" jsonschema:"only those whose deadline has passed"`
	Paging
	ReadYourWrites
}

// SagaPage is a part of a list. NextCursor is empty on the last one.
type SagaPage struct {
	Sagas      []Saga `json:"sagas"`
	NextCursor string `json:"next_cursor,omitzero"`
}

// Saga is one process as its newest event left it. Version counts its events;
// operators' commands may expect it. The ages, in seconds, are those of the
// moment of the answer, and of a saga that has ended those of its end.
type Saga struct {
	Kind       SagaKind     `json:"kind"`
	SagaID     string       `json:"saga_id"`
	OrderID    string       `json:"order_id"`
	CustomerID string       `json:"customer_id,omitzero"`
	Total      events.Money `json:"total,omitzero"` // of the order, or what is refunded
	Version    uint64       `json:"version"`

	State string `json:"state"`
	// Attention is the code of what an operator must look at; empty when nothing is.
	Attention   string `json:"attention,omitzero"`
	Detail      string `json:"detail,omitzero"` // what the operator has to know beside the code
	Quarantined bool   `json:"quarantined,omitzero"`
	Owner       string `json:"owner,omitzero"` // the operator who intervened last

	Step     events.Step `json:"step,omitzero"` // that is waited for; empty when it has ended
	Attempt  int         `json:"attempt,omitzero"`
	Deadline time.Time   `json:"deadline,omitzero"` // when it goes on without an answer
	Overdue  bool        `json:"overdue,omitzero"`  // that is past

	// Cause is why it is undone; Plan what is to be undone, and Undone what is.
	Cause   string         `json:"cause,omitzero"`
	Outcome events.Outcome `json:"outcome,omitzero"`
	Plan    []events.Step  `json:"plan,omitzero"`
	Undone  []events.Step  `json:"undone,omitzero"`

	LastError SagaError `json:"last_error,omitzero"`

	StartedAt  time.Time `json:"started_at"`
	StateSince time.Time `json:"state_since"`
	UpdatedAt  time.Time `json:"updated_at"`
	EndedAt    time.Time `json:"ended_at,omitzero"`

	AgeSeconds      float64 `json:"age_seconds"`
	StateAgeSeconds float64 `json:"state_age_seconds"`
}

// SagaError is the newest thing that went wrong.
type SagaError struct {
	Step    events.Step `json:"step,omitzero"`
	Attempt int         `json:"attempt,omitzero"`
	Code    string      `json:"code"`
	At      time.Time   `json:"at"`
}

// SagaSummaryRequest chooses the days that durations and failures are taken of;
// without them it is everything.
type SagaSummaryRequest struct {
	From   time.Time `json:"from,omitzero" jsonschema:"the first day, as a time in it (UTC)"`
	Before time.Time `json:"before,omitzero" jsonschema:"the day after the last one, as a time in it (UTC)"`
	ReadYourWrites
}

// SagaSummaries is the board in figures.
type SagaSummaries struct {
	States   []SagaStateCount `json:"states"`
	Steps    []StepDurations  `json:"steps"`
	Failures []CauseCount     `json:"failures"`
}

// SagaStateCount counts the sagas in a state, which ended ones keep.
type SagaStateCount struct {
	Kind             SagaKind  `json:"kind"`
	State            string    `json:"state"`
	Count            int       `json:"count"`
	Attention        int       `json:"attention"`
	Overdue          int       `json:"overdue"`
	OldestStartedAt  time.Time `json:"oldest_started_at"`
	OldestAgeSeconds float64   `json:"oldest_age_seconds,omitzero"` // of those that have not ended
}

// StepDurations is how long a step took, from its first request to its
// conclusion, retries included. P50 and P95 are seconds, at most a tenth too large.
type StepDurations struct {
	Kind    SagaKind    `json:"kind"`
	Step    events.Step `json:"step"`
	Outcome string      `json:"outcome"` // succeeded or failed
	Count   int         `json:"count"`
	P50     float64     `json:"p50_seconds"`
	P95     float64     `json:"p95_seconds"`
}

// CauseCount counts the fulfilments that had to be undone for one cause.
type CauseCount struct {
	Cause   string         `json:"cause"`
	Outcome events.Outcome `json:"outcome"`
	Count   int            `json:"count"`
}
