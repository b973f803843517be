package saga

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
	"github.com/b144f99b/orderflow/services/saga/refund"
)

// Category is that of operators' commands: cmd.saga.<order id>.<verb>.
const Category = "saga"

// Limits of what an operator writes, in bytes.
const (
	maxReason   = 500
	maxEvidence = 2000
)

type runner[S any] = esjs.ProcessRunner[S, events.Event, events.Event]

// desk answers operators. The command of an order is for its fulfilment, or for
// the refund of the order that the body names.
type desk struct {
	fulfilments *runner[fulfilment.State]
	refunds     *runner[refund.State]
}

// verbs are the commands of a saga, each with the JSON that it takes.
func (d desk) verbs() map[string]service.Answer {
	return map[string]service.Answer{
		string(fulfilment.Retry): service.Decoded(func(ctx context.Context, request service.Command, body struct {
			Reason   string `json:"reason" required:"of 1 to 500 bytes that says why"`
			RefundID string `json:"refund_id"`
		}) (service.Reply, error) {
			return d.decide(ctx, request, body.RefundID, fulfilment.Operator{Action: fulfilment.Retry, Reason: body.Reason})
		}),
		string(fulfilment.Resolve): service.Decoded(func(ctx context.Context, request service.Command, body struct {
			Reason   string      `json:"reason" required:"of 1 to 500 bytes that says why"`
			Evidence string      `json:"evidence" required:"of 1 to 2000 bytes that says how it is known that the step is done"`
			Step     events.Step `json:"step"`
			RefundID string      `json:"refund_id"`
		}) (service.Reply, error) {
			if err := written("evidence", body.Evidence, maxEvidence); err != nil {
				return service.Reply{}, err
			}
			return d.decide(ctx, request, body.RefundID, fulfilment.Operator{
				Action: fulfilment.Resolve, Reason: body.Reason, Evidence: body.Evidence, Step: body.Step,
			})
		}),
		string(fulfilment.Compensate): service.Decoded(func(ctx context.Context, request service.Command, body struct {
			Reason string `json:"reason" required:"of 1 to 500 bytes that says why"`
		}) (service.Reply, error) {
			return d.decide(ctx, request, "", fulfilment.Operator{Action: fulfilment.Compensate, Reason: body.Reason})
		}),
		string(fulfilment.Release): service.Decoded(func(ctx context.Context, request service.Command, body struct {
			Reason   string `json:"reason" required:"of 1 to 500 bytes that says why"`
			RefundID string `json:"refund_id"`
		}) (service.Reply, error) {
			return d.decide(ctx, request, body.RefundID, fulfilment.Operator{Action: fulfilment.Release, Reason: body.Reason})
		}),
	}
}

// decide gives an operator's decision to the fulfilment, or to a refund.
func (d desk) decide(ctx context.Context, request service.Command, refundID string, o fulfilment.Operator) (service.Reply, error) {
	if err := written("reason", o.Reason, maxReason); err != nil {
		return service.Reply{}, err
	}
	by, err := request.Decider()
	if err != nil {
		return service.Reply{}, err
	}
	o.OrderID, o.By = request.Key, by
	opts := request.Options(request.Key)
	if refundID != "" {
		return handle(ctx, d.refunds, refundID, o, refundView, opts)
	}
	return handle(ctx, d.fulfilments, request.Key, o, fulfilmentView, opts)
}

// handle lets a process decide. What is released goes on only after the decision is
// stored; a command that is repeated releases again, in case its first try did not, but
// not what was set aside since.
func handle[S any](
	ctx context.Context, r *runner[S], key string, o fulfilment.Operator, view func(S) View, opts []esjs.HandleOption,
) (service.Reply, error) {
	var err error
	if o.SetAside, err = r.InQuarantine(ctx, key); err != nil {
		return service.Reply{}, err
	}
	result, err := r.Handle(ctx, key, o, opts...)
	if err != nil {
		return service.Reply{}, err
	}
	if o.Action == fulfilment.Release && result.Repeated {
		now, err := r.Load(ctx, key, esjs.Fresh())
		if err != nil {
			return service.Reply{}, err
		}
		result.State = now.State
	}
	shown := view(result.State)
	if o.Action == fulfilment.Release && o.SetAside && shown.Quarantined == "" {
		if err := r.Release(ctx, key); err != nil && !errors.Is(err, esjs.ErrNotFound) { // it has gone on already
			return service.Reply{}, err
		}
	}
	return service.ReplyTo(result, shown), nil
}

// View is what a reply shows of a fulfilment or of a refund.
type View struct {
	OrderID     string    `json:"order_id"`
	RefundID    string    `json:"refund_id,omitzero"`
	State       string    `json:"state"`
	Attention   string    `json:"attention,omitzero"` // code of what asks for an operator
	Quarantined string    `json:"quarantined,omitzero"`
	Due         time.Time `json:"due,omitzero"` // when the step is tried again
}

func fulfilmentView(s fulfilment.State) View {
	return View{OrderID: s.OrderID, State: cmp.Or(string(s.Status), string(fulfilment.New)),
		Attention: s.Attention, Quarantined: s.Quarantined, Due: s.Step.At}
}

func refundView(s refund.State) View {
	return View{OrderID: s.OrderID, RefundID: s.RefundID, State: cmp.Or(string(s.Status), string(refund.New)),
		Attention: s.Attention, Quarantined: s.Quarantined, Due: s.Step.At}
}

// written refuses what a person has to write and did not, or did at too great length.
func written(field, text string, most int) error {
	switch {
	case strings.TrimSpace(text) == "":
		return refuse(field+"_required", "the field %q is empty; it is kept with the decision and must say something, in at most %d bytes", field, most)
	case len(text) > most:
		return refuse("field_too_long", "the field %q has %d bytes; at most %d are allowed", field, len(text), most)
	}
	return nil
}

func refuse(code, format string, args ...any) error {
	return &esjs.Rejection{Code: code, Message: fmt.Sprintf(format, args...), Status: http.StatusUnprocessableEntity}
}
