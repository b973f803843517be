package queries

import (
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
)

// Questions about payments.
var (
	PaymentGet     = Question[PaymentRequest, Payment]{"query.payments.get", "One payment as it is now"}
	PaymentList    = Question[PaymentFilter, PaymentPage]{"query.payments.list", "Payments, newest first"}
	PaymentSummary = Question[PaymentSummaryRequest, PaymentSums]{"query.payments.summary", "What is authorised, captured, refunded and outstanding, by currency"}
)

// PaymentState is where a payment is, as far as we know.
type PaymentState string

// States of a payment.
const (
	PaymentInitiated  PaymentState = "initiated"
	PaymentAuthorized PaymentState = "authorized"
	PaymentDeclined   PaymentState = "declined"
	PaymentCaptured   PaymentState = "captured"
	PaymentRefunded   PaymentState = "refunded" // all of what was captured
	PaymentVoided     PaymentState = "voided"
	PaymentExpired    PaymentState = "expired"
)

// PaymentStates returns every state of a payment.
func PaymentStates() []PaymentState {
	return []PaymentState{PaymentInitiated, PaymentAuthorized, PaymentDeclined, PaymentCaptured, PaymentRefunded, PaymentVoided, PaymentExpired}
}

// PaymentRequest names a payment.
type PaymentRequest struct {
	PaymentID string `json:"payment_id"`
	ReadYourWrites
}

// PaymentFilter selects payments; the zero one selects all.
type PaymentFilter struct {
	OrderID  string       `json:"order_id,omitzero"`
	State    PaymentState `json:"state,omitzero"`
	Unknown  bool         `json:"unknown,omitzero" jsonschema:"only those of which the outcome of a call to the provider is not known"`
	Disputed bool         `json:"disputed,omitzero" jsonschema:"only those that the customer's bank claims back"`
	Paging
	ReadYourWrites
}

// PaymentPage is a part of a list. NextCursor is empty on the last one.
type PaymentPage struct {
	Payments   []Payment `json:"payments"`
	NextCursor string    `json:"next_cursor,omitzero"`
}

// Payment is one payment as its newest event left it. Authorized is what the
// provider ever held, Outstanding what it holds and nobody has captured.
type Payment struct {
	PaymentID   string                  `json:"payment_id"`
	OrderID     string                  `json:"order_id"`
	State       PaymentState            `json:"state"`
	Version     uint64                  `json:"version"`
	MethodRef   string                  `json:"method_ref,omitzero"`
	Amount      events.Money            `json:"amount,omitzero"` // that was to be paid
	Authorized  events.Money            `json:"authorized,omitzero"`
	Captured    events.Money            `json:"captured,omitzero"`
	Refunded    events.Money            `json:"refunded,omitzero"` // in all
	Outstanding events.Money            `json:"outstanding,omitzero"`
	ExpiresAt   time.Time               `json:"expires_at,omitzero"`   // of what is outstanding
	DeclineCode string                  `json:"decline_code,omitzero"` // the newest
	Unknown     events.PaymentOperation `json:"unknown,omitzero"`      // the operation whose outcome is not known
	LastError   string                  `json:"last_error,omitzero"`
	Disputed    events.Money            `json:"disputed,omitzero"` // what is claimed back
	CreatedAt   time.Time               `json:"created_at"`
	UpdatedAt   time.Time               `json:"updated_at"`
}

// PaymentSummaryRequest asks for the sums of everything.
type PaymentSummaryRequest struct {
	ReadYourWrites
}

// PaymentSums are all payments in figures.
type PaymentSums struct {
	Currencies []PaymentSum        `json:"currencies"`
	States     []PaymentStateCount `json:"states"`
	Unknown    int                 `json:"unknown"`  // payments with an outcome that is not known
	Disputed   int                 `json:"disputed"` // payments that are claimed back
}

// PaymentSum is the money of all payments in a currency.
type PaymentSum struct {
	Currency    string       `json:"currency"`
	Authorized  events.Money `json:"authorized"`
	Captured    events.Money `json:"captured"`
	Refunded    events.Money `json:"refunded"`
	Outstanding events.Money `json:"outstanding"`
}

// PaymentStateCount counts the payments in a state.
type PaymentStateCount struct {
	State PaymentState `json:"state"`
	Count int          `json:"count"`
}
