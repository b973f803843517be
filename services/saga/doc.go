// Package saga is the saga service: it runs the processes that lead through
// several services. Fulfilment carries a submitted order to its end, and refund
// gives money back afterwards; see their packages for the states, and docs/saga.md
// and docs/refund.md for the tables.
package saga
