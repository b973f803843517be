//go:build !race

package simulation

// generated is how many orders are, unless a flag says otherwise.
const generated = 10_000
