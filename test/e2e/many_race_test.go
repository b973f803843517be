//go:build race

package e2e

// How much is done at once, unless flags say otherwise. With the race detector it takes four times the processors; CI also
// runs "make load", which does without it.
const (
	manyOrders = 60
	manyPairs  = 240
)
