package sagas

import (
	"maps"
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
)

// asks notes a request, and that its step has begun unless it had before.
func (f *fold) asks(step events.Step, state string, r events.Request) {
	if _, begun := f.Begun[step]; !begun {
		f.Begun = maps.Clone(f.Begun)
		if f.Begun == nil {
			f.Begun = make(map[events.Step]time.Time)
		}
		f.Begun[step] = f.at
	}
	f.Step, f.Attempt, f.Deadline = step, r.Attempt, r.Deadline
	f.enters(state)
}

// ends notes that a step has ended, with the code of its failure if it failed. A
// step that was not begun, or has ended before, is no step.
func (f *fold) ends(step events.Step, code string) {
	begun, open := f.Begun[step]
	if code != "" {
		f.LastError = queries.SagaError{Step: step, Attempt: f.Attempt, Code: code, At: f.at}
	}
	if !open {
		return
	}
	f.Begun = maps.Clone(f.Begun)
	delete(f.Begun, step)
	f.done = append(f.done, Done{Step: step, Failed: code != "", Took: f.at.Sub(begun)})
}

// undoes notes that a step of the plan is confirmed.
func (f *fold) undoes(step events.Step) {
	f.ends(step, "")
	if !slices.Contains(f.Undone, step) {
		f.Undone = append(slices.Clone(f.Undone), step)
	}
}

// waitsFor names the step that is left of two that run beside each other.
func (f *fold) waitsFor(step events.Step) {
	if _, open := f.Begun[step]; open {
		f.Step = step
	}
}

func (f *fold) enters(state string) {
	if f.State != state {
		f.State, f.StateSince = state, f.at
	}
}

// finishes notes the end: nothing is waited for any more.
func (f *fold) finishes(state string) {
	f.enters(state)
	f.Step, f.Attempt, f.Deadline, f.Begun = "", 0, time.Time{}, nil
	f.EndedAt = f.at
}
