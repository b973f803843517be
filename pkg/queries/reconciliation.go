package queries

import "time"

// PaymentReconciliation asks in what our payments and the provider's differ. The
// payment service answers it, from its last comparison.
var PaymentReconciliation = Question[ReconciliationRequest, Reconciliation]{
	"query.payments.reconciliation", "The last comparison of our payments with the provider's, and each payment that differs",
}

// ReconciliationRequest may ask for a new comparison, which takes longer than an answer.
type ReconciliationRequest struct {
	Begin bool `json:"begin,omitzero" jsonschema:"begin a comparison now; the answer says which number it will have"`
}

// Reconciliation is one comparison; number 0 is none. The provider's account counts
// as wrong only when it still differs after a pause: what is under way differs for a moment. While
// nobody knows what became of an attempt that would explain the difference, it is pending, and counts as
// wrong when it was so in two scheduled comparisons, one after the other.
type Reconciliation struct {
	Number    uint64    `json:"number"`
	Next      uint64    `json:"next"` // number of the first comparison that begins after this answer
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
	Payments  int       `json:"payments"` // that the provider has
	Error     string    `json:"error"`    // why it was not completed; the mismatches are then not all
	Found     int       `json:"found"`
	// Counts are how many of those found have each code; without any, one has none.
	Counts     map[string]int `json:"counts,omitzero"`
	Mismatches []Mismatch     `json:"mismatches"` // the first 1,000 of those found
	// Pending is how many differ and are not wrong yet; Unsettled are the 1,000 oldest of them. After
	// a comparison that was not completed, those of the one before are among them that it did not find: perhaps
	// it did not come to look at them.
	Pending   int        `json:"pending"`
	Unsettled []Mismatch `json:"unsettled,omitzero"`
}

// Mismatch is one payment of which the provider says something else than our events.
type Mismatch struct {
	PaymentID string `json:"payment_id"`
	OrderID   string `json:"order_id"` // empty when we do not know the payment
	Code      string `json:"code"`     // stable: "unknown_here", "unknown_there", "held_there", "not_held_there", "held_differs", "captured_differs", "refunded_differs", "unreadable_here"
	Here      string `json:"here"`
	There     string `json:"there"`
	// Since is when the first of the comparisons that found it, one after the other, began.
	Since time.Time `json:"since"`
}
