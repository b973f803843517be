package sagas

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
	"github.com/b144f99b/orderflow/services/projector/view/viewtest"
)

func fulfilment(order string) esjs.StreamID {
	return esjs.StreamID{Category: events.CategoryFulfilment, Key: order}
}

// ids reads the ids of the selected sagas, two on a page.
func ids(f queries.SagaFilter) func(context.Context, view.Reader) ([]string, error) {
	return func(ctx context.Context, rows view.Reader) ([]string, error) {
		found := []string{}
		f.Limit, f.Cursor = 2, ""
		for {
			page, err := list(ctx, rows, f)
			if err != nil {
				return nil, err
			}
			for _, s := range page.Sagas {
				found = append(found, string(s.Kind)+" "+s.SagaID)
			}
			if f.Cursor = page.NextCursor; f.Cursor == "" {
				return found, nil
			}
		}
	}
}

func TestTheBoardIsFilteredAndPagedTheOldestFirst(t *testing.T) {
	t.Parallel()
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	asked := func(due time.Time) events.Request { return events.Request{Attempt: 1, Deadline: due} }
	for name, test := range map[string]struct {
		filter queries.SagaFilter
		want   []string
	}{
		"all":       {queries.SagaFilter{}, []string{"fulfilment o-1", "fulfilment o-2", "fulfilment o-3", "refund f-1", "fulfilment o-4"}},
		"open":      {queries.SagaFilter{Open: true}, []string{"fulfilment o-1", "fulfilment o-2", "refund f-1"}},
		"state":     {queries.SagaFilter{State: "RESERVING"}, []string{"fulfilment o-1", "fulfilment o-2"}},
		"attention": {queries.SagaFilter{Attention: true}, []string{"fulfilment o-2"}},
		"unaided":   {queries.SagaFilter{Unaided: true, Open: true}, []string{"fulfilment o-1", "refund f-1"}},
		"neither":   {queries.SagaFilter{Unaided: true, Attention: true}, []string{}},
		"overdue":   {queries.SagaFilter{Overdue: true}, []string{"fulfilment o-1"}},
		"cause":     {queries.SagaFilter{Cause: "declined"}, []string{"fulfilment o-4"}},
		"kind":      {queries.SagaFilter{Kind: queries.SagaRefund}, []string{"refund f-1"}},
		"order":     {queries.SagaFilter{OrderID: "o-3"}, []string{"fulfilment o-3", "refund f-1"}},
		"step":      {queries.SagaFilter{Step: events.StepRefund}, []string{"refund f-1"}},
		"nothing":   {queries.SagaFilter{State: "RESERVING", Cause: "declined"}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			viewtest.Given(t, View(nil), ids(test.filter)).
				At(noon).Given(fulfilment("o-1"), events.FulfilmentStarted{OrderID: "o-1"}, events.ReservationRequested{Request: asked(past)}).
				At(noon.Add(1*time.Minute)).Given(fulfilment("o-2"), events.FulfilmentStarted{OrderID: "o-2"}, events.ReservationRequested{Request: asked(future)}).
				At(noon.Add(2*time.Minute)).Given(fulfilment("o-3"), events.FulfilmentStarted{OrderID: "o-3"}, events.FulfilmentCompleted{OrderID: "o-3"}).
				At(noon.Add(3*time.Minute)).Given(esjs.StreamID{Category: events.CategoryRefund, Key: "f-1"},
				events.RefundOpened{OrderID: "o-3", RefundID: "f-1"}, events.RefundRequested{Request: asked(future)}).
				At(noon.Add(4*time.Minute)).Given(fulfilment("o-4"), events.FulfilmentStarted{OrderID: "o-4"},
				events.CompensationStarted{Cause: "declined", Plan: []events.Step{events.StepUndoOrder}}, events.FulfilmentCompensated{Cause: "declined"}).
				Given(fulfilment("o-2"), events.AttentionRequired{Code: "no_answer", RetryAt: future}).
				Given(esjs.StreamID{Category: events.CategoryOrder, Key: "o-1"}, events.OrderConfirmed{}).
				Then(test.want).ThenParked()
		})
	}
}

func TestTheBoardInFigures(t *testing.T) {
	t.Parallel()
	type figures struct{ states, steps, failures []string }
	read := func(request queries.SagaSummaryRequest) func(context.Context, view.Reader) (figures, error) {
		return func(ctx context.Context, rows view.Reader) (f figures, err error) {
			s, err := summarize(ctx, rows, request)
			for _, c := range s.States {
				if old := c.OldestAgeSeconds > 0; old != (c.State == "RESERVING") {
					return f, fmt.Errorf("the oldest one in %s is %v s old", c.State, c.OldestAgeSeconds)
				}
				f.states = append(f.states, fmt.Sprint(c.Kind, " ", c.State, " ", c.Count, " ", c.Attention, " ", c.OldestStartedAt.Format(time.TimeOnly)))
			}
			for _, d := range s.Steps {
				f.steps = append(f.steps, fmt.Sprint(d.Kind, " ", d.Step, " ", d.Outcome, " ", d.Count, " ", d.P50, " ", d.P95))
			}
			for _, c := range s.Failures {
				f.failures = append(f.failures, fmt.Sprint(c.Cause, " ", c.Outcome, " ", c.Count))
			}
			return f, err
		}
	}
	undone := func(cause string) events.CompensationStarted {
		return events.CompensationStarted{Cause: cause, Outcome: events.OutcomeRejected, Plan: []events.Step{events.StepUndoOrder}}
	}
	for name, test := range map[string]struct {
		request queries.SagaSummaryRequest
		want    figures
	}{
		"everything": {queries.SagaSummaryRequest{}, figures{
			[]string{"fulfilment COMPENSATED 2 0 12:01:00", "fulfilment RESERVING 1 1 12:00:00"},
			[]string{"fulfilment reserve failed 2 1.051 10.354"},
			[]string{"declined rejected 1", "out_of_stock rejected 1"},
		}},
		"one day": {queries.SagaSummaryRequest{From: noon.AddDate(0, 0, 1), Before: noon.AddDate(0, 0, 2)}, figures{
			[]string{"fulfilment COMPENSATED 2 0 12:01:00", "fulfilment RESERVING 1 1 12:00:00"},
			[]string{"fulfilment reserve failed 1 10.354 10.354"},
			[]string{"declined rejected 1"},
		}},
		"no day": {queries.SagaSummaryRequest{Before: noon}, figures{
			states: []string{"fulfilment COMPENSATED 2 0 12:01:00", "fulfilment RESERVING 1 1 12:00:00"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tomorrow := noon.AddDate(0, 0, 1)
			viewtest.Given(t, View(nil), read(test.request)).
				At(noon).Given(fulfilment("o-1"), events.FulfilmentStarted{OrderID: "o-1"}, events.ReservationRequested{Request: request(1)}).
				Given(fulfilment("o-1"), events.AttentionRequired{Code: "no_answer"}).
				At(noon.Add(time.Minute)).Given(fulfilment("o-2"), events.FulfilmentStarted{OrderID: "o-2"}, events.ReservationRequested{Request: request(1)}).
				At(noon.Add(61*time.Second)).Given(fulfilment("o-2"), undone("out_of_stock"), events.FulfilmentCompensated{Outcome: events.OutcomeRejected}).
				At(tomorrow).Given(fulfilment("o-3"), events.FulfilmentStarted{OrderID: "o-3"}, events.ReservationRequested{Request: request(1)}).
				At(tomorrow.Add(10*time.Second)).Given(fulfilment("o-3"), undone("declined"), events.FulfilmentCompensated{Outcome: events.OutcomeRejected}).
				Then(test.want).ThenParked()
		})
	}
}

func TestAgesAreThoseOfTheAnswer(t *testing.T) {
	p := Process{Saga: queries.Saga{StartedAt: noon, StateSince: noon.Add(time.Minute), Deadline: noon.Add(2 * time.Minute)}}
	s := p.shown(noon.Add(3 * time.Minute))
	if s.AgeSeconds != 180 || s.StateAgeSeconds != 120 || !s.Overdue {
		t.Errorf("the open saga is %+v", s)
	}
	p.EndedAt, p.Deadline = noon.Add(90*time.Second), time.Time{}
	s = p.shown(noon.Add(time.Hour))
	if s.AgeSeconds != 90 || s.StateAgeSeconds != 30 || s.Overdue {
		t.Errorf("the ended saga is %+v", s)
	}
	if reflect.DeepEqual(s, p.Saga) {
		t.Error("what is stored has an age")
	}
}
