package esjs

import (
	"context"
	"time"
)

// Process is an event-sourced state machine (a saga, a process manager): it
// reads inputs and appends events of its own to one stream per instance. Apply,
// React and Timers are pure.
type Process[S any, In, Out Event] struct {
	Name     string // of the subscription: "fulfilment"
	Category string // of the instances' own streams
	In       *Codec[In]
	Out      *Codec[Out]
	Inputs   Query
	// Key returns the instance that an input event belongs to; "" when none.
	Key func(Recorded[In]) string
	// Apply folds one of the instance's own events.
	Apply func(S, Out) S
	// React returns the events that an input causes in this state; none when
	// there is nothing to do. An error is retried and at last quarantines the
	// instance; [RetryAfter] is for inputs that came too early, and [Unexpected]
	// for those that the process does not know in this state: nothing happens, and
	// the observer is told.
	React func(S, Input[In]) ([]Out, error)
	// Timers returns the timers that shall be armed in this state, at most one
	// per name.
	Timers func(S) []Timer
	// Done tells that an instance has ended: it leaves the list of open ones.
	Done func(S) bool
	// Snapshots, CacheSize: as for a command handler.
	Handler HandlerConfig[S]
}

// Input is what a process reacts to: exactly one of Event, Timer and Command is set.
type Input[In Event] struct {
	Event   *Recorded[In]
	Timer   *Fired
	Command any // an operator's command, given to [ProcessRunner.Handle]
	// Time is when the input happened: the event's time, the server's time of
	// firing, or the command's time. Events that React returns carry it.
	Time time.Time
}

// ProcessConfig is a process's wiring.
type ProcessConfig struct {
	Service   string // names the timer subjects: timer.<service>.>
	Bucket    string // KV bucket of position, lease and parked instances
	Instances string // KV bucket of open instances; it can be rebuilt
	Owner     string
	Workers   int
	Lease     time.Duration
	Sweep     time.Duration // how often missing timers are armed again; default 5 min
	Retry     Backoff
	Observer  Observer // nil is allowed
}

// ProcessRunner runs a process.
type ProcessRunner[S any, In, Out Event] struct{}

// NewProcess prepares a process.
func NewProcess[S any, In, Out Event](ctx context.Context, store *Store, p Process[S, In, Out], cfg ProcessConfig) (*ProcessRunner[S, In, Out], error) {
	panic("stub")
}

// Run consumes inputs and fired timers until ctx ends or it cannot go on.
func (r *ProcessRunner[S, In, Out]) Run(ctx context.Context) error { panic("stub") }

// Handle gives an operator's command to one instance. It works on every
// replica, whether it runs the process or not.
func (r *ProcessRunner[S, In, Out]) Handle(ctx context.Context, key string, command any, opts ...HandleOption) (Result[S], error) {
	panic("stub")
}

// Load returns an instance's state.
func (r *ProcessRunner[S, In, Out]) Load(ctx context.Context, key string, opts ...LoadOption) (Loaded[S], error) {
	panic("stub")
}
