// Package partners is a scripted payment service provider (PSP) and a carrier
// behind one HTTP address, for development, demonstrations and tests. It knows
// nothing of our events, imports nothing of this repository and speaks only
// HTTP, so it can be replaced by real partners and trusted as a witness.
//
// # The PSP
//
//	POST /psp/v1/payments/{reference}/authorise   {"amount":{"amount":"24.90","currency":"EUR"},"method_ref":"card-ok"}
//	POST /psp/v1/payments/{reference}/capture     {"amount":{…}}
//	POST /psp/v1/payments/{reference}/void        {}
//	POST /psp/v1/payments/{reference}/refund      {"refund_id":"r-1","amount":{…}}
//	GET  /psp/v1/payments/{reference}             one payment; 404 "not_found" is authoritative
//	GET  /psp/v1/payments?after=&limit=           every payment by reference, for reconciliation
//
// # The carrier
//
//	POST /carrier/v1/shipments/{reference}/book      {"address_ref":"addr-1","country":"DE","items":[{"sku":"beans","quantity":2}]}
//	POST /carrier/v1/shipments/{reference}/dispatch  {"request_reference":"…"}
//	POST /carrier/v1/shipments/{reference}/cancel    {}
//	GET  /carrier/v1/shipments/{reference}           track
//	GET  /carrier/v1/shipments?after=&limit=         every shipment
//
// Every POST to a partner needs an Idempotency-Key header. The same key with
// the same request gets the first answer again; with another request it is
// refused with 422 "idempotency_key_reused". Keys are kept for as long as the
// ledger, or until DELETE /admin/keys forgets them as a day does. A definite no is 402 (declined) or 422, and its body says why:
// {"error":{"code","class","message"},"payment":{…}}. 409, 429 and 5xx say
// nothing about the effect.
//
// The PSP trusts its merchant: a second authorisation or capture under a new
// key is executed and counted. So its ledger shows a double capture instead
// of preventing it, which is what makes it a witness. A void of a reference
// that it has never seen is remembered and refuses a later authorisation.
//
// # Scripts
//
// A method or address reference, a country or an entry of POST /admin/faults
// decides how a request ends; see [Scripts] and [Fault]. Faults by rate follow a
// seed: {"seed":7,"faults":[{"partner":"psp","kind":"timeout","rate":0.1}]}. POST
// /admin/shipments/{reference}/{dispatched|delivered|lost} and POST
// /admin/payments/{reference}/disputed make the partner tell news; POST
// /admin/payments/{reference}/{authorised|captured} with an {"amount"} does to a
// payment that was declined what nobody expects any more, and POST
// /admin/payments/{reference}/refunded with an {"amount"} gives money of a captured one
// back that nobody asked for, as a person at the provider can.
//
// # Webhooks
//
// News are POSTed as JSON {"id","type","created","payment"|"shipment"} with
// the header "Webhook-Signature: t=<unix seconds>,v1=<hex>", where the second
// part is the HMAC-SHA256 of "<t>.<body>" under the shared secret. They are
// repeated with backoff until the answer is 2xx, also after a restart.
//
// # The ledger
//
// With Config.Dir every effect is a line of ledger.jsonl, written and synced
// before its answer is sent, and read again at the start: also after a kill -9
// of the whole program the ledger says what the partners did.
package partners
