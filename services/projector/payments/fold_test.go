package payments

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
	"github.com/b144f99b/orderflow/services/projector/view/viewtest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func euros(amount string) events.Money { return events.MustMoney(amount, "EUR") }

func payment(id string) esjs.StreamID {
	return esjs.StreamID{Category: events.CategoryPayment, Key: id}
}

func TestAPaymentIsWhatItsEventsLeave(t *testing.T) {
	begun := events.PaymentInitiated{OrderID: "o-1", Amount: euros("50.00"), MethodRef: "card-ok"}
	held := events.PaymentAuthorized{OrderID: "o-1", Amount: euros("50.00"), ExpiresAt: noon}
	taken := events.PaymentCaptured{OrderID: "o-1", Amount: euros("50.00")}
	for name, test := range map[string]struct {
		happens []events.Event
		want    string // state, authorised, captured, refunded, outstanding, unknown, last error
	}{
		"initiated":           {[]events.Event{begun}, "initiated 0 0 0 0  "},
		"authorised":          {[]events.Event{begun, held}, "authorized 50.00 EUR 0 0 50.00 EUR  "},
		"not known":           {[]events.Event{begun, events.PaymentOutcomeUnknown{Op: events.OperationAuthorize, Error: "reset"}}, "initiated 0 0 0 0 authorize reset"},
		"known":               {[]events.Event{begun, events.PaymentOutcomeUnknown{Op: events.OperationAuthorize, Error: "reset"}, held}, "authorized 50.00 EUR 0 0 50.00 EUR  reset"},
		"known to be nothing": {[]events.Event{begun, events.PaymentOutcomeUnknown{Op: events.OperationAuthorize}, events.PaymentNotFound{Op: events.OperationAuthorize}}, "initiated 0 0 0 0  "},
		"another is unknown":  {[]events.Event{begun, events.PaymentOutcomeUnknown{Op: events.OperationCapture}, held}, "authorized 50.00 EUR 0 0 50.00 EUR capture "},
		"declined":            {[]events.Event{begun, events.PaymentDeclined{Code: "no_funds"}}, "declined 0 0 0 0  no_funds"},
		"captured":            {[]events.Event{begun, held, taken}, "captured 50.00 EUR 50.00 EUR 0 0  "},
		"told late":           {[]events.Event{begun, taken, held}, "captured 50.00 EUR 50.00 EUR 0 0  "},
		"not captured":        {[]events.Event{begun, held, events.PaymentCaptureFailed{Code: "expired"}}, "authorized 50.00 EUR 0 0 50.00 EUR  expired"},
		"refunded in part":    {[]events.Event{begun, held, taken, events.PaymentRefunded{Amount: euros("10.00"), TotalRefunded: euros("10.00")}}, "captured 50.00 EUR 50.00 EUR 10.00 EUR 0  "},
		"refunded":            {[]events.Event{begun, held, taken, events.PaymentRefunded{Amount: euros("40.00"), TotalRefunded: euros("50.00")}}, "refunded 50.00 EUR 50.00 EUR 50.00 EUR 0  "},
		"not refunded":        {[]events.Event{begun, held, taken, events.PaymentRefundFailed{Code: "closed"}}, "captured 50.00 EUR 50.00 EUR 0 0  closed"},
		"voided":              {[]events.Event{begun, held, events.PaymentVoided{}}, "voided 50.00 EUR 0 0 0  "},
		"not voided":          {[]events.Event{begun, held, events.PaymentVoidFailed{Code: "captured"}}, "authorized 50.00 EUR 0 0 50.00 EUR  captured"},
		"expired":             {[]events.Event{begun, held, events.AuthorizationExpired{}}, "expired 50.00 EUR 0 0 0  "},
		"declined and voided": {[]events.Event{begun, events.PaymentDeclined{Code: "no"}, events.PaymentVoided{NothingHeld: true}}, "declined 0 0 0 0  no"},
		"disputed":            {[]events.Event{begun, held, taken, events.PaymentDisputed{Amount: euros("50.00"), Reason: "not mine"}}, "captured 50.00 EUR 50.00 EUR 0 0  not mine"},
	} {
		var p queries.Payment
		for i, e := range test.happens {
			p = Fold(p, esjs.Recorded[events.Event]{Event: e, Record: esjs.Record{Stream: payment("p-1"), Version: uint64(i + 1), Time: noon}})
		}
		got := fmt.Sprintf("%s %s %s %s %s %s %s", p.State, p.Authorized, p.Captured, p.Refunded, p.Outstanding, p.Unknown, p.LastError)
		if got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
		if p.PaymentID != "p-1" || p.CreatedAt != noon || p.ExpiresAt.IsZero() != (p.Outstanding.Sign() == 0) {
			t.Errorf("%s: the payment is %+v", name, p)
		}
	}
}

func TestPaymentsAreListedAndSummedUp(t *testing.T) {
	t.Parallel()
	read := func(f queries.PaymentFilter) func(context.Context, view.Reader) ([]string, error) {
		return func(ctx context.Context, rows view.Reader) ([]string, error) {
			found := []string{}
			f.Limit, f.Cursor = 2, ""
			for {
				page, err := list(ctx, rows, f)
				if err != nil {
					return nil, err
				}
				for _, p := range page.Payments {
					found = append(found, p.PaymentID)
				}
				if f.Cursor = page.NextCursor; f.Cursor == "" {
					break
				}
			}
			sums, err := summarize(ctx, rows, queries.PaymentSummaryRequest{})
			for _, s := range sums.Currencies {
				found = append(found, fmt.Sprintf("%s authorised, %s captured, %s refunded, %s outstanding", s.Authorized, s.Captured, s.Refunded, s.Outstanding))
			}
			found = append(found, fmt.Sprint(sums.States), fmt.Sprint(sums.Unknown, " unknown, ", sums.Disputed, " disputed"))
			return found, err
		}
	}
	sums := []string{
		"90.00 EUR authorised, 50.00 EUR captured, 20.00 EUR refunded, 40.00 EUR outstanding", "800 JPY authorised, 0 JPY captured, 0 JPY refunded, 0 JPY outstanding",
		"[{authorized 1} {captured 1} {declined 1} {voided 1}]", "1 unknown, 1 disputed",
	}
	for name, test := range map[string]struct {
		filter queries.PaymentFilter
		want   []string
	}{
		"all":      {queries.PaymentFilter{}, []string{"p-4", "p-3", "p-2", "p-1"}},
		"order":    {queries.PaymentFilter{OrderID: "o-1"}, []string{"p-2", "p-1"}},
		"state":    {queries.PaymentFilter{State: queries.PaymentCaptured}, []string{"p-2"}},
		"unknown":  {queries.PaymentFilter{Unknown: true}, []string{"p-3"}},
		"disputed": {queries.PaymentFilter{Disputed: true}, []string{"p-2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			yen := events.MustMoney("800", "JPY")
			viewtest.Given(t, View(), read(test.filter)).
				At(noon).Given(payment("p-1"), events.PaymentInitiated{OrderID: "o-1", Amount: euros("50.00")}, events.PaymentDeclined{OrderID: "o-1", Code: "no"}).
				At(noon.Add(time.Minute)).Given(payment("p-2"), events.PaymentInitiated{OrderID: "o-1", Amount: euros("50.00")},
				events.PaymentAuthorized{OrderID: "o-1", Amount: euros("50.00")}, events.PaymentCaptured{OrderID: "o-1", Amount: euros("50.00")},
				events.PaymentRefunded{OrderID: "o-1", Amount: euros("20.00"), TotalRefunded: euros("20.00")},
				events.PaymentDisputed{OrderID: "o-1", Amount: euros("30.00")}).
				At(noon.Add(2*time.Minute)).Given(payment("p-3"), events.PaymentAuthorized{OrderID: "o-3", Amount: euros("40.00"), ExpiresAt: noon},
				events.PaymentOutcomeUnknown{OrderID: "o-3", Op: events.OperationCapture}).
				At(noon.Add(3*time.Minute)).Given(payment("p-4"), events.PaymentAuthorized{OrderID: "o-4", Amount: yen}, events.PaymentVoided{OrderID: "o-4"}).
				Then(append(test.want, sums...)).ThenParked()
		})
	}
}
