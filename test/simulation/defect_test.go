package simulation

import (
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/inventory"
)

// defect is a mistake that somebody could make. A checker that does not find it
// proves nothing.
type defect string

const (
	sound        defect = ""
	newKeys      defect = "payment uses a new key for each attempt and does not look what became of the one before"
	forgetVoid   defect = "the saga releases the stock and forgets the authorisation"
	oversell     defect = "inventory reserves more than there is"
	leak         defect = "inventory answers a release and keeps the goods"
	noTimers     defect = "no deadline of a saga ever fires"
	badSnapshot  defect = "a snapshot forgets which requests were answered"
	deaf         defect = "payment does not keep what became of a capture, so that people are asked"
	decidesAgain defect = "an operator's command that comes again is decided again"
	countsTwice  defect = "payment adds a refund to the sum of refunds, in which it is already"
)

// found is the property by which each defect shows.
var found = map[defect]string{newKeys: "P6", forgetVoid: "P3", oversell: "P1", leak: "P1", countsTwice: "P2", noTimers: "P4", deaf: "P4", decidesAgain: "P4", badSnapshot: "P5"}

// late are the seeds of the first shops that show a defect, where that is not one of the very first.
var late = map[defect]uint64{decidesAgain: 5}

func (d defect) ofHeader(h http.Header) http.Header {
	if d == newKeys && h.Get("Idempotency-Key") != "" {
		h = h.Clone()
		h.Set("Idempotency-Key", uuid.NewString())
	}
	return h
}

func (d defect) ofPayment(caused []events.Event) []events.Event {
	if d == deaf {
		return slices.DeleteFunc(caused, func(e events.Event) bool { return e.EventType() == "PaymentCaptured" })
	}
	for i, e := range caused {
		switch e := e.(type) {
		case events.AuthorizationAttempted:
			if d == newKeys {
				e.Attempt = 1
				caused[i] = e
			}
		case events.CaptureAttempted:
			if d == newKeys {
				e.Attempt = 1
				caused[i] = e
			}
		case events.PaymentRefunded:
			if sum, err := e.TotalRefunded.Add(e.Amount); d == countsTwice && err == nil {
				e.TotalRefunded = sum
				caused[i] = e
			}
		}
	}
	return caused
}

func (d defect) ofSaga(caused []events.Event) []events.Event {
	if d != forgetVoid {
		return caused
	}
	for i, e := range caused {
		if void, ok := e.(events.VoidRequested); ok {
			r := void.Request
			r.RequestID = strings.Replace(r.RequestID, "/void/", "/release/", 1)
			caused[i] = events.ReleaseRequested{Request: r}
		}
		if started, ok := e.(events.CompensationStarted); ok {
			var plan []events.Step
			for _, step := range started.Plan {
				if step != events.StepUndoPayment {
					plan = append(plan, step)
				}
			}
			started.Plan = plan
			caused[i] = started
		}
	}
	return caused
}

func (d defect) ofLevel(s inventory.Stock) inventory.Stock {
	if d == oversell {
		s.OnHand += 5
	}
	return s
}

func (d defect) ofMoves(moves []inventory.Move) (kept []inventory.Move) {
	for _, m := range moves {
		switch e := m.Event.(type) {
		case events.StockReleased:
			if d == leak {
				continue
			}
		case events.StockReserved:
			if d == oversell {
				e.OnHandAfter -= 5
				m.Event = e
			}
		case events.StockCommitted:
			if d == oversell {
				e.OnHandAfter -= 5
				m.Event = e
			}
		}
		kept = append(kept, m)
	}
	return kept
}

func (d defect) ofSnapshot(text string) string {
	if d == badSnapshot {
		return strings.Replace(text, `"answered"`, `"forgotten"`, 1)
	}
	return text
}
