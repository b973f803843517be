package timeline

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
)

// elsewhere are the categories whose events belong to no order's timeline.
func elsewhere(name string) bool {
	return strings.HasPrefix(name, "Stock") && !strings.HasPrefix(name, "StockCommit") || strings.HasPrefix(name, "Product") || name == "StockCommitted"
}

func TestEveryEventOfATimelineHasASentenceOfItsOwn(t *testing.T) {
	for _, eventType := range events.Types {
		e, err := eventType.Decode([]byte("{}"), json.Unmarshal)
		if err != nil {
			t.Fatal(err)
		}
		got := Describe(e)
		if got == words(eventType.Name) && !elsewhere(eventType.Name) {
			t.Errorf("%s has no sentence", eventType.Name)
		}
		if !strings.HasSuffix(got, ".") || strings.Contains(got, "%!") {
			t.Errorf("%s: %q is not a sentence", eventType.Name, got)
		}
	}
}

func TestSentencesSayWhatHappened(t *testing.T) {
	price := events.MustMoney("24.90", "EUR")
	until := time.Date(2026, 3, 1, 12, 30, 0, 0, time.FixedZone("", 3600))
	for want, e := range map[string]events.Event{
		"2 × Espresso beans 1 kg (beans-1kg) at 24.90 EUR each was added.": events.ItemAdded{SKU: "beans-1kg", Name: "Espresso beans 1 kg", Quantity: 2, UnitPrice: price},
		"The order is rejected: out_of_stock; of cup 3 are wanted and 1 available.": events.OrderRejected{
			Code: "out_of_stock", Unavailable: []events.Unavailable{{SKU: "cup", Wanted: 3, Available: 1}}},
		"The order is cancelled by c-1: too dear.":                            events.OrderCancelled{Reason: "too dear", By: "c-1"},
		"The order is cancelled.":                                             events.OrderCancelled{},
		"The payment provider holds 24.90 EUR until 2026-03-01 11:30:00 UTC.": events.PaymentAuthorized{Amount: price, ExpiresAt: until},
		"Payment is asked to capture 24.90 EUR, attempt 3.":                   events.CaptureRequested{Request: events.Request{Attempt: 3}, Amount: price},
		"Payment is asked to capture 24.90 EUR.":                              events.CaptureRequested{Request: events.Request{Attempt: 1}, Amount: price},
		"The order cannot be completed: declined; to be undone: stock, order.": events.CompensationStarted{
			Cause: "declined", Plan: []events.Step{events.StepUndoStock, events.StepUndoOrder}},
		"alice decided to resolve: seen; the evidence: a photo.": events.OperatorIntervened{
			Action: "resolve", By: "alice", Reason: "seen", Evidence: "a photo"},
		"alice decided to retry: it works again.": events.OperatorIntervened{Action: "retry", By: "alice", Reason: "it works again"},
		"It is set aside and waits for an operator, because an input at 0-17 cannot be handled: no such currency.": events.Quarantined{
			InputPosition: "0-17", Error: "no such currency"},
		"It is set aside and waits for an operator, because an input cannot be handled: timer step.": events.Quarantined{Error: "timer step"},
		"alice let it go on: repaired.":              events.QuarantineReleased{By: "alice", Reason: "repaired"},
		"The goods are on their way, tracking A, B.": events.OrderDispatched{Tracking: []string{"A", "B"}},
	} {
		if got := Describe(e); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}
