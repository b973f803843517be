// Package saga is the saga service: it runs the processes that lead through
// several services. There is one so far, fulfilment, which carries a submitted
// order to its end; see its package for the states and docs/saga.md for the table.
package saga
