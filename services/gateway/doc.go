// Package gateway is the HTTP edge, for people and programs that do not speak
// NATS. It holds no state: it turns HTTP requests into commands and queries, in the
// name of whoever has signed in, and their answers into HTTP, with the status and
// the code that the service gave. docs/http.md tells how to use it.
//
// One table, [Service.Routes], serves the API and is described at /openapi.json.
//
//   - A request's way: who is it (package signin), does he ask too often, may he
//     call this endpoint, may he see this order (package desk), and then NATS.
//   - Idempotency-Key is the command's id, If-Match the version that is expected.
//   - Events as they happen are package live's.
//   - Every answer that is not a success is a problem (RFC 9457) with a stable code.
//
// The pages for people (package console) are on the same mux, have their handlers
// called by [Service.SignedIn], and ask and command at the same desk.
package gateway
