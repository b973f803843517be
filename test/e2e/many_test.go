//go:build !race

package e2e

// How much is done at once, unless flags say otherwise.
const (
	manyOrders = 200
	manyPairs  = 1_000
)
