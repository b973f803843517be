// Package customers is the view of what became of every customer's orders, and
// what they paid. It reads the orders' events alone.
package customers
