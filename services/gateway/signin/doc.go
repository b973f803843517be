// Package signin finds out who a request comes from: it verifies the bearer
// token (a JWT of one issuer) that the request carries, and keeps the
// [Principal] that it names in the request's context.
package signin
