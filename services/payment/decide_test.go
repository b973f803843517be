package payment

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/events"
)

func eur(amount string) events.Money { return events.MustMoney(amount, "EUR") }

func TestDecisions(t *testing.T) {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		t.Fatal(err)
	}
	aggregate := Aggregate(codec)
	ten, six, five, four := eur("10.00"), eur("6.00"), eur("5.00"), eur("4.00")
	expires := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)

	authorize := Ask{PaymentID: "p", OrderID: "o", RequestID: "a1", Op: events.OperationAuthorize, Amount: ten, MethodRef: "card"}
	check := Ask{PaymentID: "p", OrderID: "o", RequestID: "k1", Op: events.OperationAuthorize, Check: true}
	capture := Ask{PaymentID: "p", OrderID: "o", RequestID: "c1", Op: events.OperationCapture, Amount: ten}
	captureCheck := Ask{PaymentID: "p", OrderID: "o", RequestID: "k2", Op: events.OperationCapture, Check: true}
	void := Ask{PaymentID: "p", OrderID: "o", RequestID: "v1", Op: events.OperationVoid}
	refund := Ask{PaymentID: "p", OrderID: "o", RequestID: "r1", Op: events.OperationRefund, RefundID: "rf1", Amount: six}
	again := func(a Ask) Ask { a.RequestID += "-again"; return a }
	of := func(a Ask, amount events.Money) Ask { a.Amount = amount; return a }

	initiated := events.PaymentInitiated{OrderID: "o", RequestID: "a1", Amount: ten, MethodRef: "card"}
	attempted := events.AuthorizationAttempted{OrderID: "o", RequestID: "a1", Key: "p:authorize", Attempt: 1}
	authorized := events.PaymentAuthorized{OrderID: "o", RequestID: "a1", AuthID: "auth", Amount: ten, ExpiresAt: expires}
	declined := events.PaymentDeclined{OrderID: "o", RequestID: "a1", Code: "no", Class: events.DeclineSoft}
	unknown := events.PaymentOutcomeUnknown{OrderID: "o", RequestID: "a1", Op: events.OperationAuthorize, Error: "timeout"}
	captureAttempted := events.CaptureAttempted{OrderID: "o", RequestID: "c1", Amount: ten, Key: "p:capture", Attempt: 1}
	captured := events.PaymentCaptured{OrderID: "o", RequestID: "c1", CaptureID: "cap", Amount: ten}
	voidAttempted := events.VoidAttempted{OrderID: "o", RequestID: "v1", Key: "p:void", Attempt: 1}
	voided := events.PaymentVoided{OrderID: "o", RequestID: "v1"}
	nothingHeld := events.PaymentVoided{OrderID: "o", RequestID: "v1", NothingHeld: true}
	refundAttempted := events.RefundAttempted{OrderID: "o", RequestID: "r1", RefundID: "rf1", Amount: six, Key: "p:refund:rf1", Attempt: 1}
	refunded := events.PaymentRefunded{OrderID: "o", RequestID: "r1", RefundID: "rf1", Amount: six, TotalRefunded: six}

	voidFailed := events.PaymentVoidFailed{OrderID: "o", RequestID: "v1", Code: "no"}
	voidUnknown := events.PaymentOutcomeUnknown{OrderID: "o", RequestID: "v1", Op: events.OperationVoid, Error: "timeout"}
	disputed := events.PaymentDisputed{OrderID: "o", DisputeID: "e", Amount: ten, Reason: "dispute", PSPEventID: "e"}
	refundFailed := events.PaymentRefundFailed{OrderID: "o", RequestID: "r1", RefundID: "rf1", Code: "no"}
	forgotten := func(request string, op events.PaymentOperation) events.Event {
		return events.PaymentOutcomeUnknown{OrderID: "o", RequestID: request, Op: op, Error: "the provider does not know the payment that it had authorised"}
	}

	asked := []events.Event{initiated, attempted}
	held := append(slices.Clone(asked), events.Event(authorized))
	capturing := append(slices.Clone(held), events.Event(captureAttempted))
	paid := append(slices.Clone(capturing), events.Event(captured))
	voiding := append(slices.Clone(held), events.Event(voidAttempted))
	refunding := append(slices.Clone(paid), events.Event(refundAttempted))

	heldAccount := Account{Status: "authorised", AuthID: "auth", Authorized: ten, ExpiresAt: expires}
	paidAccount := Account{Status: "captured", AuthID: "auth", Authorized: ten, ExpiresAt: expires, CaptureID: "cap", Captured: ten}
	refundedAccount := paidAccount
	refundedAccount.Refunds, refundedAccount.Refunded = []Refund{{ID: "rf1", Amount: six, Done: true}}, six
	twiceRefunded := refundedAccount
	twiceRefunded.Refunds, twiceRefunded.Refunded = append(slices.Clone(refundedAccount.Refunds), Refund{ID: "rf2", Amount: four, Done: true}), ten
	voidedAccount := heldAccount
	voidedAccount.Status = "voided"
	longerAccount := heldAccount
	longerAccount.ExpiresAt = expires.Add(time.Hour)
	timeout := Answer{Kind: Unknown, Error: "timeout"}

	cases := map[string]struct {
		given []events.Event
		when  Command
		then  []events.Event
	}{
		"an authorisation is stored before it is asked for": {
			nil, authorize, asked},
		"the same request again is silent": {
			asked, authorize, nil},
		"the same request after its answer is silent": {
			held, authorize, nil},
		"another request is answered though nothing changes": {
			held, again(authorize), []events.Event{events.PaymentAuthorized{OrderID: "o", RequestID: "a1-again", AuthID: "auth", Amount: ten, ExpiresAt: expires}}},
		"an unknown authorisation is asked for again by the same key": {
			append(slices.Clone(asked), unknown), again(authorize),
			[]events.Event{events.AuthorizationAttempted{OrderID: "o", RequestID: "a1-again", Key: "p:authorize", Attempt: 2}}},
		"a declined payment stays declined": {
			append(slices.Clone(asked), declined), again(authorize),
			[]events.Event{events.PaymentDeclined{OrderID: "o", RequestID: "a1-again", Code: "no", Class: events.DeclineSoft}}},
		"a voided payment is never authorised": {
			[]events.Event{nothingHeld}, authorize,
			[]events.Event{events.PaymentDeclined{OrderID: "o", RequestID: "a1", Code: "voided", Class: events.DeclineHard}}},
		"an expired authorisation is no authorisation": {
			append(slices.Clone(held), events.AuthorizationExpired{OrderID: "o"}), again(authorize),
			[]events.Event{events.PaymentDeclined{OrderID: "o", RequestID: "a1-again", Code: "expired", Class: events.DeclineHard}}},

		"the provider authorises": {
			asked, Tell{authorize, Answer{Kind: Done, Account: heldAccount}}, []events.Event{authorized}},
		"the provider declines": {
			asked, Tell{authorize, Answer{Kind: Refused, Code: "no", Class: events.DeclineSoft}}, []events.Event{declined}},
		"a decline without a class is hard": {
			asked, Tell{authorize, Answer{Kind: Refused, Code: "no"}},
			[]events.Event{events.PaymentDeclined{OrderID: "o", RequestID: "a1", Code: "no", Class: events.DeclineHard}}},
		"nobody knows": {
			asked, Tell{authorize, timeout}, []events.Event{unknown}},
		"an answer that comes twice is stored once": {
			held, Tell{authorize, Answer{Kind: Done, Account: heldAccount}}, nil},

		"a check of what was never asked for finds nothing": {
			nil, check, []events.Event{events.PaymentNotFound{OrderID: "o", RequestID: "k1", Op: events.OperationAuthorize}}},
		"a check of an unknown authorisation is for the provider to answer": {
			append(slices.Clone(asked), unknown), check, nil},
		"a check of what is known is answered at once": {
			held, check, []events.Event{events.PaymentAuthorized{OrderID: "o", RequestID: "k1", AuthID: "auth", Amount: ten, ExpiresAt: expires}}},
		"a check finds an authorisation": {
			append(slices.Clone(asked), unknown), Tell{check, Answer{Kind: Done, Account: heldAccount}},
			[]events.Event{events.PaymentAuthorized{OrderID: "o", RequestID: "k1", AuthID: "auth", Amount: ten, ExpiresAt: expires}}},
		"a check finds a decline": {
			append(slices.Clone(asked), unknown), Tell{check, Answer{Kind: Done, Account: Account{Status: "declined", DeclineCode: "no", Class: events.DeclineFraud}}},
			[]events.Event{events.PaymentDeclined{OrderID: "o", RequestID: "k1", Code: "no", Class: events.DeclineFraud}}},
		"a check finds a void": {
			append(slices.Clone(asked), unknown), Tell{check, Answer{Kind: Done, Account: Account{Status: "voided"}}},
			[]events.Event{events.PaymentDeclined{OrderID: "o", RequestID: "k1", Code: "voided", Class: events.DeclineHard}}},
		"a check finds that the provider knows nothing": {
			append(slices.Clone(asked), unknown), Tell{check, Answer{Kind: Missing}},
			[]events.Event{events.PaymentNotFound{OrderID: "o", RequestID: "k1", Op: events.OperationAuthorize}}},
		"a check that fails leaves it unknown": {
			append(slices.Clone(asked), unknown), Tell{check, timeout},
			[]events.Event{events.PaymentOutcomeUnknown{OrderID: "o", RequestID: "k1", Op: events.OperationAuthorize, Error: "timeout"}}},

		"a capture is stored before it is asked for": {
			held, capture, []events.Event{captureAttempted}},
		"a capture of more than is authorised is refused": {
			held, of(capture, eur("10.01")), []events.Event{events.PaymentCaptureFailed{OrderID: "o", RequestID: "c1", Code: "exceeds_authorization"}}},
		"a capture of another currency is refused": {
			held, of(capture, usd("10.00")), []events.Event{events.PaymentCaptureFailed{OrderID: "o", RequestID: "c1", Code: "currency_mismatch"}}},
		"a capture of what is not authorised is refused": {
			asked, capture, []events.Event{events.PaymentCaptureFailed{OrderID: "o", RequestID: "c1", Code: "not_authorized"}}},
		"a capture of what is voided is refused": {
			append(slices.Clone(voiding), voided), capture, []events.Event{events.PaymentCaptureFailed{OrderID: "o", RequestID: "c1", Code: "voided"}}},
		"there is no second capture": {
			paid, again(capture), []events.Event{events.PaymentCaptured{OrderID: "o", RequestID: "c1-again", CaptureID: "cap", Amount: ten}}},
		"the provider captures": {
			capturing, Tell{capture, Answer{Kind: Done, Account: paidAccount}}, []events.Event{captured}},
		"the provider refuses to capture": {
			capturing, Tell{capture, Answer{Kind: Refused, Code: "expired"}}, []events.Event{events.PaymentCaptureFailed{OrderID: "o", RequestID: "c1", Code: "expired"}}},
		"the provider does not know what it had authorised and is to capture": {
			capturing, Tell{capture, Answer{Kind: Missing}}, []events.Event{forgotten("c1", events.OperationCapture)}},
		"a capture that is accepted and not told is unknown": {
			capturing, Tell{capture, Answer{Kind: Done, Account: heldAccount}}, []events.Event{events.PaymentOutcomeUnknown{
				OrderID: "o", RequestID: "c1", Op: events.OperationCapture, Error: "the provider's account does not tell: it is authorised"}}},
		"the provider voided what was to be captured": {
			capturing, Tell{capture, Answer{Kind: Done, Account: voidedAccount}}, []events.Event{events.PaymentCaptureFailed{OrderID: "o", RequestID: "c1", Code: "voided"}}},
		"the provider refuses to capture what it has captured": {
			capturing, Tell{capture, Answer{Kind: Refused, Code: "already_captured", Account: paidAccount}}, []events.Event{captured}},
		"nobody knows of the capture": {
			capturing, Tell{capture, timeout}, []events.Event{events.PaymentOutcomeUnknown{OrderID: "o", RequestID: "c1", Op: events.OperationCapture, Error: "timeout"}}},
		"a check of a capture asks again for the same": {
			append(slices.Clone(capturing), events.PaymentOutcomeUnknown{OrderID: "o", RequestID: "c1", Op: events.OperationCapture}), captureCheck,
			[]events.Event{events.CaptureAttempted{OrderID: "o", RequestID: "k2", Amount: ten, Key: "p:capture", Attempt: 2}}},
		"a check of a capture that was never asked for finds nothing": {
			held, captureCheck, []events.Event{events.PaymentCaptureFailed{OrderID: "o", RequestID: "k2", Code: "not_attempted"}}},

		"a void of what never was leaves its mark": {
			nil, void, []events.Event{nothingHeld}},
		"a void of what was declined holds nothing": {
			append(slices.Clone(asked), declined), void, []events.Event{nothingHeld}},
		"a void of what is unknown is asked for": {
			append(slices.Clone(asked), unknown), void, []events.Event{voidAttempted}},
		"a void is stored before it is asked for": {
			held, void, []events.Event{voidAttempted}},
		"a void of what is captured is refused": {
			paid, void, []events.Event{events.PaymentVoidFailed{OrderID: "o", RequestID: "v1", Code: "captured"}}},
		"a void again is answered": {
			append(slices.Clone(voiding), voided), again(void), []events.Event{events.PaymentVoided{OrderID: "o", RequestID: "v1-again"}}},
		"a void of nothing again is answered": {
			[]events.Event{nothingHeld}, again(void), []events.Event{events.PaymentVoided{OrderID: "o", RequestID: "v1-again", NothingHeld: true}}},
		"the provider voids": {
			voiding, Tell{void, Answer{Kind: Done, Account: voidedAccount}}, []events.Event{voided}},
		"the provider has nothing to void": {
			append(slices.Clone(asked), voidAttempted), Tell{void, Answer{Kind: Done, Account: Account{Status: "voided"}}}, []events.Event{nothingHeld}},
		"the provider does not know what to void": {
			append(slices.Clone(asked), voidAttempted), Tell{void, Answer{Kind: Missing}}, []events.Event{nothingHeld}},
		"the provider refuses to void": {
			voiding, Tell{void, Answer{Kind: Refused, Code: "no", Account: heldAccount}}, []events.Event{events.PaymentVoidFailed{OrderID: "o", RequestID: "v1", Code: "no"}}},
		"the provider refuses to void what it has voided": {
			voiding, Tell{void, Answer{Kind: Refused, Code: "already_voided", Account: voidedAccount}}, []events.Event{voided}},
		"a void finds a capture that nobody knew of": {
			append(slices.Clone(asked), voidAttempted), Tell{void, Answer{Kind: Refused, Code: "already_captured", Account: paidAccount}},
			[]events.Event{
				events.PaymentAuthorized{OrderID: "o", RequestID: "v1", AuthID: "auth", Amount: ten, ExpiresAt: expires},
				events.PaymentCaptured{OrderID: "o", RequestID: "v1", CaptureID: "cap", Amount: ten},
				events.PaymentVoidFailed{OrderID: "o", RequestID: "v1", Code: "captured"},
			}},
		"a void that was refused is asked for by the next key": {
			append(slices.Clone(voiding), voidFailed), again(void),
			[]events.Event{events.VoidAttempted{OrderID: "o", RequestID: "v1-again", Key: "p:void:2", Attempt: 1}}},
		"a void whose outcome is unknown keeps its key": {
			append(slices.Clone(voiding), voidUnknown), again(void),
			[]events.Event{events.VoidAttempted{OrderID: "o", RequestID: "v1-again", Key: "p:void", Attempt: 2}}},
		"a void that was refused once keeps its next key while it is unknown": {
			append(slices.Clone(voiding), voidFailed,
				events.VoidAttempted{OrderID: "o", RequestID: "v2", Key: "p:void:2", Attempt: 1},
				events.PaymentOutcomeUnknown{OrderID: "o", RequestID: "v2", Op: events.OperationVoid, Error: "timeout"}), again(void),
			[]events.Event{events.VoidAttempted{OrderID: "o", RequestID: "v1-again", Key: "p:void:2", Attempt: 2}}},
		"the provider does not know what it had authorised and is to void": {
			voiding, Tell{void, Answer{Kind: Missing}}, []events.Event{forgotten("v1", events.OperationVoid)}},
		"the provider voids something else than what it had authorised": {
			voiding, Tell{void, Answer{Kind: Done, Account: Account{Status: "voided"}}}, []events.Event{events.PaymentOutcomeUnknown{
				OrderID: "o", RequestID: "v1", Op: events.OperationVoid, Error: "the provider's account does not tell: it is voided"}}},
		"a void that is accepted and not told is unknown": {
			voiding, Tell{void, Answer{Kind: Done, Account: heldAccount}}, []events.Event{events.PaymentOutcomeUnknown{
				OrderID: "o", RequestID: "v1", Op: events.OperationVoid, Error: "the provider's account does not tell: it is authorised"}}},
		"nobody knows of the void": {
			voiding, Tell{void, timeout}, []events.Event{events.PaymentOutcomeUnknown{OrderID: "o", RequestID: "v1", Op: events.OperationVoid, Error: "timeout"}}},

		"a refund is stored before it is asked for": {
			paid, refund, []events.Event{refundAttempted}},
		"a refund of nothing is refused": {
			held, refund, []events.Event{events.PaymentRefundFailed{OrderID: "o", RequestID: "r1", RefundID: "rf1", Code: "nothing_captured"}}},
		"refunds under way count": {
			refunding, Ask{PaymentID: "p", OrderID: "o", RequestID: "r2", Op: events.OperationRefund, RefundID: "rf2", Amount: five},
			[]events.Event{events.PaymentRefundFailed{OrderID: "o", RequestID: "r2", RefundID: "rf2", Code: "exceeds_captured"}}},
		"a refund keeps its amount": {
			refunding, of(again(refund), five), []events.Event{events.PaymentRefundFailed{OrderID: "o", RequestID: "r1-again", RefundID: "rf1", Code: "amount_changed"}}},
		"a refund of a disputed payment is refused": {
			append(slices.Clone(paid), disputed), refund, []events.Event{events.PaymentRefundFailed{OrderID: "o", RequestID: "r1", RefundID: "rf1", Code: "disputed"}}},
		"a refund that is under way when the payment is disputed is not said to have failed": {
			append(slices.Clone(refunding), disputed), again(refund),
			[]events.Event{events.RefundAttempted{OrderID: "o", RequestID: "r1-again", RefundID: "rf1", Amount: six, Key: "p:refund:rf1", Attempt: 2}}},
		"a refund of another currency is refused": {
			paid, of(refund, usd("1.00")), []events.Event{events.PaymentRefundFailed{OrderID: "o", RequestID: "r1", RefundID: "rf1", Code: "currency_mismatch"}}},
		"an unknown refund is asked for again by the same key": {
			refunding, again(refund),
			[]events.Event{events.RefundAttempted{OrderID: "o", RequestID: "r1-again", RefundID: "rf1", Amount: six, Key: "p:refund:rf1", Attempt: 2}}},
		"the provider refunds": {
			refunding, Tell{refund, Answer{Kind: Done, Account: refundedAccount}}, []events.Event{refunded}},
		"a refund that the provider counts and has yet to tell of is not counted": {
			refunding, Tell{Ask{PaymentID: "p", OrderID: "o", RequestID: "r2", Op: events.OperationRefund, RefundID: "rf2", Amount: four}, Answer{Kind: Done, Account: twiceRefunded}},
			[]events.Event{events.PaymentRefunded{OrderID: "o", RequestID: "r2", RefundID: "rf2", Amount: four, TotalRefunded: four}}},
		"the provider refuses to refund what it has refunded": {
			refunding, Tell{refund, Answer{Kind: Refused, Code: "refund_id_reused", Account: refundedAccount}}, []events.Event{refunded}},
		"a refund again is answered": {
			append(slices.Clone(refunding), refunded), again(refund),
			[]events.Event{events.PaymentRefunded{OrderID: "o", RequestID: "r1-again", RefundID: "rf1", Amount: six, TotalRefunded: six}}},
		"the provider refuses to refund": {
			refunding, Tell{refund, Answer{Kind: Refused, Code: "no"}}, []events.Event{events.PaymentRefundFailed{OrderID: "o", RequestID: "r1", RefundID: "rf1", Code: "no"}}},
		"the provider does not know what it had captured and is to refund": {
			refunding, Tell{refund, Answer{Kind: Missing}}, []events.Event{forgotten("r1", events.OperationRefund)}},
		"a refund that was refused is asked for by the next key": {
			append(slices.Clone(refunding), refundFailed), again(refund),
			[]events.Event{events.RefundAttempted{OrderID: "o", RequestID: "r1-again", RefundID: "rf1", Amount: six, Key: "p:refund:rf1:2", Attempt: 1}}},
		"a refund that we refused keeps its key": {
			append(slices.Clone(paid), refundFailed), again(refund),
			[]events.Event{events.RefundAttempted{OrderID: "o", RequestID: "r1-again", RefundID: "rf1", Amount: six, Key: "p:refund:rf1", Attempt: 1}}},
		"a refund that the provider accepts and does not tell is unknown": {
			refunding, Tell{refund, Answer{Kind: Done, Account: paidAccount}}, []events.Event{events.PaymentOutcomeUnknown{
				OrderID: "o", RequestID: "r1", Op: events.OperationRefund, Error: "the provider's account does not tell: it is captured"}}},
		"a refund of another amount than was asked for is told as it is": {
			append(slices.Clone(paid), events.RefundAttempted{OrderID: "o", RequestID: "r1", RefundID: "rf1", Amount: five, Key: "p:refund:rf1", Attempt: 1}),
			Tell{of(refund, five), Answer{Kind: Done, Account: refundedAccount}}, []events.Event{refunded}},

		"an account without an authorisation is no decline": {
			append(slices.Clone(asked), unknown), Tell{check, Answer{Kind: Done, Account: Account{Status: "pending"}}},
			[]events.Event{events.PaymentOutcomeUnknown{OrderID: "o", RequestID: "k1", Op: events.OperationAuthorize, Error: "the provider's account does not tell: it is pending"}}},
		"a dispute without an amount is of what was captured": {
			paid, News{PaymentID: "p", EventID: "e", Disputed: true},
			[]events.Event{events.PaymentDisputed{OrderID: "o", DisputeID: "e", Amount: ten, Reason: "dispute", PSPEventID: "e"}}},

		"a webhook that is faster than the answer answers": {
			asked, News{PaymentID: "p", EventID: "e", Account: heldAccount},
			[]events.Event{events.PaymentAuthorized{OrderID: "o", RequestID: "a1", AuthID: "auth", Amount: ten, ExpiresAt: expires, PSPEventID: "e"}}},
		"a webhook that is slower is no news": {
			held, News{PaymentID: "p", EventID: "e", Account: heldAccount}, nil},
		"a webhook of before the void is no news": {
			append(slices.Clone(voiding), voided), News{PaymentID: "p", EventID: "e", Account: heldAccount}, nil},
		"a webhook of an authorisation that was found by voiding it is no news": {
			append(slices.Clone(asked), voidAttempted, voided), News{PaymentID: "p", EventID: "e", Account: heldAccount}, nil},
		"a webhook of an authorisation after a void of nothing is a late effect": {
			[]events.Event{nothingHeld}, News{PaymentID: "p", EventID: "e", Account: heldAccount},
			[]events.Event{events.PaymentAuthorized{OrderID: "o", AuthID: "auth", Amount: ten, ExpiresAt: expires, PSPEventID: "e"}}},
		"a webhook settles an unknown capture": {
			append(slices.Clone(capturing), events.PaymentOutcomeUnknown{OrderID: "o", RequestID: "c1", Op: events.OperationCapture}),
			News{PaymentID: "p", EventID: "e", Account: paidAccount},
			[]events.Event{events.PaymentCaptured{OrderID: "o", CaptureID: "cap", Amount: ten, PSPEventID: "e"}}},
		"a timeout after the webhook is known after all": {
			append(slices.Clone(capturing), events.PaymentCaptured{OrderID: "o", CaptureID: "cap", Amount: ten, PSPEventID: "e"}), Tell{capture, timeout},
			[]events.Event{captured}},
		"a webhook tells a refund made by hand": {
			paid, News{PaymentID: "p", EventID: "e", Account: refundedAccount},
			[]events.Event{events.PaymentRefunded{OrderID: "o", RefundID: "rf1", Amount: six, TotalRefunded: six, PSPEventID: "e", Unasked: true}}},
		"a webhook tells a refund that was refused": {
			append(slices.Clone(refunding), events.Event(refundFailed)), News{PaymentID: "p", EventID: "e", Account: refundedAccount},
			[]events.Event{events.PaymentRefunded{OrderID: "o", RefundID: "rf1", Amount: six, TotalRefunded: six, PSPEventID: "e"}}},
		"a webhook tells a decline": {
			asked, News{PaymentID: "p", EventID: "e", Account: Account{Status: "declined", DeclineCode: "no", Class: events.DeclineSoft}},
			[]events.Event{events.PaymentDeclined{OrderID: "o", RequestID: "a1", Code: "no", Class: events.DeclineSoft, PSPEventID: "e"}}},
		"a webhook tells a void made by hand": {
			held, News{PaymentID: "p", EventID: "e", Account: voidedAccount},
			[]events.Event{events.PaymentVoided{OrderID: "o", PSPEventID: "e"}}},
		"a webhook tells a dispute": {
			paid, News{PaymentID: "p", EventID: "e", Disputed: true, Account: paidAccount},
			[]events.Event{events.PaymentDisputed{OrderID: "o", DisputeID: "e", Amount: ten, Reason: "dispute", PSPEventID: "e"}}},
		"what is held until its time has ended has expired": {
			held, Expire{At: expires, Answer: Answer{Kind: Done, Account: heldAccount}}, []events.Event{events.AuthorizationExpired{OrderID: "o"}}},
		"what the provider does not know has expired": {
			held, Expire{At: expires, Answer: Answer{Kind: Missing}}, []events.Event{events.AuthorizationExpired{OrderID: "o"}}},
		"what the provider does not know has not expired while a capture may have been made": {
			append(slices.Clone(capturing), events.PaymentOutcomeUnknown{OrderID: "o", RequestID: "c1", Op: events.OperationCapture}),
			Expire{At: expires, Answer: Answer{Kind: Missing}}, nil},
		"nothing expires before its time": {
			held, Expire{At: expires.Add(-1), Answer: Answer{Kind: Done, Account: heldAccount}}, nil},
		"what is captured does not expire": {
			paid, Expire{At: expires, Answer: Answer{Kind: Done, Account: paidAccount}}, nil},
		"a capture that nobody told us of comes to light in the end": {
			capturing, Expire{At: expires, Answer: Answer{Kind: Done, Account: paidAccount}},
			[]events.Event{events.PaymentCaptured{OrderID: "o", RequestID: "c1", CaptureID: "cap", Amount: ten}}},
		"a void that nobody told us of comes to light in the end": {
			held, Expire{At: expires, Answer: Answer{Kind: Done, Account: voidedAccount}}, []events.Event{events.PaymentVoided{OrderID: "o"}}},
		"an authorisation may be given more time": {
			held, Expire{At: expires, Answer: Answer{Kind: Done, Account: longerAccount}},
			[]events.Event{events.PaymentAuthorized{OrderID: "o", AuthID: "auth", Amount: ten, ExpiresAt: longerAccount.ExpiresAt}}},
	}
	samples := esjstest.Samples[Command, events.Event]{Events: esjstest.ReadSamples(t, codec, "../../pkg/events/testdata/*.json")}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		c := cases[name]
		t.Run(name, func(t *testing.T) {
			esjstest.Given(t, aggregate, c.given...).When(c.when).Then(c.then...).AndAgain()
		})
		samples.Commands = append(samples.Commands, c.when)
		samples.Histories = append(samples.Histories, c.given)
	}
	esjstest.CheckAggregate(t, aggregate, samples)
}

func usd(amount string) events.Money { return events.MustMoney(amount, "USD") }

// What a PSP tells of a payment cannot be more than, or something else than, what
// was to be paid.
// A refund that was under way when the payment was disputed is looked for at the provider, and not sent again.
func TestARefundOfADisputedPaymentIsNotSent(t *testing.T) {
	refund := Ask{PaymentID: "p", OrderID: "o", RequestID: "r1", Op: events.OperationRefund, RefundID: "rf1", Amount: eur("6.00")}
	s := Apply(State{}, events.PaymentCaptured{OrderID: "o", RequestID: "c1", CaptureID: "cap", Amount: eur("10.00")})
	s = Apply(s, events.RefundAttempted{OrderID: "o", RequestID: "r1", RefundID: "rf1", Amount: eur("6.00"), Key: "p:refund:rf1", Attempt: 1})
	if call, needed := refund.Call(s); !needed || call.Check {
		t.Errorf("before the dispute the call is %+v, %t", call, needed)
	}
	s = Apply(s, events.PaymentDisputed{OrderID: "o", DisputeID: "e", Amount: eur("10.00")})
	if call, needed := refund.Call(s); !needed || !call.Check {
		t.Errorf("after the dispute the call is %+v, %t", call, needed)
	}
}

func TestNewsThatContradictThePaymentAreRefused(t *testing.T) {
	paid := State{OrderID: "o", Status: StatusAuthorized, Amount: eur("10.00"), Authorized: eur("10.00"), AuthID: "a"}
	for name, c := range map[string]struct {
		account Account
		code    string
	}{
		"as it is":                    {Account{AuthID: "a", Authorized: eur("10.00"), CaptureID: "c", Captured: eur("10.00"), Refunded: eur("10.00")}, ""},
		"a part is captured":          {Account{CaptureID: "c", Captured: eur("4.00")}, ""},
		"no amounts":                  {Account{Status: "voided"}, ""},
		"more captured":               {Account{CaptureID: "c", Captured: eur("10.01")}, "amount_mismatch"},
		"captured less than nothing":  {Account{CaptureID: "c", Captured: eur("-10.00")}, "amount_mismatch"},
		"more authorised":             {Account{AuthID: "b", Authorized: eur("10.01")}, "amount_mismatch"},
		"less authorised":             {Account{AuthID: "b", Authorized: eur("9.99")}, "amount_mismatch"},
		"more refunded than captured": {Account{Captured: eur("4.00"), Refunded: eur("4.01")}, "amount_mismatch"},
		"a refund below zero":         {Account{Captured: eur("4.00"), Refunds: []Refund{{ID: "r", Amount: eur("-1.00")}}}, "amount_mismatch"},
		"captured in dollars":         {Account{CaptureID: "c", Captured: usd("10.00")}, "currency_mismatch"},
		"authorised in dollars":       {Account{AuthID: "b", Authorized: usd("10.00")}, "currency_mismatch"},
		"refunded in dollars":         {Account{Refunds: []Refund{{ID: "r", Amount: usd("1.00")}}}, "currency_mismatch"},
		"a refund of no capture":      {Account{Refunds: refunds("4.00")}, "amount_mismatch"},
		"refunds within the capture":  {Account{CaptureID: "c", Captured: eur("8.00"), Refunds: refunds("4.00", "4.00")}, ""},
		"refunds above the capture":   {Account{CaptureID: "c", Captured: eur("8.00"), Refunds: refunds("4.00", "4.01")}, "amount_mismatch"},
		"a dispute of nothing":        {Account{}, "amount_mismatch"},
	} {
		decided, err := Decide(paid, News{PaymentID: "pay-1", EventID: "evt-1", Account: c.account, Disputed: name == "a dispute of nothing"})
		var no *esjs.Rejection
		switch refused := errors.As(err, &no); {
		case refused && (no.Code != c.code || no.Status != 422 || len(decided) > 0):
			t.Errorf("%s: %+v, %v", name, no, decided)
		case refused && !strings.HasPrefix(no.Message, "event evt-1 of payment pay-1: "):
			t.Errorf("%s: an operator does not learn of what: %s", name, no.Message)
		case !refused && (err != nil || c.code != ""):
			t.Errorf("%s: %v, want %q", name, err, c.code)
		}
	}
}

// refunds are as many as there are amounts, as the PSP tells them.
func refunds(amounts ...string) (all []Refund) {
	for i, amount := range amounts {
		all = append(all, Refund{ID: strconv.Itoa(i), Amount: eur(amount), Done: true})
	}
	return all
}

// A refund that is known is not told again with another amount, and those that are
// known count when there is news of another one.
func TestNewsOfRefundsCannotExceedWhatIsKnown(t *testing.T) {
	s := State{OrderID: "o", Status: StatusCaptured, Amount: eur("10.00"), Authorized: eur("10.00"), AuthID: "a", CaptureID: "c", Captured: eur("10.00"),
		Refunds: refunds("6.00"), Refunded: eur("6.00")}
	for name, c := range map[string]struct {
		told []Refund
		code string
	}{
		"the same again":         {refunds("6.00"), ""},
		"another amount":         {refunds("5.00"), "amount_mismatch"},
		"one more":               {[]Refund{{ID: "x", Amount: eur("4.00"), Done: true}}, ""},
		"one more, and too much": {[]Refund{{ID: "x", Amount: eur("4.01"), Done: true}}, "amount_mismatch"},
	} {
		decided, err := Decide(s, News{PaymentID: "p", EventID: "e", Account: Account{Refunds: c.told}})
		var no *esjs.Rejection
		if errors.As(err, &no) != (c.code != "") || no != nil && (no.Code != c.code || len(decided) > 0) {
			t.Errorf("%s: %v, %v", name, decided, err)
		}
	}
}

func TestNewsOfAPaymentThatIsNotOursAreRefused(t *testing.T) {
	_, err := Decide(State{}, News{PaymentID: "p", EventID: "e"})
	var r *esjs.Rejection
	if !errors.As(err, &r) || r.Code != "unknown_payment" || r.Status != 404 {
		t.Errorf("the error is %v", err)
	}
}

func TestAPaymentRemembersABoundedNumberOfRequests(t *testing.T) {
	var s State
	for i := range 3 * maxAnswered {
		s = Apply(s, events.PaymentVoided{OrderID: "o", RequestID: string(rune('A' + i)), NothingHeld: true})
	}
	if len(s.Answered) != maxAnswered || !s.isAnswered(string(rune('A'+3*maxAnswered-1))) {
		t.Errorf("remembers %d", len(s.Answered))
	}
}

// People may ask for a void or a refund that is refused each hour for as long as they
// like: what a payment remembers of it does not grow.
func TestWhatIsRefusedForEverTakesNoRoom(t *testing.T) {
	s := Apply(State{}, events.PaymentInitiated{OrderID: "o", RequestID: "a", Amount: eur("10.00")})
	s = Apply(s, events.AuthorizationAttempted{OrderID: "o", RequestID: "a", Key: "p:authorize", Attempt: 1})
	s = Apply(s, events.PaymentAuthorized{OrderID: "o", RequestID: "a", AuthID: "auth", Amount: eur("10.00")})
	const asked = 1000
	for n := range asked {
		void := Ask{PaymentID: "p", OrderID: "o", RequestID: "v" + strconv.Itoa(n), Op: events.OperationVoid}
		for _, c := range []Command{void, Tell{void, Answer{Kind: Refused, Code: "no"}}} {
			caused, err := Decide(s, c)
			if err != nil || len(caused) != 1 {
				t.Fatalf("%+v caused %+v, %v", c, caused, err)
			}
			s = Apply(s, caused[0])
		}
	}
	if len(s.Attempts) != 1 || len(s.Open) != 0 || len(s.Answered) > maxAnswered {
		t.Errorf("%d attempts, %d of them open, %d answers", len(s.Attempts), len(s.Open), len(s.Answered))
	}
	next := Ask{PaymentID: "p", RequestID: "last", Op: events.OperationVoid}
	if key := next.key(s); key != "p:void:"+strconv.Itoa(asked+1) {
		t.Errorf("the next key is %s", key)
	}
}
