package order

import (
	"maps"
	"slices"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/events"
)

// What an order does, as a story that a reviewer can read.
func TestScenarios(t *testing.T) {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		t.Fatal(err)
	}
	script := esjstest.NewAggregateScript(Aggregate(codec))
	script.Commands = map[string]Command{
		"create":             Create{OrderID: "o-1", CustomerID: "c-1", Currency: "EUR"},
		"add-item-beans":     AddItem{SKU: "beans", Quantity: 1, Product: beans},
		"add-item-filter":    AddItem{SKU: "filter", Quantity: 1, Product: filter},
		"change-quantity":    ChangeQuantity{},
		"remove-item":        RemoveItem{},
		"set-shipping":       SetShipping{AddressRef: "addr-1", Country: "DE"},
		"set-payment-method": SetPaymentMethod{MethodRef: "card-ok"},
		"submit":             Submit{},
		"cancel":             Cancel{Reason: "changed my mind", By: "c-1"},
		"request-refund":     RequestRefund{},
	}
	script.Reaction = func(e events.Event) Command { return Reaction{e} }
	script.State = func(s State) string {
		status := string(s.Status)
		if status == "" {
			status = "none"
		}
		if s.Cancellation != nil {
			status += ", cancellation open"
		}
		if !s.MethodAwaited.IsZero() {
			status += ", another payment method awaited"
		}
		return status
	}
	script.Play(t, "testdata/scenarios.txt")
	servicetest.Told(t, "testdata/scenarios.txt", slices.Collect(maps.Keys(desk{}.verbs()))...)
	servicetest.Told(t, "testdata/scenarios.txt", concerned(t)...)
}

// concerned are the types of all events to which an order reacts.
func concerned(t *testing.T) (types []string) {
	for _, typ := range events.Types {
		e, err := typ.Decode([]byte(`{}`), func(data []byte, v any) error { return json.Unmarshal(data, v) })
		if err != nil {
			t.Fatal(err)
		}
		if _, refund := e.(events.RefundPaid); refund { // that of a customer
			e = events.RefundPaid{Cause: events.RefundCustomer}
		}
		if concerns(e) {
			types = append(types, typ.Name)
		}
	}
	return types
}
