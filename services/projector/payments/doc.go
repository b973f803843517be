// Package payments is the view of every payment: what is authorised, captured,
// refunded and outstanding, and what is not known. It reads the payments' own
// events alone.
package payments
