// Package sales is the view of what was sold: per product, day and currency,
// booked when an order is paid, less what went back. It reads the orders' events
// alone.
package sales
