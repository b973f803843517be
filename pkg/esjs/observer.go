package esjs

import "time"

// Observer is told what a subscription, projection or process does: a binding
// to metrics implements it. Methods are called concurrently and must not block.
type Observer interface {
	Handled(subscription string, took time.Duration, err error)
	Lag(subscription string, events uint64, behind time.Duration)
	ParkedKeys(subscription string, n int)
	TimerLate(subscription string, late time.Duration)
	Unexpected(process, state, input string) // a pair that the transition table does not know
}
