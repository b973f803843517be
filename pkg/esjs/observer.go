package esjs

import "time"

// Observer is told what a subscription, projection or process does: a binding
// to metrics and logs implements it. Methods are called concurrently and must
// not block.
type Observer interface {
	// Handled is called after every call of a handler; err is what it
	// returned, or nil. A panic of the handler is an error.
	Handled(subscription string, took time.Duration, err error)
	// Lag is called about once a second: how many commits are delivered or
	// stored and not finished, and the age of the oldest of them that was delivered.
	Lag(subscription string, events uint64, behind time.Duration)
	// ParkedKeys is called when the number of parked keys changes.
	ParkedKeys(subscription string, n int)
	// Active tells that this instance became, or no longer is, the one that
	// handles a leased subscription.
	Active(subscription string, active bool)
	// WindowFull tells that delivery waits, or goes on, because as many
	// commits as the window allows are delivered and not finished.
	WindowFull(subscription string, full bool)
	// TimerLate is called before a fired timer is handled: how much later than
	// its time the server fired it.
	TimerLate(subscription string, late time.Duration)
	// Unexpected is called for a pair of state and input that the process does
	// not know; see [UnexpectedError].
	Unexpected(process, state, input string)
}

// silent is the observer of those who gave none.
type silent struct{}

func (silent) Handled(string, time.Duration, error)    {}
func (silent) Lag(string, uint64, time.Duration)       {}
func (silent) ParkedKeys(string, int)                  {}
func (silent) Active(string, bool)                     {}
func (silent) WindowFull(string, bool)                 {}
func (silent) TimerLate(string, time.Duration)         {}
func (silent) Unexpected(process, state, input string) {}

// observerOr returns o, or an observer that does nothing.
func observerOr(o Observer) Observer {
	if o == nil {
		return silent{}
	}
	return o
}
