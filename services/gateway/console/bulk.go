package console

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/gateway/desk"
	"github.com/google/uuid"
)

// bulk is a retry of many sagas: first what would be done, then what was.
type bulk struct {
	Reason string
	Items  []bulkItem
	Ran    bool // it was done
}

// bulkItem is one of them.
type bulkItem struct {
	Pick    string // names the saga in the form
	Saga    queries.Saga
	Plan    string // its version in the dry run, and the id of the command about it
	Outcome outcome
	Why     string // it is so; "" when the outcome says all
}

// outcome is what became, or would become, of one saga of a bulk retry.
type outcome string

const (
	toBeRetried    outcome = "to be retried"
	retried        outcome = "retried"
	alreadyRetried outcome = "already retried" // by the same form, sent before
	leftAlone      outcome = "left alone"      // it was refused, as Why says
	notDone        outcome = "not done"        // nobody took it, or there was no time; it may be sent again
	notKnown       outcome = "not known"       // nobody answered in time, and it may have been done
)

// Tone is the outcome's colour.
func (o outcome) Tone() string {
	switch o {
	case retried, toBeRetried:
		return "good"
	case alreadyRetried:
		return "quiet"
	case leftAlone:
		return "warn"
	}
	return "bad"
}

// Again tells that the item may be sent once more, and has one effect all the same.
func (i bulkItem) Again() bool {
	return i.Outcome == toBeRetried || i.Plan != "" && (i.Outcome == notDone || i.Outcome == notKnown)
}

// Count is how many items have an outcome.
func (b bulk) Count(o outcome) (n int) {
	for _, i := range b.Items {
		if i.Outcome == o {
			n++
		}
	}
	return n
}

// Left is how many may be sent, or sent again.
func (b bulk) Left() (n int) {
	for _, i := range b.Items {
		if i.Again() {
			n++
		}
	}
	return n
}

// Summary says what became of all of them: "1 of 3 was retried, 2 not done".
func (b bulk) Summary() string {
	n := b.Count(retried)
	text := strconv.Itoa(n) + " of " + strconv.Itoa(len(b.Items)) + map[bool]string{true: " was", false: " were"}[n == 1] + " retried"
	for _, o := range []outcome{alreadyRetried, leftAlone, notDone, notKnown} {
		if n := b.Count(o); n > 0 {
			text += ", " + strconv.Itoa(n) + " " + string(o)
		}
	}
	return text + "."
}

// maxBulk bounds how many are retried at once.
const maxBulk = 200

// bulkRetry shows what a retry of the picked sagas would do, and does it when the
// form says run. Each is sent with the version that the plan showed: one that has
// moved in the meantime is left alone. All of it takes no longer than twice what one
// command may take; what there is no time for is not sent, and can be sent again.
func bulkRetry(v *visit) error {
	data := bulk{Reason: strings.TrimSpace(v.PostFormValue("reason")), Ran: v.PostFormValue("run") != ""}
	picks := v.PostForm["pick"]
	switch {
	case len(picks) == 0:
		return v.again(refuse(http.StatusUnprocessableEntity, "nothing_picked", "pick at least one saga to retry"), Root+"sagas", sagaBoard)
	case len(picks) > maxBulk:
		return v.again(refuse(http.StatusUnprocessableEntity, "too_many", "%d sagas are picked; at most %d are retried at once", len(picks), maxBulk), Root+"sagas", sagaBoard)
	case data.Reason == "":
		return v.again(refuse(http.StatusUnprocessableEntity, "reason_required", "say why they are retried; it is kept with the decision"), Root+"sagas", sagaBoard)
	}
	ctx, cancel := context.WithTimeout(v.Context(), 2*v.console.timeout)
	defer cancel()
	v.Request = v.WithContext(ctx)
	for _, pick := range picks {
		item := bulkItem{Pick: pick}
		if data.Ran {
			v.run(&item, data.Reason)
		} else {
			v.plan(&item)
		}
		data.Items = append(data.Items, item)
	}
	return v.show("bulk", "Bulk retry", "", data)
}

// read reads the picked saga, "fulfilment o-1".
func (v *visit) read(item *bulkItem) error {
	kind, rest, _ := strings.Cut(item.Pick, " ")
	request := queries.SagaRequest{OrderID: rest}
	if queries.SagaKind(kind) == queries.SagaRefund {
		request = queries.SagaRequest{RefundID: rest}
	}
	var err error
	item.Saga, err = ask(v, queries.SagaGet, request)
	return err
}

// plan says whether a retry of the picked saga is possible.
func (v *visit) plan(item *bulkItem) {
	if err := v.read(item); err != nil {
		item.fail(err)
		return
	}
	if !slices.ContainsFunc(actions(item.Saga), func(a action) bool { return a.Verb == "retry" }) {
		item.Outcome, item.Why = leftAlone, "It is "+stateName(item.Saga.State)+" and nothing in it waits for a retry."
		return
	}
	item.Outcome, item.Plan = toBeRetried, strconv.FormatUint(item.Saga.Version, 10)+" "+uuid.NewString()
}

// run retries one saga, if it is as the plan showed it.
func (v *visit) run(item *bulkItem, reason string) {
	version, id, planned := planOf(v.PostFormValue("plan " + item.Pick))
	if !planned {
		item.Outcome, item.Why = leftAlone, "It was not in the dry run."
		return
	}
	item.Plan = v.PostFormValue("plan " + item.Pick)
	if v.Context().Err() != nil {
		item.Outcome, item.Why = notDone, "There was no time left to send it."
		return
	}
	if err := v.read(item); err != nil {
		item.fail(err)
		if item.Outcome == notKnown { // but nothing was sent
			item.Outcome = notDone
		}
		return
	}
	body := desk.Decide{Decision: desk.Decision{Reason: reason}}
	if item.Saga.Kind == queries.SagaRefund {
		body.RefundID = item.Saga.SagaID
	}
	_, err := v.command(service.Command{
		Category: desk.CategorySaga, Key: item.Saga.OrderID, Verb: "retry", ID: id, ExpectedVersion: &version,
	}, body)
	switch {
	case err != nil:
		item.fail(err)
	case item.Saga.Version != version: // and it is answered nevertheless, as it was the first time
		item.Outcome = alreadyRetried
	default:
		item.Outcome = retried
	}
}

// planOf reads what the dry run has said of a saga.
func planOf(text string) (version uint64, commandID string, ok bool) {
	number, id, _ := strings.Cut(text, " ")
	version, err := strconv.ParseUint(number, 10, 63)
	return version, id, err == nil && id != ""
}

// fail says what an error leaves open.
func (i *bulkItem) fail(err error) {
	p, _ := service.ProblemOf(err)
	i.Why = cmp.Or(p.Detail, p.Title)
	switch {
	case p.Status == http.StatusServiceUnavailable:
		i.Outcome = notDone
	case p.Status >= http.StatusInternalServerError:
		i.Outcome = notKnown
	default:
		i.Outcome = leftAlone
	}
}
