package sagas

import (
	"reflect"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func euros(amount string) events.Money { return events.MustMoney(amount, "EUR") }

// request is the nth of a step, due a minute after noon.
func request(n int) events.Request {
	return events.Request{OrderID: "o-1", RequestID: "r", Attempt: n, Deadline: noon.Add(time.Minute)}
}

var started = events.FulfilmentStarted{OrderID: "o-1", CustomerID: "c-1", Total: euros("5.00"), Deadline: noon.Add(time.Hour)}

// history folds events that happened a second apart.
func history(category string, all ...events.Event) (p Process, done []Done) {
	for i, e := range all {
		var now []Done
		p, now = Fold(p, esjs.Recorded[events.Event]{Event: e, Record: esjs.Record{
			Stream: esjs.StreamID{Category: category, Key: "o-1"}, Version: uint64(i + 1), Time: noon.Add(time.Duration(i) * time.Second),
		}})
		done = append(done, now...)
	}
	return p, done
}

func TestAFulfilmentIsShownInTheStateThatItsRequestsName(t *testing.T) {
	for _, test := range []struct {
		name    string
		happens []events.Event
		state   string
		step    events.Step
		attempt int
	}{
		{"reserving", []events.Event{events.ReservationRequested{Request: request(2)}}, "RESERVING", events.StepReserve, 2},
		{"authorising", []events.Event{events.AuthorizationRequested{Request: request(1)}}, "AUTHORIZING", events.StepAuthorize, 1},
		{"not known", []events.Event{events.AuthorizationCheckRequested{Request: request(3)}}, "AUTH_UNKNOWN", events.StepAuthorize, 3},
		{"another method", []events.Event{events.PaymentMethodAwaited{Code: "declined", Until: noon.Add(time.Minute)}}, "AWAITING_METHOD", events.StepAuthorize, 0},
		{"confirming", []events.Event{events.ConfirmationRequested{Request: request(1)}}, "CONFIRMING", events.StepConfirm, 1},
		{"booking", []events.Event{events.ShipmentBookingRequested{Request: request(1)}}, "BOOKING", events.StepBook, 1},
		{"capturing", []events.Event{events.CaptureRequested{Request: request(1)}}, "CAPTURING", events.StepCapture, 1},
		{"captured?", []events.Event{events.CaptureCheckRequested{Request: request(4)}}, "CAPTURE_UNKNOWN", events.StepCapture, 4},
		{"captured", []events.Event{events.CaptureSucceeded{}, events.DispatchRequested{Request: request(1)}, events.StockCommitRequested{Request: request(1)}},
			"DISPATCHING", events.StepDispatch, 1},
		{"dispatched", []events.Event{events.DispatchRequested{Request: request(1)}, events.StockCommitRequested{Request: request(1)}, events.DispatchConfirmed{}},
			"DISPATCHING", events.StepCommit, 1},
		{"committed", []events.Event{events.DispatchRequested{Request: request(1)}, events.StockCommitRequested{Request: request(1)}, events.StockCommitConfirmed{}},
			"DISPATCHING", events.StepDispatch, 1},
		{"lost", []events.Event{events.ShipmentRebookRequested{Request: request(1)}}, "DISPATCHING", events.StepDispatch, 1},
		{"completing", []events.Event{events.CompletionRequested{Request: request(1)}}, "COMPLETING", events.StepComplete, 1},
		{"completed", []events.Event{events.CompletionRequested{Request: request(1)}, events.FulfilmentCompleted{}}, "COMPLETED", "", 0},
		{"cancelling the carrier", []events.Event{events.ShipmentCancellationRequested{Request: request(1)}}, "COMP_SHIPMENT", events.StepUndoShipment, 1},
		{"voiding", []events.Event{events.VoidRequested{Request: request(1)}}, "COMP_PAYMENT", events.StepUndoPayment, 1},
		{"refunding", []events.Event{events.FulfilmentRefundRequested{Request: request(1)}}, "COMP_PAYMENT", events.StepUndoPayment, 1},
		{"releasing", []events.Event{events.ReleaseRequested{Request: request(1)}}, "COMP_STOCK", events.StepUndoStock, 1},
		{"ending", []events.Event{events.OutcomeDecided{Request: request(1)}}, "COMP_ORDER", events.StepUndoOrder, 1},
		{"undone", []events.Event{events.FulfilmentCompensated{}}, "COMPENSATED", "", 0},
	} {
		p, _ := history(events.CategoryFulfilment, append([]events.Event{started}, test.happens...)...)
		if p.State != test.state || p.Step != test.step || p.Attempt != test.attempt {
			t.Errorf("%s: %s, step %q, attempt %d; want %s, %q, %d", test.name, p.State, p.Step, p.Attempt, test.state, test.step, test.attempt)
		}
		if ended := p.Step == ""; ended != p.Deadline.IsZero() || ended == p.EndedAt.IsZero() {
			t.Errorf("%s: the deadline is %v, and it ended at %v", test.name, p.Deadline, p.EndedAt)
		}
	}
}

func TestARefundIsASagaToo(t *testing.T) {
	opened := events.RefundOpened{OrderID: "o-9", RefundID: "o-1", Amount: euros("2.00"), Cause: events.RefundCustomer}
	for state, happens := range map[string][]events.Event{
		"REFUNDING":  {events.RefundRequested{Request: request(1)}},
		"VOIDING":    {events.RefundVoidRequested{Request: request(1)}},
		"RESTOCKING": {events.RefundRequested{Request: request(1)}, events.RefundPaid{}, events.RestockRequested{Request: request(1)}},
		"SETTLED":    {events.RefundRequested{Request: request(1)}, events.RefundPaid{}, events.RefundSettled{Outcome: events.RefundOutcomeRefunded}},
	} {
		p, _ := history(events.CategoryRefund, append([]events.Event{opened}, happens...)...)
		if p.Kind != queries.SagaRefund || p.SagaID != "o-1" || p.OrderID != "o-9" || p.Total != euros("2.00") || p.Cause != "customer" || p.State != state {
			t.Errorf("%s: the refund is %+v", state, p.Saga)
		}
	}
}

func TestTroubleIsShownUntilItIsOver(t *testing.T) {
	stuck := []events.Event{
		started, events.ReservationRequested{Request: request(1)}, events.StepTimedOut{Step: events.StepReserve, Attempt: 1},
		events.AttentionRequired{Step: events.StepReserve, Code: "no_answer", Detail: "inventory is silent", RetryAt: noon.Add(time.Hour)},
	}
	p, _ := history(events.CategoryFulfilment, stuck...)
	if p.Attention != "no_answer" || p.Detail != "inventory is silent" || !p.Deadline.Equal(noon.Add(time.Hour)) || !p.needsAttention() {
		t.Errorf("the saga is %+v", p.Saga)
	}
	want := queries.SagaError{Step: events.StepReserve, Attempt: 1, Code: "no_answer", At: noon.Add(3 * time.Second)}
	if p.LastError != want {
		t.Errorf("the last error is %+v, want %+v", p.LastError, want)
	}
	p, _ = history(events.CategoryFulfilment, append(stuck, events.OperatorIntervened{Action: "retry", By: "ann"},
		events.AttentionCleared{Step: events.StepReserve}, events.ReservationSucceeded{}, events.AuthorizationRequested{Request: request(1)})...)
	if p.Attention != "" || p.Detail != "" || p.Owner != "ann" || p.needsAttention() || p.State != "AUTHORIZING" {
		t.Errorf("the saga is %+v", p.Saga)
	}
	p, _ = history(events.CategoryFulfilment, started, events.Quarantined{Error: "no policy 7"})
	if !p.Quarantined || !p.needsAttention() || p.LastError.Code != "no policy 7" {
		t.Errorf("the saga is %+v", p.Saga)
	}
	p, _ = history(events.CategoryFulfilment, started, events.Quarantined{Error: "no policy 7"}, events.QuarantineReleased{By: "bob"})
	if p.Quarantined || p.Owner != "bob" {
		t.Errorf("the saga is %+v", p.Saga)
	}
}

func TestStepsAreTimedFromTheirFirstRequestToTheirEnd(t *testing.T) {
	p, done := history(events.CategoryFulfilment, started,
		events.ReservationRequested{Request: request(1)}, events.ReservationRequested{Request: request(2)}, events.ReservationSucceeded{},
		events.AuthorizationRequested{Request: request(1)},
		events.CompensationStarted{Cause: "declined", Outcome: events.OutcomeRejected, Plan: []events.Step{events.StepUndoStock, events.StepUndoOrder}},
		events.ReleaseRequested{Request: request(1)}, events.ReleaseConfirmed{}, events.ReleaseConfirmed{},
		events.OutcomeDecided{Request: request(1)}, events.FulfilmentCompensated{Cause: "declined", Outcome: events.OutcomeRejected})
	want := []Done{
		{Step: events.StepReserve, Took: 2 * time.Second},
		{Step: events.StepAuthorize, Failed: true, Took: time.Second},
		{Cause: "declined"},
		{Step: events.StepUndoStock, Took: time.Second},
		{Step: events.StepUndoOrder, Took: time.Second},
	}
	if !reflect.DeepEqual(done, want) {
		t.Errorf("done is\n%+v, want\n%+v", done, want)
	}
	if p.Cause != "declined" || p.Outcome != events.OutcomeRejected || !reflect.DeepEqual(p.Undone, p.Plan) {
		t.Errorf("the saga is %+v", p.Saga)
	}
}

func TestFoldLeavesTheSagaThatItWasGivenAsItWas(t *testing.T) {
	before, _ := history(events.CategoryFulfilment, started, events.ReservationRequested{Request: request(1)})
	Fold(before, esjs.Recorded[events.Event]{Event: events.AuthorizationRequested{Request: request(1)}})
	Fold(before, esjs.Recorded[events.Event]{Event: events.ReservationSucceeded{}})
	if len(before.Begun) != 1 || before.Begun[events.StepReserve].IsZero() {
		t.Errorf("the steps that were begun are %v", before.Begun)
	}
}

func TestQuantilesAreAtMostATenthTooLarge(t *testing.T) {
	buckets := map[int]int{}
	for ms := 1; ms <= 1000; ms++ {
		buckets[bucketOf(time.Duration(ms)*time.Millisecond)]++
	}
	var all []counted
	for b := range bucketOf(time.Second) + 1 {
		if buckets[b] > 0 {
			all = append(all, counted{b, buckets[b]})
		}
	}
	for q, exact := range map[float64]float64{0.5: 0.5, 0.95: 0.95, 0.999: 0.999} {
		if got := quantile(all, q); got < exact || got > exact*1.1+0.001 {
			t.Errorf("quantile %v is %v, want from %v to %v", q, got, exact, exact*1.1)
		}
	}
	if got := quantile([]counted{{0, 1}}, 0.5); got != 0.001 {
		t.Errorf("one duration below a millisecond is shown as %v", got)
	}
}
