package esjs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Timer is a deadline of an instance of a process, or of an aggregate.
//
// A timer is derived from state after the append that made it necessary, so
// arming one again is always allowed and changes nothing. The append that ends the wait
// cancels it: from then on its Version is not one that the state waits for, and it has no effect
// when it fires. [Timers.Cancel] only spares its firing.
type Timer struct {
	Name string // 1 to 64 bytes of [a-z0-9-]
	At   time.Time
	// Version is the version of the instance's event that armed it, so it only
	// grows for a name; a fired timer of another version is ignored before React is called.
	Version uint64
}

// Fired is a timer whose time has come.
type Fired struct {
	Stream  StreamID // whose timer it is
	Name    string
	Version uint64
	At      time.Time // when it should have fired
	FiredAt time.Time // the server's time when it did; never before At
	// TraceParent is the W3C trace context in which it was armed; "" when there was none.
	TraceParent string

	subject string
}

// ID identifies what fired: the subject of the fired timer.
func (f Fired) ID() string { return f.subject }

// is tells whether f is the firing of t.
func (f Fired) is(t Timer) bool { return f.Name == t.Name && f.Version == t.Version }

// Timers arms timers and delivers the fired ones of one service. It is safe for
// concurrent use.
//
// A timer is a message schedule in the stream TIMERS. It survives the process
// that armed it, fires on the server's clock, never early, and stays readable
// for 7 days after it has fired.
type Timers struct {
	store   *Store
	service string
}

// OpenTimers opens the timers of service, which names their subjects:
// timer.<service>.>. It fails with [ErrConfig] when the stream TIMERS is missing
// or is not what [ProvisionTimers] makes.
func OpenTimers(ctx context.Context, store *Store, service string) (*Timers, error) {
	if err := wire.CheckCategory(service); err != nil {
		return nil, fmt.Errorf("%w: timers of service %q: %w", ErrConfig, service, err)
	}
	if err := verifyTimerStream(ctx, store.general); err != nil {
		return nil, err
	}
	return &Timers{store: store, service: service}, nil
}

// Set arms a timer of id. It returns nil when the timer is armed, was armed
// before, or has fired already: then nothing changes. A time that has passed
// fires at once; a timer that is set while it fires may fire a second time. Set
// tries until ctx ends, and is repeated without harm after any error: those are
// [ErrInvalid] for what no server could carry, [ErrRefused], and [ErrUnknownOutcome].
func (t *Timers) Set(ctx context.Context, id StreamID, timer Timer) error {
	_, err := t.arm(ctx, id, timer, "")
	return err
}

// arm sets a timer; stored tells that this call has done it. Where it has, the schedule on the
// subject instead, if one is given, went in the same step.
func (t *Timers) arm(ctx context.Context, id StreamID, timer Timer, instead string) (stored bool, err error) {
	if err := errors.Join(timer.check(), checkStream(id)); err != nil {
		return false, err
	}
	set, fired := t.subject("set", id, timer), t.subject("fired", id, timer)
	if !timer.At.After(time.Now()) {
		// It may have fired already, and setting it again would fire it again.
		if has, err := t.has(ctx, fired); has || err != nil {
			return false, err
		}
	}
	msg := scheduleMsg(set, fired, timer, t.store.TraceParent(ctx))
	if instead != "" {
		msg.Header.Set(headerScheduler, instead)
		msg.Header.Set(headerScheduleNext, "purge")
	}
	return t.publish(ctx, msg, set, fired)
}

// setAgain arms a timer as Set does, also when it has fired before: then it
// fires again, and for the uncertain perhaps twice.
func (t *Timers) setAgain(ctx context.Context, id StreamID, timer Timer) error {
	if err := timer.check(); err != nil {
		return err
	}
	set, fired := t.subject("set", id, timer), t.subject("fired", id, timer)
	_, err := t.publish(ctx, scheduleMsg(set, fired, timer, t.store.TraceParent(ctx)), set)
	return err
}

// publish stores a schedule; stored tells that the server has said so. Where its outcome is unknown,
// a message on one of the subjects in proof says that it was stored, by whomever.
func (t *Timers) publish(ctx context.Context, msg *nats.Msg, proof ...string) (stored bool, err error) {
	for wait := newPause(); ; {
		final, err := t.publishOnce(ctx, msg)
		switch {
		case err == nil:
			return true, nil
		case final:
			return false, fmt.Errorf("%w: timer %s: %w", ErrRefused, msg.Subject, err)
		}
		// A conflict does not prove that the timer is armed, and a lost answer
		// does not prove that it is not: the leader knows.
		for _, subject := range proof {
			if has, readErr := t.has(ctx, subject); has {
				return false, nil
			} else if readErr != nil {
				return false, fmt.Errorf("%w: timer %s: %w, and reading it back: %w", ErrUnknownOutcome, msg.Subject, err, readErr)
			}
		}
		if wait.sleep(ctx) != nil {
			return false, fmt.Errorf("%w: timer %s: %w", ErrUnknownOutcome, msg.Subject, err)
		}
	}
}

// publishOnce sends a message once. final tells of an error that sending it again
// cannot change anything.
func (t *Timers) publishOnce(ctx context.Context, msg *nats.Msg) (final bool, err error) {
	answer, err := t.store.general.do(ctx, msg)
	if err != nil {
		return permanent(err) && !isContextError(err), err
	}
	ack, err := parseAck(answer.Data)
	if err != nil || ack.code == 0 {
		return false, err
	}
	return refusedForGood(ack.code), fmt.Errorf("server code %d: %s", ack.code, ack.description)
}

// scheduleMsg asks the server to publish to fired at the timer's time. The
// expectation keeps an armed timer from being replaced: a schedule that is replaced
// while it fires is lost or fires twice. The client's own option cuts the time to whole seconds
// and would fire early.
func scheduleMsg(set, fired string, timer Timer, traceParent string) *nats.Msg {
	at := timer.At.UTC().Format(time.RFC3339Nano)
	msg := nats.NewMsg(set)
	msg.Header.Set("Nats-Schedule", "@at "+at)
	msg.Header.Set("Nats-Schedule-Target", fired)
	msg.Header.Set("Nats-Schedule-TTL", firedStays.String())
	msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, "0")
	msg.Data = []byte(`{"at":"` + at + `"}`)
	if traceParent != "" {
		msg.Data = []byte(`{"at":"` + at + `","traceparent":"` + traceParent + `"}`)
	}
	return msg
}

// refusedForGood tells a refusal that publishing again cannot change from a
// conflict.
func refusedForGood(code int) bool {
	switch jetstream.ErrorCode(code) {
	case jetstream.JSErrCodeMessageSchedulesDisabled, jetstream.JSErrCodeSchedulePatternInvalid,
		jetstream.JSErrCodeScheduleTargetInvalid, jetstream.JSErrCodeScheduleTTLInvalid,
		jetstream.JSErrCodeStreamNotFound:
		return true
	}
	return false
}

// has asks the leader whether subject holds a message, until ctx ends.
func (t *Timers) has(ctx context.Context, subject string) (bool, error) {
	_, err := t.store.leaderLast(ctx, timerStream, subject)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, errNoMessage):
		return false, nil
	}
	return false, fmt.Errorf("esjs: read timer %s: %w", subject, err)
}

// latestTimer is what the server's nanoseconds since 1970 can hold.
var latestTimer = time.Unix(0, 1<<63-1)

// check refuses a timer that the server could not carry.
func (t Timer) check() error {
	if err := t.checkName(); err != nil {
		return err
	}
	if t.At.Year() < 1970 || t.At.After(latestTimer) {
		return fmt.Errorf("%w: timer %s at %s: allowed is 1970 to %s", ErrInvalid, t.Name, t.At, latestTimer.UTC())
	}
	return nil
}

// checkName refuses what names no timer.
func (t Timer) checkName() error {
	if wire.CheckCategory(t.Name) != nil {
		return fmt.Errorf("%w: timer name %q: allowed are 1 to 64 bytes of [a-z0-9-]", ErrInvalid, t.Name)
	}
	if t.Version == 0 {
		return fmt.Errorf("%w: timer %s: version 0: it must be the version of the event that armed it", ErrInvalid, t.Name)
	}
	return nil
}

// subject is timer.<service>.<kind>.<category>.<key>.<name>.<version>; kind is
// "set", "fired" or "cancelled".
func (t *Timers) subject(kind string, id StreamID, timer Timer) string {
	return strings.Join([]string{"timer", t.service, kind, id.Category, wire.EscapeKey(id.Key), timer.Name,
		strconv.FormatUint(timer.Version, 10)}, ".")
}

// parseFired reads a fired timer back from its message.
func parseFired(subject string, data []byte, firedAt time.Time) (Fired, error) {
	f := Fired{FiredAt: firedAt.UTC(), subject: subject}
	tokens := strings.Split(subject, ".")
	if len(tokens) != 7 || tokens[0] != "timer" || tokens[2] != "fired" {
		return f, fmt.Errorf("esjs: %q is not the subject of a fired timer", subject)
	}
	key, err := wire.UnescapeKey(tokens[4])
	if err != nil {
		return f, fmt.Errorf("esjs: fired timer %s: %w", subject, err)
	}
	f.Stream = StreamID{Category: tokens[3], Key: key}
	f.Name = tokens[5]
	f.Version, err = strconv.ParseUint(tokens[6], 10, 64)
	if err == nil && strconv.FormatUint(f.Version, 10) != tokens[6] {
		err = strconv.ErrSyntax
	}
	if err = errors.Join(err, wire.CheckCategory(tokens[1]), checkStream(f.Stream), Timer{Name: f.Name, Version: f.Version}.checkName()); err != nil {
		return f, fmt.Errorf("esjs: fired timer %s: %w", subject, err)
	}
	var body struct {
		At          time.Time `json:"at"`
		TraceParent string    `json:"traceparent"`
	}
	if err := json.Unmarshal(data, &body); err != nil {
		return f, fmt.Errorf("esjs: fired timer %s: %w", subject, err)
	}
	f.At, f.TraceParent = body.At, body.TraceParent
	return f, nil
}
