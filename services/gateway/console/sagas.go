package console

import (
	"cmp"
	"net/url"
	"slices"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/gateway/desk"
)

// board is the operators' board.
type board struct {
	Summary   queries.SagaSummaries
	Attention []card
	Lanes     []lane // of the open ones that need nobody
	Ended     []queries.Saga
	Open      int
	Waiting   int // that need an operator
	// Pagers of those that need an operator, and of the others.
	AttentionPager, Pager pager

	Filter   queries.SagaFilter
	Filtered bool
	Operates bool
	Steps    []queries.StepDurations
	Failures []bar
	States   []string // that a filter may name
}

// card is a saga that an operator has to decide about.
type card struct {
	queries.Saga
	Actions []action
}

// lane is the open sagas of one state.
type lane struct {
	State string
	Sagas []queries.Saga
}

// action is one thing that an operator may do with a saga.
type action struct {
	Verb     string
	Name     string
	Explain  string
	Evidence bool // that has to be given
	Steps    []events.Step
}

func sagaBoard(v *visit) error {
	q := v.URL.Query()
	data := board{Operates: v.operates(), States: queries.SagaStates(), Filter: queries.SagaFilter{
		Kind: queries.SagaKind(q.Get("kind")), State: q.Get("state"), OrderID: q.Get("order"), Cause: q.Get("cause"),
		ReadYourWrites: v.after(),
	}}
	data.Filtered = data.Filter.Kind != "" || data.Filter.State != "" || data.Filter.OrderID != "" || data.Filter.Cause != ""
	var err error
	if data.Summary, err = ask(v, queries.SagaSummary, queries.SagaSummaryRequest{ReadYourWrites: v.after()}); err != nil {
		return err
	}
	filter := data.Filter
	filter.Attention, filter.Limit, filter.Cursor = true, 100, q.Get("waiting")
	waiting, err := ask(v, queries.SagaList, filter)
	if err != nil {
		return err
	}
	data.AttentionPager = pagerOf(v.URL, "waiting", waiting.NextCursor)
	for _, s := range waiting.Sagas {
		data.Attention = append(data.Attention, card{s, actions(s)})
	}
	filter = data.Filter
	filter.Unaided, filter.Open, filter.Limit, filter.Cursor = true, true, 100, q.Get("cursor")
	if data.Filtered { // who looks for some sees those that have ended too
		filter.Open = false
	}
	open, err := ask(v, queries.SagaList, filter)
	if err != nil {
		return err
	}
	data.Pager = pagerOf(v.URL, "cursor", open.NextCursor)
	data.sort(open.Sagas)
	slices.SortStableFunc(data.Summary.States, func(a, b queries.SagaStateCount) int { return cmp.Compare(rank(a.State), rank(b.State)) })
	for _, s := range data.Summary.States {
		data.Waiting += s.Attention
	}
	data.Steps = slices.DeleteFunc(slices.Clone(data.Summary.Steps), func(s queries.StepDurations) bool { return s.Count == 0 })
	data.Failures = failures(data.Summary.Failures)
	return v.show("sagas", "Sagas", "/v1/sagas/live", data)
}

// sort puts sagas that need nobody into lanes by state, in the order of the states.
func (b *board) sort(sagas []queries.Saga) {
	for _, s := range sagas {
		if !s.EndedAt.IsZero() {
			b.Ended = append(b.Ended, s)
			continue
		}
		b.Open++
		i := slices.IndexFunc(b.Lanes, func(l lane) bool { return l.State == s.State })
		if i < 0 {
			b.Lanes, i = append(b.Lanes, lane{State: s.State}), len(b.Lanes)
		}
		b.Lanes[i].Sagas = append(b.Lanes[i].Sagas, s)
	}
	slices.SortStableFunc(b.Lanes, func(a, b lane) int { return cmp.Compare(rank(a.State), rank(b.State)) })
}

// rank is a state's place on the board.
func rank(state string) int { return slices.Index(queries.SagaStates(), state) }

func failures(counts []queries.CauseCount) []bar {
	bars := make([]bar, len(counts))
	for i, c := range counts {
		bars[i] = bar{Label: human(c.Cause), Note: string(c.Outcome), Value: float64(c.Count), Text: group(c.Count)}
	}
	return scale(bars)
}

// actions are what an operator may do with a saga that asks for one. The saga
// service decides; what it would refuse in this state is not offered.
func actions(s queries.Saga) []action {
	release := action{Verb: "release", Name: "Release", Explain: "It was set aside because an input could not be handled. Let it go on from there."}
	if s.Quarantined {
		return []action{release}
	}
	if s.Attention == "" {
		return nil
	}
	retry := action{Verb: "retry", Name: "Retry", Explain: "Ask the participant again, with all attempts before it."}
	resolve := action{Verb: "resolve", Name: "Resolve", Evidence: true, Explain: "Go on as if the participant had said that the step is done. Only when you know that it is."}
	compensate := action{Verb: "compensate", Name: "Compensate", Explain: "Give up, and undo everything that was done for the order."}
	switch s.State {
	case "CONFIRMING", "CAPTURING", "CAPTURE_UNKNOWN":
		return []action{retry, compensate}
	case "DISPATCHING":
		resolve.Steps = []events.Step{events.StepDispatch, events.StepCommit}
		return []action{retry, resolve}
	case "COMPLETED":
		return []action{resolve}
	case "COMPLETING", "COMP_ORDER":
		return []action{retry}
	}
	return []action{retry, resolve}
}

// commandSaga sends what an operator decided about one saga.
func commandSaga(v *visit) error {
	order, verb := v.PathValue("order"), v.PathValue("verb")
	reply, err := v.command(service.Command{Category: desk.CategorySaga, Key: order, Verb: verb}, v.decision(verb))
	if err != nil {
		return v.again(err, Root+"sagas", sagaBoard)
	}
	return v.see(Root + "sagas?after=" + url.QueryEscape(reply.Revision))
}

// decision reads what an operator decided, and why.
func (v *visit) decision(verb string) any {
	why := desk.Decision{Reason: v.text("reason")}
	of := desk.Decide{Decision: why, RefundID: v.PostFormValue("refund_id")}
	switch verb {
	case "compensate":
		return why
	case "resolve":
		return desk.Resolve{Decide: of, Evidence: v.text("evidence"), Step: events.Step(v.PostFormValue("step"))}
	}
	return of
}
