// Package gateway is the HTTP edge, for people and programs that do not speak
// NATS. It holds no state: it turns HTTP requests into commands and queries and
// their answers into HTTP, with the status and the code that the service gave.
//
//	GET  /v1/orders/{id}         the order as the read model shows it
//	POST /v1/orders/{id}/{verb}  a command; the body is its JSON, none means {}
//
// Headers of a request:
//
//   - Idempotency-Key is the command's id: repeated with the same key, a command
//     has no second effect and is answered as the first time. Who sends none is
//     given one in the answer.
//   - If-Match is the version that the order must have, as an ETag gave it: "3".
//   - X-Correlation-Id and traceparent travel with the events.
//
// Every answer that is not a success is a problem (RFC 9457) with a stable code.
package gateway
