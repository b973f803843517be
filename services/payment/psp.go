package payment

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus"
)

// psp is the client of the payment service provider.
type psp struct {
	partner *service.Partner
	asked   *prometheus.CounterVec // counts requests about a payment; nil: nobody does
}

// account is a payment on the wire.
type account struct {
	Reference       string       `json:"reference"`
	Status          string       `json:"status"`
	AuthorisationID string       `json:"authorisation_id"`
	Authorised      events.Money `json:"authorised"`
	CaptureBefore   time.Time    `json:"capture_before"`
	Decline         refusal      `json:"decline"`
	CaptureID       string       `json:"capture_id"`
	Captured        events.Money `json:"captured"`
	Refunds         []struct {
		RefundID string       `json:"refund_id"`
		Amount   events.Money `json:"amount"`
	} `json:"refunds"`
	Refunded events.Money `json:"refunded"`
}

type refusal struct {
	Code  string              `json:"code"`
	Class events.DeclineClass `json:"class"`
}

// reply is the body of the PSP's answers.
type reply struct {
	Payment account `json:"payment"`
	Error   refusal `json:"error"`
}

// ask asks the PSP and reads its answer; the error is that ctx ended.
func (p psp) ask(ctx context.Context, c Call) (Answer, error) {
	if c.Check {
		return p.look(ctx, c)
	}
	if c.Look {
		seen, err := p.look(ctx, c)
		if err != nil || seen.Kind == Unknown || c.settledBy(seen) {
			return seen, err
		}
	}
	body := map[string]any{}
	if c.Op != events.OperationVoid {
		body["amount"] = c.Amount
	}
	if c.Op == events.OperationAuthorize {
		body["method_ref"] = c.MethodRef
	}
	if c.Op == events.OperationRefund {
		body["refund_id"] = c.RefundID
	}
	return p.call(ctx, string(c.Op), c.PaymentID, service.PartnerCall{
		Method: http.MethodPost,
		Path:   c.path() + "/" + wireName(c.Op),
		Key:    c.Key,
		Body:   body,
	})
}

// look asks for the PSP's account of the payment. A no to the question says nothing
// about the payment.
func (p psp) look(ctx context.Context, c Call) (Answer, error) {
	answer, err := p.call(ctx, "look", c.PaymentID, service.PartnerCall{Method: http.MethodGet, Path: c.path()})
	if answer.Kind == Refused {
		return unknown("the provider refuses to tell of the payment: " + answer.Code), err
	}
	return answer, err
}

// settledBy tells that the operation was done, or can never be done, so that
// it needs not be asked for again.
func (c Call) settledBy(a Answer) bool {
	return a.Kind == Done && (c.Op == events.OperationAuthorize || a.Account.settles(c.Op, c.RefundID))
}

func (c Call) path() string { return "/payments/" + url.PathEscape(c.PaymentID) }

// wireName is what the PSP calls an operation.
func wireName(op events.PaymentOperation) string {
	if op == events.OperationAuthorize {
		return "authorise"
	}
	return string(op)
}

// call sends one request about a payment, and counts what came of it.
func (p psp) call(ctx context.Context, op, id string, c service.PartnerCall) (Answer, error) {
	answer, err := p.send(ctx, id, c)
	if err == nil && p.asked != nil {
		p.asked.WithLabelValues(op, answer.Kind.String()).Inc()
	}
	return answer, err
}

// send sends one request about a payment. An answer that is not of this payment, or
// lacks an amount, tells nothing.
func (p psp) send(ctx context.Context, id string, c service.PartnerCall) (Answer, error) {
	var body reply
	err := p.partner.Call(ctx, c, &body)
	var no *service.PartnerRefusal
	refused := errors.As(err, &no)
	told := body.Payment
	switch {
	case err != nil && ctx.Err() != nil:
		return Answer{}, ctx.Err()
	case err != nil && !refused:
		return unknown(err.Error()), nil
	case told.Reference != id && (!refused || told.Reference != ""):
		return unknown(fmt.Sprintf("the provider was asked about payment %q and tells of %q", id, told.Reference)), nil
	}
	if err := told.incomplete(); err != nil {
		return unknown(err.Error()), nil
	}
	switch {
	case !refused:
		return Answer{Kind: Done, Account: told.read()}, nil
	case no.Status == http.StatusNotFound:
		return Answer{Kind: Missing}, nil
	}
	return Answer{Kind: Refused, Account: told.read(), Code: no.Code, Class: body.Error.Class}, nil
}

func unknown(why string) Answer { return Answer{Kind: Unknown, Error: why} }

// pageSize is how many payments of the PSP's list are read at once.
const pageSize = 200

// all iterates every payment that the PSP has, by reference; the first error ends it.
func (p psp) all(ctx context.Context) iter.Seq2[account, error] {
	return func(yield func(account, error) bool) {
		for after, more := "", true; more; {
			var page struct {
				Payments []account `json:"payments"`
				Next     string    `json:"next"`
			}
			query := url.Values{"limit": {strconv.Itoa(pageSize)}, "after": {after}}
			err := p.partner.Call(ctx, service.PartnerCall{Method: http.MethodGet, Path: "/payments?" + query.Encode()}, &page)
			if err != nil {
				yield(account{}, fmt.Errorf("the list of payments: %w", err))
				return
			}
			for _, a := range page.Payments {
				if !yield(a, nil) {
					return
				}
			}
			if page.Next != "" && page.Next == after {
				yield(account{}, fmt.Errorf("the list of payments does not go on after %q", after))
				return
			}
			after, more = page.Next, page.Next != ""
		}
	}
}

func (a account) read() Account {
	read := Account{
		Status:      a.Status,
		AuthID:      a.AuthorisationID,
		Authorized:  a.Authorised,
		ExpiresAt:   a.CaptureBefore,
		DeclineCode: a.Decline.Code,
		Class:       a.Decline.Class,
		CaptureID:   a.CaptureID,
		Captured:    a.Captured,
		Refunded:    a.Refunded,
	}
	for _, r := range a.Refunds {
		read.Refunds = append(read.Refunds, Refund{ID: r.RefundID, Amount: r.Amount, Done: true})
	}
	return read
}

// incomplete returns which amount is missing: no amount is not an amount of zero.
func (a account) incomplete() error {
	switch {
	case a.AuthorisationID != "" && a.Authorised.Sign() <= 0:
		return fmt.Errorf("the authorisation %q has no amount", a.AuthorisationID)
	case a.CaptureID != "" && a.Captured.Sign() <= 0:
		return fmt.Errorf("the capture %q has no amount", a.CaptureID)
	}
	for _, r := range a.Refunds {
		if r.RefundID == "" || r.Amount.Sign() <= 0 {
			return fmt.Errorf("the refund %q has no id or no amount", r.RefundID)
		}
	}
	return nil
}

// notice is a webhook of the PSP.
type notice struct {
	ID      string  `json:"id"`
	Type    string  `json:"type"`
	Payment account `json:"payment"`
}

// readNotice reads a webhook's body; fields that we do not know are not ours
// to refuse.
func readNotice(body []byte) (News, error) {
	var n notice
	if err := json.Unmarshal(body, &n); err != nil {
		return News{}, fmt.Errorf("the webhook is not the expected JSON: %w", err)
	}
	if n.ID == "" || n.Payment.Reference == "" {
		return News{}, errors.New("the webhook has no id or no payment.reference")
	}
	if err := service.WebhookID(n.ID); err != nil {
		return News{}, err
	}
	if err := n.Payment.incomplete(); err != nil {
		return News{}, fmt.Errorf("the webhook is incomplete: %w", err)
	}
	return News{
		PaymentID: n.Payment.Reference,
		EventID:   n.ID,
		Disputed:  n.Type == "payment.disputed",
		Account:   n.Payment.read(),
	}, nil
}
