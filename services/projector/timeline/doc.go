// Package timeline is the view of everything that happened to an order: every
// event of the order itself, its fulfilment, reservation, payments and
// shipments, in the order in which they were stored, each with its cause and
// with a sentence for people.
package timeline
