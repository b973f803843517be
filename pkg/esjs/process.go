package esjs

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Process is an event-sourced state machine (a saga, a process manager): it
// reads inputs and appends events of its own to one stream per instance. Apply,
// React, Timers and Done are pure. Timers, Done and Handler may be left out.
type Process[S any, In, Out Event] struct {
	Name     string // of the subscription: "fulfilment"
	Category string // of the instances' own streams
	In       *Codec[In]
	Out      *Codec[Out]
	Inputs   Query // by Categories, Streams and Types
	// Key returns the instance that an input event belongs to; "" when none. It is
	// that of [SubscriptionConfig].
	Key func(Recorded[In]) string
	// Apply folds one of the instance's own events.
	Apply func(S, Out) S
	// React returns the events that an input causes in this state; none when
	// there is nothing to do. An error is retried and at last quarantines the
	// instance, but one that is [ErrConfig] leaves it as it is for a process that is configured
	// for it; [RetryAfter] is for inputs that came too early, and [Unexpected]
	// for those that the process does not know in this state: nothing happens, and
	// the observer is told.
	//
	// React sees each input of an instance in order, in a store of several partitions those
	// of each partition, and again only until it has caused a
	// commit. An input that caused none may be seen again after a crash.
	React func(S, Input[In]) ([]Out, error)
	// Timers returns the timers that shall be armed in this state, at most one
	// per name; nil when the process has none.
	Timers func(S) []Timer
	// Quarantined returns the event that keeps in the instance's own stream that it is
	// being set aside, nil for none; may be left out. The state is the zero one where it cannot be
	// read. The event is appended whatever the stream holds, before the instance waits, and
	// once, with a command id of its own; where the state cannot be read, perhaps again after a crash. Nothing is kept of what is parked under its own
	// aggregate, "<category>/<key>", because its instance is not known.
	Quarantined func(S, Quarantine) Out
	// Done tells that an instance has ended: it leaves the list of open ones.
	// Nil: instances never end.
	Done func(S) bool
	// Handler is the wiring of the instances' own streams: snapshots and cache.
	// An instance that is Done is terminal for snapshots unless they say otherwise.
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

// Quarantine is why an instance is being set aside.
type Quarantine struct {
	Key    string
	Input  Position // of the event that failed; zero for a timer, and when a caller wanted it
	Reason string   // at most 2000 bytes; of a panic it has the stack
}

// ProcessConfig is a process's wiring. Service, Bucket and Instances are
// required; the zero value of the rest works. Owner, ExclusiveOwner, Workers, Lease
// and Retry are those of [SubscriptionConfig].
type ProcessConfig struct {
	Service   string // names the timer subjects: timer.<service>.>; 1 to 64 bytes of [a-z0-9-]
	Bucket    string // KV bucket of positions, leases and quarantined instances
	Instances string // KV bucket of open instances; it can be rebuilt
	// From is where a process starts that has no stored position, exclusive: the
	// zero Position is the beginning of the store, [Store.Last] is now, and [Store.LastBefore]
	// any other time. Inputs up to there are never seen. Later starts go on from the stored
	// position; but where Bucket was lost, From holds again, so do not let it be
	// now at every start.
	From           Position
	Owner          string
	ExclusiveOwner bool
	Workers        int
	Lease          time.Duration
	// Sweep is how often missing timers are armed again; default 5 min. A sweep that
	// fails is repeated after 5 s, 10 s and so on up to Sweep.
	Sweep time.Duration
	Retry Backoff
	// Observer is told of inputs under Name, of timers under Name-timers, and of every
	// sweep under Name-sweep; nil: the store's.
	Observer Observer
}

// ProcessRunner runs a process. Each program that has the process has a runner, one of
// them is active, in a store of several partitions one in each. It is safe for concurrent use; Run is called once.
type ProcessRunner[S any, In, Out Event] struct {
	process   Process[S, In, Out]
	cfg       ProcessConfig
	observer  Observer
	store     *Store
	handler   *CommandHandler[S, *reaction[In], Out]
	timers    *Timers
	instances *instances
	// followed remembers what has been armed and listed for an instance, so
	// that it is not done again with every input.
	followed *lru.Cache[string, followed]
}

// followedSize bounds how many instances are remembered; a forgotten one costs
// a refused publish per timer.
const followedSize = 1 << 16

// NewProcess prepares a process. It fails with [ErrConfig] when something that
// the process needs is missing; Close it to write the snapshots that wait.
func NewProcess[S any, In, Out Event](ctx context.Context, store *Store, p Process[S, In, Out], cfg ProcessConfig) (*ProcessRunner[S, In, Out], error) {
	if p.Name == "" || p.In == nil || p.Out == nil || p.Key == nil || p.Apply == nil || p.React == nil {
		return nil, fmt.Errorf("%w: process %q: Name, In, Out, Key, Apply and React are required", ErrConfig, p.Name)
	}
	if cfg.Bucket == "" {
		return nil, fmt.Errorf("%w: process %s: Bucket is required", ErrConfig, p.Name)
	}
	if most := maxName - len(timersSuffix); len(p.Name) > most || !utf8.ValidString(p.Name) {
		return nil, fmt.Errorf("%w: the process's name %q has %d bytes: 1 to %d bytes of UTF-8 are allowed", ErrConfig, p.Name, len(p.Name), most)
	}
	if err := p.Inputs.checkEndless(fromInstead); err != nil {
		return nil, fmt.Errorf("process %s: %w", p.Name, err)
	}
	if cfg.Sweep <= 0 {
		cfg.Sweep = 5 * time.Minute
	}
	if err := store.general.checkBucket(ctx, cfg.Bucket); err != nil {
		return nil, fmt.Errorf("process %s: %w", p.Name, err)
	}
	timers, err := OpenTimers(ctx, store, cfg.Service)
	if err != nil {
		return nil, err
	}
	list, err := openInstances(ctx, store, cfg.Instances, p.Category)
	if err != nil {
		return nil, err
	}
	memory, err := lru.New[string, followed](followedSize)
	if err != nil {
		return nil, err
	}
	if policy := p.Handler.Snapshots; policy != nil && policy.Terminal == nil {
		own := *policy
		own.Terminal = p.Done
		p.Handler.Snapshots = &own
	}
	handler, err := NewCommandHandler(ctx, store, Aggregate[S, *reaction[In], Out]{
		Category: p.Category,
		Codec:    p.Out,
		Apply:    p.Apply,
		Decide:   p.decide,
	}, p.Handler)
	if err != nil {
		return nil, err
	}
	return &ProcessRunner[S, In, Out]{
		process: p, cfg: cfg, observer: store.observerOr(cfg.Observer), store: store,
		handler: handler, timers: timers, instances: list, followed: memory,
	}, nil
}

// Handle gives an operator's command to one instance. It may be asked of every
// runner of the process, active or not, also without Run. A command that React answers
// with [Unexpected] is refused with a *[Rejection]; other errors are those of
// [CommandHandler.Handle].
func (r *ProcessRunner[S, In, Out]) Handle(ctx context.Context, key string, command any, opts ...HandleOption) (Result[S], error) {
	appending, cancel := context.WithTimeout(ctx, listedStays/2)
	defer cancel()
	// The entry comes first: should this process end after the append, or not learn what became of it, the
	// sweep finds the instance and arms what is missing.
	if err := r.list(appending, key); err != nil {
		return Result[S]{}, err
	}
	given := &reaction[In]{input: Input[In]{Command: command}}
	result, err := r.handler.Handle(appending, key, given, opts...)
	if err != nil {
		return result, err
	}
	if u := given.unexpected; u != nil {
		return result, Reject("unexpected", "%s is not possible in state %s", u.Input, u.State)
	}
	if err := r.follow(ctx, key, result.State, result.Version); err != nil {
		// The command is handled, and saying otherwise would be wrong: the sweep
		// arms what is missing.
		r.followed.Remove(key)
	}
	return result, nil
}

// Load returns an instance's state.
func (r *ProcessRunner[S, In, Out]) Load(ctx context.Context, key string, opts ...LoadOption) (Loaded[S], error) {
	return r.handler.Load(ctx, key, opts...)
}

// Close writes the snapshots that wait. Call it after Run has returned.
func (r *ProcessRunner[S, In, Out]) Close(ctx context.Context) error { return r.handler.Close(ctx) }

// reaction is an input on its way through the command handler.
type reaction[In Event] struct {
	input      Input[In]
	unexpected *UnexpectedError // what the last call of React said
	failed     bool             // whether it failed
}

// At gives a command the time that its commit will carry; events and timers
// bring their own.
func (c *reaction[In]) At(t time.Time) *reaction[In] {
	if c.input.Command != nil {
		c.input.Time = t
	}
	return c
}

// decide is React for inputs that are not out of date.
func (p Process[S, In, Out]) decide(state S, given *reaction[In]) ([]Out, error) {
	if fired := given.input.Timer; fired != nil && !p.armed(state, *fired) {
		return nil, nil
	}
	given.unexpected, given.failed = nil, false
	events, err := p.React(state, given.input)
	if errors.As(err, &given.unexpected) {
		return nil, nil
	}
	given.failed = err != nil
	return events, err
}

// armed tells that state waits for the timer that has fired.
func (p Process[S, In, Out]) armed(state S, fired Fired) bool {
	for _, t := range p.armedTimers(state) {
		if fired.is(t) {
			return true
		}
	}
	return false
}

func (p Process[S, In, Out]) armedTimers(state S) []Timer {
	if p.Timers == nil {
		return nil
	}
	return p.Timers(state)
}

func (p Process[S, In, Out]) done(state S) bool { return p.Done != nil && p.Done(state) }
