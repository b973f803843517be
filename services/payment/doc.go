// Package payment moves money: it turns the requests that fulfilment publishes
// into calls to the payment service provider (PSP), and what the PSP says into
// events of one aggregate per payment.
//
//	fulfilment event ──▶ Ask ── decide ──▶ … Attempted, with the key   (stored first)
//	                                             │
//	                                       HTTP to the PSP, by that key
//	                                             │
//	                     Tell ── decide ──▶ PaymentCaptured, … Declined, … OutcomeUnknown
//
// Because the attempt is stored before the call and the key never changes, a
// crash at any moment leads to the same call again, and the PSP does it once.
//
// Every request is answered by an event that carries its request_id, also when
// there is nothing to do; the same request again is silent. An outcome that
// nobody knows is said to be unknown, never guessed.
//
//	                    ┌────────────── void ──────────────┐
//	                    │                                  ▼
//	(none) ──▶ initiated ──▶ authorized ──▶ captured    voided
//	                    │         │            │
//	                    ▼         ▼            ▼
//	                declined   expired    refunded, in parts
package payment
