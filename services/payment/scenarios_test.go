package payment

import (
	"flag"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/events"
)

var _ = flag.Bool("rewrite", false, "write the scenarios in testdata as they are now")

// What a payment does, as a story that a reviewer can read: what fulfilment and
// refunds ask, what the PSP answers, and what it tells unasked.
func TestScenarios(t *testing.T) {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		t.Fatal(err)
	}
	ten, four := eur("10.00"), eur("4.00")
	ends := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	request := func(id string) events.Request { return events.Request{OrderID: "o-1", RequestID: id} }
	asked := map[string]events.Event{}
	for _, e := range []events.Event{
		events.AuthorizationRequested{Request: request("a-1"), PaymentID: "p-1", Amount: ten, MethodRef: "card"},
		events.AuthorizationCheckRequested{Request: request("a-2"), PaymentID: "p-1"},
		events.CaptureRequested{Request: request("c-1"), PaymentID: "p-1", Amount: ten},
		events.CaptureCheckRequested{Request: request("c-2"), PaymentID: "p-1"},
		events.VoidRequested{Request: request("v-1"), PaymentID: "p-1"},
		events.FulfilmentRefundRequested{Request: request("f-1"), PaymentID: "p-1", RefundID: "rf-0", Amount: ten},
		events.RefundRequested{Request: request("r-1"), PaymentID: "p-1", RefundID: "rf-1", Amount: four},
		events.RefundVoidRequested{Request: request("v-2"), PaymentID: "p-1"},
	} {
		asked[e.EventType()] = e
	}
	held := Account{Status: "authorised", AuthID: "auth-1", Authorized: ten, ExpiresAt: ends}
	paid := held
	paid.Status, paid.CaptureID, paid.Captured = "captured", "cap-1", ten
	returned := paid
	returned.Refunds, returned.Refunded = []Refund{{ID: "rf-1", Amount: four, Done: true}}, four
	let := held
	let.Status = "voided"

	script := esjstest.NewAggregateScript(Aggregate(codec))
	script.Commands = map[string]Command{
		"PSP-tells-authorised": News{PaymentID: "p-1", EventID: "evt-1", Account: held},
		"PSP-tells-captured":   News{PaymentID: "p-1", EventID: "evt-2", Account: paid},
		"PSP-tells-voided":     News{PaymentID: "p-1", EventID: "evt-3", Account: let},
		"PSP-tells-refunded":   News{PaymentID: "p-1", EventID: "evt-4", Account: returned},
		"PSP-tells-disputed":   News{PaymentID: "p-1", EventID: "evt-5", Account: paid, Disputed: true},
		"time-ends-unknown":    Expire{At: ends, Answer: Answer{Kind: Missing}},
		"time-ends-held":       Expire{At: ends, Answer: Answer{Kind: Done, Account: held}},
		"time-ends-captured":   Expire{At: ends, Answer: Answer{Kind: Done, Account: paid}},
	}
	for name, e := range asked {
		ask, ours := readRequest(e)
		if !ours {
			t.Fatalf("nothing is asked by %s", name)
		}
		script.Commands[name] = ask
		answers := map[string]Answer{
			"done-authorised": {Kind: Done, Account: held}, "done-captured": {Kind: Done, Account: paid},
			"done-voided": {Kind: Done, Account: let}, "done-refunded": {Kind: Done, Account: returned},
			"refused": {Kind: Refused, Code: "do_not_honour", Class: events.DeclineHard}, "refused-captured": {Kind: Refused, Code: "already_captured", Account: paid},
			"not-found": {Kind: Missing}, "unknown": {Kind: Unknown, Error: "timeout"},
		}
		for kind, answer := range answers {
			script.Commands[name+"-answered-"+kind] = Tell{Ask: ask, Answer: answer}
		}
	}
	script.State = func(s State) string {
		if s.Status == "" {
			return "none"
		}
		return string(s.Status)
	}
	script.Play(t, "testdata/scenarios.txt")
	servicetest.Told(t, "testdata/scenarios.txt", append(requestTypes(), "PSP-tells", "time-ends")...)
}
