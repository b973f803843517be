//go:build race

package esjstest

// loads are made by the clause on what loads leave behind. The race detector
// makes each ten times as long, so four deployments make 10,000 together.
const loads = 2500
