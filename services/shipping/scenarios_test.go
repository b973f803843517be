package shipping

import (
	"flag"
	"testing"

	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/events"
)

var _ = flag.Bool("rewrite", false, "write the scenarios in testdata as they are now")

// What a shipment does, as a story that a reviewer can read: what fulfilment asks,
// what the carrier answers, and what it tells unasked.
func TestScenarios(t *testing.T) {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		t.Fatal(err)
	}
	account := func(status string) Account {
		return Account{Status: status, Carrier: "post", Tracking: "PP1", Cost: events.MustMoney("4.90", "EUR")}
	}
	nothing := Account{Status: "cancelled", NothingBooked: true}
	request := func(id string) events.Request { return events.Request{OrderID: "o-1", RequestID: id} }
	lines := []events.StockLine{{SKU: "beans", Quantity: 2}}

	script := esjstest.NewAggregateScript(Aggregate(codec))
	script.Commands = map[string]Command{}
	for _, status := range []string{"dispatched", "delivered", "lost", "cancelled"} {
		script.Commands["carrier-tells-"+status] = News{ShipmentID: "s-1", EventID: "evt-" + status, RequestID: "d-1", Account: account(status)}
	}
	for _, e := range []events.Event{
		events.ShipmentBookingRequested{Request: request("b-1"), ShipmentID: "s-1", AddressRef: "addr", Country: "DE", Lines: lines},
		events.ShipmentRebookRequested{Request: request("b-2"), ShipmentID: "s-1", AddressRef: "addr", Country: "DE", Lines: lines},
		events.DispatchRequested{Request: request("d-1"), ShipmentID: "s-1"},
		events.ShipmentCancellationRequested{Request: request("x-1"), ShipmentID: "s-1", Cause: "customer"},
	} {
		ask, ours := readRequest(e)
		if !ours {
			t.Fatalf("nothing is asked by %s", e.EventType())
		}
		script.Commands[e.EventType()] = ask
		for kind, answer := range map[string]Answer{
			"booked": {Kind: Done, Account: account("booked")}, "dispatched": {Kind: Done, Account: account("dispatched")},
			"cancelled": {Kind: Done, Account: account("cancelled")}, "nothing-booked": {Kind: Done, Account: nothing},
			"refused": {Kind: Refused, Code: "no_carrier"}, "not-found": {Kind: Missing, Code: "not_found"}, "unknown": {Kind: Unknown},
		} {
			script.Commands[e.EventType()+"-answered-"+kind] = Tell{Ask: ask, Answer: answer}
		}
	}
	script.State = func(s State) string {
		if s.Status == "" {
			return "none"
		}
		return string(s.Status)
	}
	script.Play(t, "testdata/scenarios.txt")
	servicetest.Told(t, "testdata/scenarios.txt", append(requestTypes(), "carrier-tells")...)
}
