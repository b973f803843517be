package order

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/events"
)

var rewrite = flag.Bool("rewrite", false, "write the files in testdata as it is decided now; read the difference")

// Every command and every reaction in every state, as a text to be read:
// which event follows, nothing, or a refusal.
func TestDecisionsInEveryState(t *testing.T) {
	const file = "testdata/decisions.txt"
	got := "# What an order decides in every state. Written by go test ./services/order -rewrite.\n" + decisions(t)
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s says otherwise; now it is\n%s", file, got)
	}
}

var everyState = []struct {
	name    string
	history []events.Event
}{
	{"none", nil},
	{"Draft", toFull},
	{"Submitted", toSubmitted},
	{"Submitted+cancelling", then(toSubmitted, cancelling)},
	{"Reserved", toReserved},
	{"Reserved+cancelling", then(toReserved, cancelling)},
	{"Reserved+awaiting", then(toReserved, awaited)},
	{"Authorized", toAuthorized},
	{"Authorized+cancelling", then(toAuthorized, cancelling)},
	{"Confirmed", toConfirmed},
	{"Confirmed+cancelling", then(toConfirmed, cancelling)},
	{"Paid", toPaid},
	{"Paid+cancelling", then(toConfirmed, cancelling, paid)},
	{"Dispatched", toDispatched},
	{"Completed", toCompleted},
	{"Cancelled", toCancelled},
	{"Rejected", toRejected},
	{"Expired", toExpired},
}

var everyCommand = []struct {
	name    string
	command Command
}{
	{"create", Create{OrderID: "o-1", CustomerID: "c-1", Currency: "EUR"}},
	{"add-item", AddItem{SKU: "beans", Quantity: 1, Product: beans}},
	{"change-quantity", ChangeQuantity{LineID: "l1", Quantity: 5}},
	{"remove-item", RemoveItem{LineID: "l1"}},
	{"set-shipping", SetShipping{AddressRef: "addr-2", Country: "AT"}},
	{"set-payment-method", SetPaymentMethod{MethodRef: "card-2"}},
	{"submit", Submit{}},
	{"cancel", Cancel{Reason: "changed my mind"}},
	{"request-refund", RequestRefund{Amount: "1.00"}},
	{"ReservationSucceeded", Reaction{events.ReservationSucceeded{ReservationID: "o-1"}}},
	{"PaymentMethodAwaited", Reaction{events.PaymentMethodAwaited{Until: noon}}},
	{"AuthorizationSucceeded of the total", Reaction{events.AuthorizationSucceeded{PaymentID: "p-1", Amount: eur("52.80")}}},
	{"AuthorizationSucceeded of less", Reaction{events.AuthorizationSucceeded{PaymentID: "p-1", Amount: eur("52.79")}}},
	{"ConfirmationRequested", Reaction{events.ConfirmationRequested{Request: request("confirm-1")}}},
	{"ConfirmationRequested, another attempt", Reaction{events.ConfirmationRequested{Request: request("confirm-2")}}},
	{"CaptureSucceeded", Reaction{events.CaptureSucceeded{PaymentID: "p-1", Amount: eur("52.80")}}},
	{"DispatchConfirmed", Reaction{events.DispatchConfirmed{Tracking: []string{"T1"}}}},
	{"RefundPaid", Reaction{events.RefundPaid{RefundID: "r-1", Cause: events.RefundCustomer}}},
	{"CompletionRequested", Reaction{events.CompletionRequested{Request: request("complete-1")}}},
	{"CompletionRequested, another attempt", Reaction{events.CompletionRequested{Request: request("complete-2")}}},
	{"CancellationRefused", Reaction{events.CancellationRefused{Reason: "already_paid"}}},
	{"OutcomeDecided rejected", Reaction{events.OutcomeDecided{Request: request("end-1"), Outcome: events.OutcomeRejected}}},
	{"OutcomeDecided cancelled, another attempt", Reaction{events.OutcomeDecided{Request: request("end-2"), Outcome: events.OutcomeCancelled}}},
	{"OutcomeDecided expired, another attempt", Reaction{events.OutcomeDecided{Request: request("end-3"), Outcome: events.OutcomeExpired}}},
	{"OutcomeDecided unknown, another attempt", Reaction{events.OutcomeDecided{Request: request("end-4"), Outcome: "lost"}}},
}

// decisions renders what every command leads to, states with one outcome together.
func decisions(t *testing.T) string {
	var out strings.Builder
	for _, c := range everyCommand {
		var outcomes []string
		states := map[string][]string{}
		for _, s := range everyState {
			outcome := outcomeOf(t, fold(s.history...), c.command)
			if !slices.Contains(outcomes, outcome) {
				outcomes = append(outcomes, outcome)
			}
			states[outcome] = append(states[outcome], s.name)
		}
		fmt.Fprintf(&out, "\n%s\n", c.name)
		for _, o := range outcomes {
			fmt.Fprintf(&out, "  %-34s %s\n", o, strings.Join(states[o], " "))
		}
	}
	return out.String()
}

func outcomeOf(t *testing.T, s State, c Command) string {
	decided, err := Decide(s, c)
	if err != nil {
		return "refused: " + codeOf(err)
	}
	if len(decided) == 0 {
		return "nothing"
	}
	var names []string
	for _, e := range decided {
		names = append(names, e.EventType())
	}
	return strings.Join(names, ", ")
}

// No event of any category that the order does not follow changes it.
func TestOtherEventsMeanNothingToAnOrder(t *testing.T) {
	ignored := 0
	for _, typ := range events.Types {
		e, err := typ.Decode(nil, func([]byte, any) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		if concerns(e) {
			continue
		}
		ignored++
		for _, s := range everyState {
			if decided, err := Decide(fold(s.history...), Reaction{e}); err != nil || len(decided) > 0 {
				t.Errorf("%s of an order that is %s: %v, %v", typ.Name, s.name, decided, err)
			}
		}
	}
	if ignored < len(events.Types)/2 {
		t.Errorf("only %d of %d types are ignored", ignored, len(events.Types))
	}
}
