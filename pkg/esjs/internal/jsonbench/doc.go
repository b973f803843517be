// Package jsonbench compares JSON libraries in what esjs would need them for:
// decoding commits as they are stored. It is a module of its own, because the
// libraries that were not chosen are needed nowhere else; docs/adr/0021-decoding.md
// has the decision.
package jsonbench
