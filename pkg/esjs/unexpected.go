package esjs

import "fmt"

// UnexpectedError is a pair of state and input that a process does not know.
type UnexpectedError struct {
	State string
	Input string
}

func (e *UnexpectedError) Error() string {
	return fmt.Sprintf("esjs: %s is not expected in state %s", e.Input, e.State)
}

// Unexpected is what React returns for an input that the process does not know
// in this state. Such an event or timer changes nothing and is told to
// [Observer.Unexpected]; such a command is refused with a *[Rejection] whose code is "unexpected".
func Unexpected(state, input string) error { return &UnexpectedError{State: state, Input: input} }
