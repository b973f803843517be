package refund

import (
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
)

var _ = flag.Bool("rewrite", false, "write the scenarios in testdata and docs/refund.md as they are now")

const orderID, refundID, paymentID = "o-1", "r-1", "p-1"

var requestedAt = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

func euros(amount string) events.Money { return events.MustMoney(amount, "EUR") }

// requestOf is the id of the newest request of a step.
func (s State) requestOf(step events.Step) string {
	return Case{State: State{RefundID: s.RefundID, Asked: map[events.Step]int{step: s.Asked[step] - 1}}}.request(step).RequestID
}

// words are those of testdata/*.txt: each is an input as it would come in the state.
func words() map[string]func(State) (esjs.StreamID, events.Event) {
	var (
		order       = esjs.StreamID{Category: events.CategoryOrder, Key: orderID}
		process     = esjs.StreamID{Category: events.CategoryFulfilment, Key: orderID}
		payment     = esjs.StreamID{Category: events.CategoryPayment, Key: paymentID}
		reservation = esjs.StreamID{Category: events.CategoryReservation, Key: orderID}
	)
	requested := events.OrderRefundRequested{RefundID: refundID, PaymentID: paymentID, Amount: euros("10.00"),
		Lines: []events.RefundLine{{LineID: "l1", Quantity: 1}}, Reason: "one is broken"}
	late := events.LateEffectDetected{OrderID: orderID, EventID: "e-9", PaymentID: paymentID, RefundID: refundID}
	refunded := func(s State, amount string) events.PaymentRefunded {
		return events.PaymentRefunded{OrderID: orderID, RequestID: s.requestOf(events.StepRefund), RefundID: refundID, Amount: euros(amount), TotalRefunded: euros("24.90")}
	}
	of := func(id esjs.StreamID, e func(State) events.Event) func(State) (esjs.StreamID, events.Event) {
		return func(s State) (esjs.StreamID, events.Event) { return id, e(s) }
	}
	return map[string]func(State) (esjs.StreamID, events.Event){
		"requested": of(order, func(State) events.Event { return requested }),
		"requested-with-restock": of(order, func(State) events.Event {
			e := requested
			e.Restock = []events.StockLine{{SKU: "beans", Quantity: 1}}
			return e
		}),
		"captured-late": of(process, func(State) events.Event {
			e := late
			e.Type, e.Amount = "PaymentCaptured", euros("24.90")
			return e
		}),
		"authorized-late": of(process, func(State) events.Event {
			e := late
			e.Type = "PaymentAuthorized"
			return e
		}),
		"refunded":       of(payment, func(s State) events.Event { return refunded(s, s.Amount.Amount()) }),
		"refunded-other": of(payment, func(s State) events.Event { return refunded(s, "9.00") }),
		"refunded-by-news": of(payment, func(s State) events.Event {
			e := refunded(s, s.Amount.Amount())
			e.RequestID, e.PSPEventID = "", "evt-1"
			return e
		}),
		"fulfilment-refunded": of(payment, func(State) events.Event {
			return events.PaymentRefunded{OrderID: orderID, RefundID: refundID, Amount: euros("24.90"), TotalRefunded: euros("24.90"), PSPEventID: "evt-2"}
		}),
		"refund-refused": of(payment, func(s State) events.Event {
			return events.PaymentRefundFailed{OrderID: orderID, RequestID: s.requestOf(events.StepRefund), RefundID: refundID, Code: "account_closed"}
		}),
		"outcome-unknown": of(payment, func(s State) events.Event {
			return events.PaymentOutcomeUnknown{OrderID: orderID, RequestID: s.requestOf(s.step()), Op: events.OperationRefund, Error: "timeout"}
		}),
		"voided": of(payment, func(s State) events.Event {
			return events.PaymentVoided{OrderID: orderID, RequestID: s.requestOf(events.StepVoid)}
		}),
		"void-too-late": of(payment, func(s State) events.Event {
			return events.PaymentVoidFailed{OrderID: orderID, RequestID: s.requestOf(events.StepVoid), Code: "captured"}
		}),
		"void-failed": of(payment, func(s State) events.Event {
			return events.PaymentVoidFailed{OrderID: orderID, RequestID: s.requestOf(events.StepVoid), Code: "busy"}
		}),
		"restocked": of(reservation, func(s State) events.Event {
			return events.ReservationRestocked{OrderID: orderID, RequestID: s.requestOf(events.StepRestock), RefundID: refundID, Lines: s.Restock}
		}),
		"not-committed": of(reservation, func(s State) events.Event {
			return events.ReservationRestockFailed{OrderID: orderID, RequestID: s.requestOf(events.StepRestock), RefundID: refundID, Code: events.RestockNotCommitted}
		}),
		"restock-refused": of(reservation, func(s State) events.Event {
			return events.ReservationRestockFailed{OrderID: orderID, RequestID: s.requestOf(events.StepRestock), RefundID: refundID, Code: events.RestockExceeds}
		}),
	}
}

// commands are what operators decide in scenarios.
func commands() map[string]any {
	of := func(action fulfilment.Action) fulfilment.Operator {
		return fulfilment.Operator{Action: action, OrderID: orderID, By: "alice", Reason: "the provider is well again"}
	}
	resolve := of(fulfilment.Resolve)
	resolve.Reason, resolve.Evidence = "paid by bank transfer", "transfer 4711"
	return map[string]any{
		"retry": of(fulfilment.Retry), "resolve": resolve, "compensate": of(fulfilment.Compensate), "release": of(fulfilment.Release),
		"input-fails": fulfilment.SetAside{OrderID: orderID, Position: "0-17", Error: "the event cannot be decoded"},
	}
}

func codec(t testing.TB) *esjs.Codec[events.Event] {
	t.Helper()
	c, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func machine(t testing.TB, policy string) *Machine {
	t.Helper()
	p := fulfilment.DefaultPolicy()
	switch policy {
	case "":
	case "two attempts":
		p.Compensate.Attempts = 2
	default:
		t.Fatalf("unknown policy %q", policy)
	}
	m, err := NewMachine(p)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// scenarios plays the text files: the process does what they say.
func scenarios(t *testing.T) []esjstest.Played[State, events.Event, events.Event] {
	t.Helper()
	process := func(t testing.TB, policy string) esjs.Process[State, events.Event, events.Event] {
		return Process(machine(t, policy), codec(t), "")
	}
	script := esjstest.NewProcessScript(process(t, ""))
	script.With = process
	script.Start = requestedAt.Add(-time.Second)
	script.State = func(s State) string { return fulfilment.Place(string(normal(s).Status), s.Attention, s.Quarantined) }
	script.Commands = commands()
	script.Words = words()
	return script.Play(t, "testdata/*.txt")
}

// Every row of the table has a scenario that a reviewer can read, in which it is
// this row that applies, and leads where the row says.
func TestRows(t *testing.T) {
	told := map[string]bool{}
	for _, p := range scenarios(t) {
		id, _, _ := strings.Cut(p.Title, ":")
		told[id] = true
		row, _, err := machine(t, p.With).React(p.Before, p.Input)
		switch id {
		case "refused":
			if len(p.Events) > 0 {
				t.Errorf("%s: it is not: %v", p.Title, p.Events)
			}
			continue
		case "A4":
			if len(p.Events) < 2 || p.Events[0].EventType() != "AttentionCleared" {
				t.Errorf("%s: it does not clear the attention first: %v", p.Title, p.Events)
			}
			continue
		}
		if err != nil || row == nil || row.ID != id {
			t.Errorf("%s: another row applies: %+v, %v", p.Title, row, err)
			continue
		}
		want := row.Next
		if want == "" {
			want = normal(p.Before).Status
		}
		if got := normal(p.After).Status; got != want {
			t.Errorf("%s: the events lead to %s, the row says %s", p.Title, got, want)
		}
	}
	delete(told, "refused")
	for _, row := range append(Table(), lateAnswer()) {
		if !told[row.ID] {
			t.Errorf("row %s has no scenario in testdata", row.ID)
		}
		delete(told, row.ID)
	}
	if len(told) > 0 {
		t.Errorf("there are scenarios of rows that the table does not have: %v", told)
	}
}
