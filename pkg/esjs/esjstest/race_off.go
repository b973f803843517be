//go:build !race

package esjstest

// loads are made by the clause on what loads leave behind.
const loads = 10_000
