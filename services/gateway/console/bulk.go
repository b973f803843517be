package console

import (
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
	Ready  int  // that would be, or were, retried
	Ran    bool // it was done
}

// bulkItem is one of them.
type bulkItem struct {
	Pick      string // names the saga in the form
	Saga      queries.Saga
	CommandID string
	Problem   *service.Problem // why it is not, or was not, retried
}

// maxBulk bounds how many are retried at once.
const maxBulk = 200

// bulkRetry shows what a retry of the picked sagas would do, and does it when the
// form says run. Each is sent with the version that the plan showed: one that has
// moved in the meantime is left alone.
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
	for _, pick := range picks {
		item := v.plan(pick)
		if data.Ran && item.Problem == nil {
			v.run(&item, data.Reason)
		}
		if item.Problem == nil {
			data.Ready++
		}
		data.Items = append(data.Items, item)
	}
	return v.show("bulk", "Bulk retry", "", data)
}

// plan reads one picked saga, "fulfilment o-1", and says whether a retry is possible.
func (v *visit) plan(pick string) bulkItem {
	item := bulkItem{Pick: pick, CommandID: uuid.NewString()}
	kind, rest, _ := strings.Cut(pick, " ")
	request := queries.SagaRequest{OrderID: rest}
	if queries.SagaKind(kind) == queries.SagaRefund {
		request = queries.SagaRequest{RefundID: rest}
	}
	saga, err := ask(v, queries.SagaGet, request)
	if err != nil {
		item.Problem, _ = service.ProblemOf(err)
		return item
	}
	item.Saga = saga
	if !slices.ContainsFunc(actions(saga), func(a action) bool { return a.Verb == "retry" }) {
		item.Problem = &service.Problem{Code: "wrong_state", Detail: "It is " + stateName(saga.State) + " and nothing in it waits for a retry."}
	}
	return item
}

// run retries one saga, if it is as the plan showed it.
func (v *visit) run(item *bulkItem, reason string) {
	shown := strings.Fields(v.PostFormValue("plan " + item.Pick))
	if len(shown) != 2 {
		item.Problem = &service.Problem{Code: "not_planned", Detail: "It was not in the dry run."}
		return
	}
	version, err := strconv.ParseUint(shown[0], 10, 63)
	if err != nil {
		item.Problem = &service.Problem{Code: "not_planned", Detail: "The dry run's version of it cannot be read."}
		return
	}
	body := desk.Decide{Decision: desk.Decision{Reason: reason}}
	if item.Saga.Kind == queries.SagaRefund {
		body.RefundID = item.Saga.SagaID
	}
	_, err = v.command(service.Command{
		Category: desk.CategorySaga, Key: item.Saga.OrderID, Verb: "retry", ID: shown[1], ExpectedVersion: &version,
	}, body)
	if err != nil {
		item.Problem, _ = service.ProblemOf(err)
	}
}
