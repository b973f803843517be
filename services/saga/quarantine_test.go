package saga_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/saga"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
)

// unreadable is stored as an authorisation, and is none that can be decoded.
type unreadable struct {
	Amount string `json:"amount"`
}

func (unreadable) EventType() string { return "PaymentAuthorized" }

// An answer that cannot be decoded sets its own order aside, in its own events, and
// no other one; a release before the repair sets it aside again.
func TestAnInputThatCannotBeDecodedIsSeen(t *testing.T) {
	h := newHouse(t)
	h.participants(unless(func(key string, e events.Event) (esjs.StreamID, events.Event) {
		if asked, ok := e.(events.AuthorizationRequested); ok && key == "ill" {
			return esjs.StreamID{Category: events.CategoryPayment, Key: asked.PaymentID}, unreadable{Amount: "much"}
		}
		return esjs.StreamID{}, nil
	}, willing()))
	h.runReady(saga.Config{})
	for _, order := range []string{"ill", "well"} {
		h.submit(order)
	}
	h.expect(h.follow("ill", "Quarantined"),
		"FulfilmentStarted", "ReservationRequested", "ReservationSucceeded", "AuthorizationRequested", "Quarantined")
	h.follow("well", "FulfilmentCompleted")
	kept := servicetest.As[events.Quarantined](t, h.History(events.CategoryFulfilment, "ill")[4].Event)
	at, err := esjs.ParsePosition(kept.InputPosition)
	if err != nil || at.IsZero() || kept.OrderID != "ill" || !strings.Contains(kept.Error, "PaymentAuthorized") || strings.Contains(kept.Error, "\n") {
		t.Errorf("it keeps %+v", kept)
	}
	if d := h.decide("cmd.saga.ill.retry", `{"reason":"x"}`, "Actor", "alice"); d.Code != "wrong_state" || !strings.Contains(d.Detail, "QUARANTINED(AUTHORIZING)") ||
		!strings.Contains(d.Detail, "an operator may release there") {
		t.Errorf("a retry is answered %+v", d.Problem)
	}
	h.Until("it is parked", func() bool { return h.parked("ill") })
	if d := h.decide("cmd.saga.ill.release", `{"reason":"it may work now"}`, "Actor", "alice"); d.Code != "" || d.View.Quarantined != "" || d.View.State != "AUTHORIZING" {
		t.Errorf("the release is answered %+v", d)
	}
	h.Until("it is set aside again", func() bool {
		return strings.HasSuffix(strings.Join(servicetest.Types(h.History(events.CategoryFulfilment, "ill")), " "),
			"Quarantined OperatorIntervened QuarantineReleased Quarantined")
	})
}

// What waited while an order was set aside is handled when an operator releases it, and
// the release is kept with who did it and why.
func TestAReleasedOrderGoesOn(t *testing.T) {
	h := newHouse(t)
	h.runReady(saga.Config{})
	h.submit("o-1")
	h.follow("o-1", "ReservationRequested")
	h.Check(h.runner().Quarantine(t.Context(), "o-1", errors.New("a bug was found\nand more of it")))
	if kept := servicetest.As[events.Quarantined](t, h.History(events.CategoryFulfilment, "o-1")[2].Event); kept != (events.Quarantined{OrderID: "o-1", Error: "a bug was found"}) {
		t.Errorf("it keeps %+v", kept)
	}
	h.participants(willing())
	h.Until("the answer waits", func() bool { return h.waiting("o-1") == 1 })
	if d := h.decide("cmd.saga.o-1.release", `{"reason":"repaired"}`, "Actor", "alice", "Command-Id", "c-1"); d.Code != "" || len(d.EventIDs) != 2 {
		t.Errorf("the release is answered %+v", d)
	}
	got := h.follow("o-1", "FulfilmentCompleted")
	if head := strings.Join(got[2:6], " "); head != "Quarantined OperatorIntervened QuarantineReleased ReservationSucceeded" {
		t.Errorf("it goes on with %s", head)
	}
	did := servicetest.As[events.OperatorIntervened](t, h.History(events.CategoryFulfilment, "o-1")[3].Event)
	if did.Action != "release" || did.By != "alice" || did.Reason != "repaired" {
		t.Errorf("the release is kept as %+v", did)
	}
	if again := h.decide("cmd.saga.o-1.release", `{"reason":"repaired"}`, "Actor", "alice", "Command-Id", "c-1"); again.Code != "" || again.Version != 5 {
		t.Errorf("the same release again is answered %+v", again)
	}
	if d := h.decide("cmd.saga.o-1.release", `{"reason":"once more"}`, "Actor", "alice"); d.Code != "wrong_state" {
		t.Errorf("another release is answered %+v", d)
	}

	// Nor does it let go of what is set aside later: that is another decision.
	h.Check(h.runner().Quarantine(t.Context(), "o-1", errors.New("another bug was found")))
	if late := h.decide("cmd.saga.o-1.release", `{"reason":"repaired"}`, "Actor", "alice", "Command-Id", "c-1"); late.Code != "" || late.View.Quarantined != "another bug was found" {
		t.Errorf("the first release, which comes again late, is answered %+v", late)
	}
	all, err := h.runner().Quarantined(t.Context())
	h.Check(err)
	if len(all) != 1 || all[0].Key != "o-1" || all[0].Released {
		t.Errorf("set aside is %+v", all)
	}
}

// garbled is stored as a request for a refund, and is none that can be decoded.
type garbled struct {
	Amount string `json:"amount"`
}

func (garbled) EventType() string { return "OrderRefundRequested" }

// A request for a refund that cannot be decoded does not say of which refund it is: it is parked
// under its order, where an operator decides about it. Who has events of his own is decided
// about by a command that these keep.
func TestAnInputOfNobodyIsDecidedAboutWhereItIsParked(t *testing.T) {
	h := newHouse(t)
	h.runReady(saga.Config{})
	_, err := h.Store.Append(t.Context(), esjs.StreamID{Category: events.CategoryOrder, Key: "o-1"}, esjs.Any(), garbled{Amount: "much"})
	h.Check(err)
	h.says("o-1", events.OrderRefundRequested{RefundID: "r-1", PaymentID: "p-1", Amount: eur("10.00")})
	var parked esjs.Parked
	h.Until("it is parked, and what came after it waits", func() bool {
		all, err := esjs.Subscriptions(t.Context(), h.Store, saga.BucketSubscriptions)
		h.Check(err)
		for _, s := range all {
			if s.Name == "refund" && len(s.Parked) == 1 {
				parked = s.Parked[0]
			}
		}
		return parked.Key != ""
	})
	if parked.Key != "order/o-1" || !strings.Contains(parked.Reason, "OrderRefundRequested") {
		t.Errorf("parked is %+v", parked)
	}
	if d := h.decide("cmd.subscription.saga.fulfilment.release", `{"key":"o-1","reason":"x"}`, "Actor", "alice"); d.Code != "decided_by_saga" {
		t.Errorf("the release of a fulfilment is answered %+v", d)
	}
	body := `{"key":"order/o-1","from":"` + parked.From.String() + `","reason":"it was never meant"}`
	if d := h.decide("cmd.subscription.saga.refund.drop", body, "Actor", "alice"); d.Code != "" {
		t.Errorf("the drop is answered %+v", d)
	}
	h.Until("what came after it is done", func() bool { return len(h.History(events.CategoryRefund, "r-1")) > 0 })
}

// runner is a runner of the fulfilments that does not run.
func (h *house) runner() *esjs.ProcessRunner[fulfilment.State, events.Event, events.Event] {
	h.T.Helper()
	machine, err := fulfilment.NewMachine()
	h.Check(err)
	r, err := esjs.NewProcess(context.Background(), h.Store, fulfilment.Process(machine, h.Codec, saga.BucketSnapshots), esjs.ProcessConfig{
		Service: "saga", Bucket: saga.BucketSubscriptions, Instances: saga.BucketInstances,
	})
	h.Check(err)
	return r
}

func (h *house) parked(order string) bool { return h.waiting(order) >= 0 }

// waiting is how many inputs of an order wait; -1 when it is not set aside.
func (h *house) waiting(order string) int {
	h.T.Helper()
	all, err := h.runner().Quarantined(h.T.Context())
	h.Check(err)
	for _, q := range all {
		if q.Key == order {
			return q.Count
		}
	}
	return -1
}
