// Package fulfilment is the process that carries one submitted order from
// reservation to completion, or undoes everything when that is not possible.
//
//	NEW ─ RESERVING ─ AUTHORIZING ─ CONFIRMING ─ BOOKING ─ CAPTURING ─ DISPATCHING ─ COMPLETING ─ COMPLETED
//	          │            │             │          │          │ pivot: from here on only forward
//	          └────────────┴──────┬──────┴──────────┴──────────┘
//	                              ▼
//	      COMP_SHIPMENT ─ COMP_PAYMENT ─ COMP_STOCK ─ COMP_ORDER ─ COMPENSATED
//
// It commands nobody. It appends facts of the form "… Requested" to
// ev.fulfilment.<order id>, and the participants answer with events of their own.
//
// Read the files in this order: states.go names the states, table.go and
// table_undo.go say what happens in them, row by row, with the guards of guards.go
// and the events of forward.go and undo.go; state.go folds those events; react.go finds the row;
// process.go ties it to the event store. docs/saga.md is generated from the table.
//
// # Identities
//
// A request id is "<order id>/<step>/<n>", n counting the requests of this step
// over the whole fulfilment, from 1. Payment, shipment and refund ids are version 5
// UUIDs of order id, kind and number. Both are functions of the fulfilment's own
// events, so the same fold asks the same question under the same name.
//
// # Attention
//
// AttentionRequired lays "somebody must look" over a state and does not change
// it: ATTENTION(s). An event that the state still waits for is handled as always,
// and leaving the state clears the attention. Where asking again is harmless,
// it goes on at the policy's hourly pace.
package fulfilment
