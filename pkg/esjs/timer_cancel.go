package esjs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// cancelledStays is how long the message stays that took a timer back.
const cancelledStays = time.Minute

// A message with these headers takes the schedule of another subject away when it is
// stored, in one step.
const (
	headerScheduler    = "Nats-Scheduler"
	headerScheduleNext = "Nats-Schedule-Next"
)

// Cancel takes a timer of id back that no longer matters: after nil it does not fire any more.
// It may have fired before, or while Cancel was under way, so that a handler compares
// [Fired.Version] with its state all the same. Only the timer's Name and Version count; one that
// was never set is no error. Cancel tries until ctx ends, and is repeated without harm
// after any error: those are [ErrInvalid], [ErrRefused], and [ErrUnknownOutcome].
//
// A [Process] takes back by itself what its instances' states no longer ask for.
func (t *Timers) Cancel(ctx context.Context, id StreamID, timer Timer) error {
	if err := errors.Join(timer.checkName(), checkStream(id)); err != nil {
		return err
	}
	set := t.subject("set", id, timer)
	msg := nats.NewMsg(t.subject("cancelled", id, timer))
	msg.Header.Set(headerScheduler, set)
	msg.Header.Set(headerScheduleNext, "purge")
	msg.Header.Set(jetstream.MsgTTLHeader, cancelledStays.String())
	for wait := newPause(); ; {
		final, err := t.publishOnce(ctx, msg)
		switch {
		case err == nil:
			return nil
		case final:
			return fmt.Errorf("%w: cancel timer %s: %w", ErrRefused, set, err)
		}
		if ended := wait.sleep(ctx); ended != nil {
			return fmt.Errorf("%w: cancel timer %s: %w, and the last attempt: %w", ErrUnknownOutcome, set, ended, err)
		}
	}
}

// replace arms a timer as Set does, and takes back the one that it stands for, an earlier one
// of the same name: in the same step, unless the new one was armed before.
func (t *Timers) replace(ctx context.Context, id StreamID, old, timer Timer) error {
	stored, err := t.arm(ctx, id, timer, t.subject("set", id, old))
	if err != nil || stored {
		return err
	}
	return t.Cancel(ctx, id, old)
}

// cancelTakes bounds how long a process waits for timers to be taken back: those that are
// not fire, and are passed over.
const cancelTakes = time.Second

// takeBack cancels a timer that an instance's state no longer asks for, if that is
// quickly done.
func (r *ProcessRunner[S, In, Out]) takeBack(ctx context.Context, id StreamID, timer Timer) {
	ctx, cancel := context.WithTimeout(ctx, cancelTakes)
	defer cancel()
	_ = r.timers.Cancel(ctx, id, timer) // see cancelTakes
}

// outdated returns those of the armed timers that a state at version does not ask for
// and that have not fired yet, by name. What a later event has armed is not the state's to judge: the
// inputs of an instance and its timers are followed at the same time, and not always in order.
func (f followed) outdated(asked []Timer, version uint64) map[string]Timer {
	var outdated map[string]Timer
	now := time.Now()
	for _, t := range f.armed {
		if t.Version > version || !t.At.After(now) || (followed{armed: asked}).has(t) {
			continue
		}
		if outdated == nil {
			outdated = make(map[string]Timer, 1)
		}
		outdated[t.Name] = t
	}
	return outdated
}
