package console

import (
	"encoding/json"
	"slices"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
)

// paymentsData is the list of payments, what they come to, and in what the provider's
// own list differs.
type paymentsData struct {
	Filter      queries.PaymentFilter
	States      []queries.PaymentState
	Payments    []queries.Payment
	Next, First string
	Filtered    bool
	Sums        queries.PaymentSums
	Compared    *queries.Reconciliation // nil: nobody says
}

func paymentList(v *visit) error {
	q := v.URL.Query()
	data := paymentsData{States: queries.PaymentStates(), Filter: queries.PaymentFilter{
		OrderID: q.Get("order"), State: queries.PaymentState(q.Get("state")), Unknown: q.Get("unknown") != "", Disputed: q.Get("disputed") != "",
		Paging: queries.Paging{Limit: 25, Cursor: q.Get("cursor")},
	}}
	for _, name := range []string{"order", "state", "unknown", "disputed"} {
		data.Filtered = data.Filtered || q.Get(name) != ""
	}
	data.Filter.ReadYourWrites = v.after()
	page, err := ask(v, queries.PaymentList, data.Filter)
	if err != nil {
		return err
	}
	data.Payments = page.Payments
	data.Next, data.First = pages(v.URL, page.NextCursor)
	if data.Sums, err = ask(v, queries.PaymentSummary, queries.PaymentSummaryRequest{ReadYourWrites: v.after()}); err != nil {
		return err
	}
	if data.Compared, err = v.compared(); err != nil {
		return err
	}
	live := v.everything()
	if data.First != "" {
		live = ""
	}
	return v.show("payments", "Payments", live, data)
}

// compared is the last comparison with the provider's list; nil when nobody says.
func (v *visit) compared() (*queries.Reconciliation, error) {
	last, found, err := optional(ask(v, queries.PaymentReconciliation, queries.ReconciliationRequest{}))
	if !found {
		return nil, err
	}
	return &last, nil
}

// paymentData is one payment: its sums, and what was asked of the provider.
type paymentData struct {
	Payment    queries.Payment
	Calls      []call
	Compared   *queries.Reconciliation
	Mismatches []queries.Mismatch // of this payment
}

// call is one event of a payment: what the provider was asked, or what it said.
type call struct {
	queries.TimelineEntry
	Amount    events.Money
	Attempt   int
	Reference string // the provider's, of what it did
	Key       string // by which it knows the same call again
}

func paymentPage(v *visit) error {
	id := v.PathValue("id")
	var data paymentData
	var err error
	if data.Payment, err = ask(v, queries.PaymentGet, queries.PaymentRequest{PaymentID: id, ReadYourWrites: v.after()}); err != nil {
		return err
	}
	entries, _, err := v.timeline(data.Payment.OrderID)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Category == events.CategoryPayment && e.Key == id {
			data.Calls = append(data.Calls, called(e))
		}
	}
	if data.Compared, err = v.compared(); err != nil {
		return err
	}
	if data.Compared != nil {
		data.Mismatches = slices.DeleteFunc(slices.Clone(data.Compared.Mismatches), func(m queries.Mismatch) bool { return m.PaymentID != id })
	}
	return v.show("payment", "Payment "+id, v.everything(), data)
}

// called reads of a payment's event what the provider and we call it by.
func called(e queries.TimelineEntry) call {
	var data struct {
		Amount    events.Money `json:"amount"`
		Attempt   int          `json:"attempt"`
		Key       string       `json:"key"`
		AuthID    string       `json:"auth_id"`
		CaptureID string       `json:"capture_id"`
		DisputeID string       `json:"dispute_id"`
		RefundID  string       `json:"refund_id"`
	}
	c := call{TimelineEntry: e}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return c // what it says is on the page of the event
	}
	c.Amount, c.Attempt, c.Key = data.Amount, data.Attempt, data.Key
	for _, id := range []string{data.AuthID, data.CaptureID, data.DisputeID, data.RefundID} {
		if c.Reference == "" {
			c.Reference = id
		}
	}
	return c
}

// paymentTone is the colour of a payment.
func paymentTone(p queries.Payment) string {
	switch {
	case p.Unknown != "" || p.Disputed.Sign() > 0:
		return "warn"
	case p.State == queries.PaymentCaptured:
		return "good"
	case p.State == queries.PaymentDeclined:
		return "bad"
	case p.State == queries.PaymentInitiated || p.State == queries.PaymentAuthorized:
		return "busy"
	}
	return "quiet"
}
