package refund

import (
	"slices"
	"strings"

	"github.com/b144f99b/orderflow/pkg/events"
)

// Row is one line of the transition table: in one of States, on one of Inputs,
// when Guard holds, Facts are appended. They imply Next, which a test checks.
type Row struct {
	ID     string // "R9"
	States []Status
	Inputs []string // event types, timerStep, and what operators do
	Guard  Guard
	Facts  []Fact
	Next   Status // "" stays
	Remark string

	// Counted rows change nothing and are told to the observer, as are the
	// pairs that no row knows.
	Counted bool
}

// Guard is a named condition on a case; the zero Guard always holds.
type Guard struct {
	Name  string // as the table shows it
	Holds func(Case) bool
}

func (g Guard) holds(c Case) bool { return g.Holds == nil || g.Holds(c) }

func not(g Guard, name string) Guard {
	return Guard{name, func(c Case) bool { return !g.Holds(c) }}
}

func both(a, b Guard) Guard {
	return Guard{a.Name + " and " + b.Name, func(c Case) bool { return a.Holds(c) && b.Holds(c) }}
}

var (
	attemptsUsedUp = Guard{"attempts used up", func(c Case) bool {
		return c.State.counted(c.State.step()) >= c.Policy.Compensate.Attempts
	}}
	attemptsLeft = not(attemptsUsedUp, "attempts left")
	attention    = Guard{"has attention", func(c Case) bool { return c.State.Attention != "" }}
	noAttention  = not(attention, "no attention yet")

	captured   = Guard{"a capture", func(c Case) bool { return the[events.LateEffectDetected](c).Amount.Sign() > 0 }}
	authorized = not(captured, "an authorisation")

	amountAsked = Guard{"the amount that was asked for", func(c Case) bool {
		return the[events.PaymentRefunded](c).Amount == c.State.Amount
	}}
	amountDiffers = not(amountAsked, "another amount")
	goods         = Guard{"goods to restock", func(c Case) bool { return len(c.State.Restock) > 0 }}
	noGoods       = not(goods, "nothing to restock")

	// The provider's first word about money that went back in another way. An
	// amount that people knew of when they decided is no news.
	paidTwice = Guard{"an operator had resolved it, first time", func(c Case) bool {
		return c.State.PaidBy != "" && !c.State.RefundedTwice && (!c.State.OtherRefunded || amountAsked.Holds(c))
	}}
	refundedTwice = Guard{"refunded twice", func(c Case) bool { return c.State.RefundedTwice }}

	capturedMeanwhile = Guard{"captured", func(c Case) bool { return the[events.PaymentVoidFailed](c).Code == "captured" }}
)

// unseen holds until attention was asked for with this code.
func unseen(code string) Guard {
	return Guard{"not seen yet", func(c Case) bool { return c.State.Attention != code }}
}

// Codes of AttentionRequired.
const (
	attentionNoAnswer = "no_answer"
	attentionRefused  = "refund_refused"
	attentionAmount   = "refunded_amount_differs"
	attentionRestock  = "restock_refused"
	attentionTwice    = "refunded_twice"
)

// timerStep is the input that is no event: the step's answer is overdue.
const timerStep = "timer.step"

var started = Statuses()[1:]

// Table returns the transition table. Of the rows of one state and input the
// first whose guard holds applies; a pair without such a row changes nothing.
func Table() []Row {
	in := func(states ...Status) []Status { return states }
	on := func(inputs ...string) []string { return inputs }
	facts := func(f ...Fact) []Fact { return f }
	rows := []Row{
		{ID: "R1", States: in(New), Inputs: on("OrderRefundRequested"), Facts: facts(refundOpened, refundRequested), Next: Refunding},
		{ID: "R2a", States: in(New), Inputs: on("LateEffectDetected"), Guard: captured,
			Facts: facts(refundOpened, refundRequested), Next: Refunding},
		{ID: "R2b", States: in(New), Inputs: on("LateEffectDetected"), Guard: authorized,
			Facts: facts(refundOpened, refundVoidRequested), Next: Voiding},
		{ID: "R3", States: started, Inputs: on("OrderRefundRequested", "LateEffectDetected"), Remark: "a duplicate"},

		// Give the money back.
		{ID: "R4", States: in(Refunding), Inputs: on("PaymentRefunded"), Guard: both(amountAsked, noGoods),
			Facts: facts(refundPaid, refundSettled(events.RefundOutcomeRefunded)), Next: Settled},
		{ID: "R5", States: in(Refunding), Inputs: on("PaymentRefunded"), Guard: both(amountAsked, goods),
			Facts: facts(refundPaid, restockRequested), Next: Restocking},
		{ID: "R6", States: in(Refunding), Inputs: on("PaymentRefunded"), Guard: both(amountDiffers, unseen(attentionAmount)),
			Facts: facts(attentionRequired(attentionAmount)), Remark: "never guess about money"},
		{ID: "R7", States: in(Refunding), Inputs: on("PaymentRefundFailed"), Guard: noAttention,
			Facts: facts(attentionAndAgain(attentionRefused))},
		{ID: "R8", States: in(Refunding), Inputs: on("PaymentRefundFailed", "PaymentOutcomeUnknown"), Remark: "the step timer asks again"},

		// Let go of an authorisation that came late.
		{ID: "R10", States: in(Voiding), Inputs: on("PaymentVoided"), Facts: facts(refundSettled(events.RefundOutcomeVoided)), Next: Settled},
		{ID: "R11", States: in(Voiding), Inputs: on("PaymentVoidFailed"), Guard: capturedMeanwhile,
			Facts: facts(refundSettled(events.RefundOutcomeCaptured)), Next: Settled, Remark: "the late capture has a refund of its own"},
		{ID: "R12", States: in(Voiding), Inputs: on("PaymentVoidFailed", "PaymentOutcomeUnknown"), Remark: "the step timer asks again"},

		// Put the goods back.
		{ID: "R13a", States: in(Restocking), Inputs: on("ReservationRestocked"), Guard: refundedTwice,
			Facts: facts(restockConfirmed, refundSettled(events.RefundOutcomeRefunded), refundedTwiceSeen), Next: Settled},
		{ID: "R13", States: in(Restocking), Inputs: on("ReservationRestocked"),
			Facts: facts(restockConfirmed, refundSettled(events.RefundOutcomeRefunded)), Next: Settled},
		{ID: "R14", States: in(Restocking), Inputs: on("ReservationRestockFailed"), Guard: both(restockExceeds, noAttention),
			Facts: facts(attentionAndAgain(attentionRestock))},
		{ID: "R15", States: in(Restocking), Inputs: on("ReservationRestockFailed"), Remark: "the goods are still on their way out: the step timer asks again"},

		// The provider gives back what an operator had resolved as paid in another way.
		{ID: "R9a", States: in(Restocking), Inputs: on("PaymentRefunded"), Guard: paidTwice,
			Facts: facts(lateEffectDetected), Remark: "R13a asks for attention"},
		{ID: "R9b", States: in(Settled), Inputs: on("PaymentRefunded"), Guard: paidTwice,
			Facts: facts(lateEffectDetected, refundedTwiceSeen), Remark: "never guess about money"},

		// What participants tell twice.
		{ID: "R16", States: in(Restocking, Settled), Inputs: on("PaymentRefunded", "PaymentRefundFailed", "PaymentOutcomeUnknown"), Remark: "told twice"},
		{ID: "R17", States: in(Settled), Inputs: on("PaymentVoided", "PaymentVoidFailed", "ReservationRestocked", "ReservationRestockFailed"), Remark: "told twice"},
		{ID: "R0", States: in(New), Inputs: on("PaymentRefunded"), Remark: "fulfilment gave money back, or asks people who did"},

		// All other news of money and goods, of which a test demands that each finds a row in each
		// state: nothing follows, and this is why.
		{ID: "R21", States: in(Refunding), Inputs: on("PaymentRefunded"), Remark: "another amount, of which people know"},
		{ID: "R22", States: in(New), Counted: true, Remark: "an answer to what was never asked",
			Inputs: on("PaymentRefundFailed", "PaymentOutcomeUnknown", "PaymentVoided", "PaymentVoidFailed", "ReservationRestocked", "ReservationRestockFailed")},
		{ID: "R23", States: in(Voiding), Inputs: on("PaymentRefunded", "PaymentRefundFailed"), Counted: true,
			Remark: "no refund is asked for: what was captured meanwhile has one of its own"},
		{ID: "R24", States: in(Refunding, Restocking), Inputs: on("PaymentVoided", "PaymentVoidFailed"), Counted: true, Remark: "no void is asked for: it was captured"},
		{ID: "R25", States: in(Refunding, Voiding), Inputs: on("ReservationRestocked", "ReservationRestockFailed"), Counted: true,
			Remark: "no goods are asked for before the money is back"},
	}

	// Every step is repeated, at first often and then slowly.
	for i, step := range asking {
		letter := string(rune('a' + i))
		repeat := facts(stepTimedOut, step.ask)
		rows = append(rows,
			Row{ID: "R18" + letter, States: in(step.status), Inputs: on(timerStep), Guard: attemptsLeft, Facts: repeat},
			Row{ID: "R19" + letter, States: in(step.status), Inputs: on(timerStep), Guard: both(attemptsUsedUp, noAttention),
				Facts: facts(stepTimedOut, attentionAndAgain(attentionNoAnswer))},
			Row{ID: "R20" + letter, States: in(step.status), Inputs: on(timerStep), Guard: both(attemptsUsedUp, attention), Facts: repeat},
		)
	}
	return append(rows, operatorRows()...)
}

// asking is what each state asks for.
var asking = []struct {
	status Status
	ask    Fact
}{{Refunding, refundRequested}, {Voiding, refundVoidRequested}, {Restocking, restockRequested}}

// inputs are the event types that the table knows.
func inputs(rows []Row) (types []string) {
	for _, row := range rows {
		for _, input := range row.Inputs {
			if !strings.Contains(input, ".") && !slices.Contains(types, input) {
				types = append(types, input)
			}
		}
	}
	return types
}
