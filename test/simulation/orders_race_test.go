//go:build race

package simulation

// generated is how many orders are, unless a flag says otherwise. The race detector makes each
// ten times as long; "make simulation", which CI runs, too, does without it.
const generated = 1000
