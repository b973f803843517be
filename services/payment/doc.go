// Package payment moves money: it turns the requests that fulfilment and refunds
// publish into calls to the payment service provider (PSP), and what the PSP says into
// events of one aggregate per payment.
//
//	a saga's event ───▶ Ask ── decide ──▶ … Attempted, with the key   (stored first)
//	                                             │
//	                                       HTTP to the PSP, by that key
//	                                             │
//	                     Tell ── decide ──▶ PaymentCaptured, … Declined, … OutcomeUnknown
//
// Because the attempt is stored before the call and the key never changes, a
// crash at any moment leads to the same call again, and the PSP does it once. PSPs
// forget keys after a day, so a repetition asks first what became of the payment,
// and repeats the call only when it says that nothing did.
//
// Every request is answered by an event that carries its request_id, also when
// there is nothing to do; the same request again is silent. An outcome that
// nobody knows is said to be unknown, never guessed.
//
// Now and then all payments are compared with the PSP's list. What differs is
// logged, measured (psp_reconcile_mismatch) and answered to query.payments.reconciliation;
// what an attempt without a known outcome would explain is pending at first.
//
//	                    ┌────────────── void ──────────────┐
//	                    │                                  ▼
//	(none) ──▶ initiated ──▶ authorized ──▶ captured    voided
//	                    │         │            │
//	                    ▼         ▼            ▼
//	                declined   expired    refunded, in parts
package payment
