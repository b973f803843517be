// Package refund is the process that gives money back: what an order asked to
// refund after it was paid, and what took effect at the payment provider after
// an order had been undone, or after another card took the payment's place.
//
//	NEW ─┬─ REFUNDING ─┬────────────── SETTLED
//	     │             └─ RESTOCKING ─ SETTLED
//	     └─ VOIDING ────────────────── SETTLED
//
// There is one instance for each refund, on ev.refund.<refund id>; an order may
// have several, in parts. It only goes forward: every step is asked for again, as
// the same effect, until it is done, at first often and then each hour with the
// attention of people.
//
// Read table.go first: it says what happens, row by row. facts.go makes the events,
// state.go folds them, react.go finds the row, and process.go ties it to the event
// store. docs/refund.md is generated from the table. The words are those of package
// fulfilment, as are the policies: a refund goes by Compensate and Attention of
// the one whose version RefundOpened stores.
//
// # Identities
//
// A request id is "refund/<refund id>/<step>/<n>", n counting from 1. The refund id is
// given by whoever opens the refund: the order, or fulfilment for a late effect.
package refund
