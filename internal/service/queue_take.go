package service

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
)

const (
	queuePull    = 30 * time.Second // how long one request for a command waits
	queueRetry   = 100 * time.Millisecond
	queueBackoff = 30 * time.Second // the longest pause before a command is tried again
	// A command that fails here, and not because something is unavailable, would
	// hold up all others of its lane.
	queueFailures = 5
	queueTimeouts = 20
	// queueEnding bounds the parking of a command and taking it from the queue. It is
	// apart from the command's own time, which is over for one that took too long.
	queueEnding = 3 * time.Second
)

// taker carries out the queued commands of one category.
type taker struct {
	queue
	env      *Env
	commands Commands
}

// takeQueued carries out cmdq.<category>.> until ctx ends; what was begun is finished.
//
// A command is done when it is stored or when it is parked; then it leaves the queue. It
// is carried out at least once, and its id makes that one effect. The commands
// of one key are carried out in the order in which they were queued.
func (e *Env) takeQueued(ctx context.Context, c Commands) error {
	nc, err := e.Dial("queue")
	if err != nil {
		return err
	}
	defer nc.Close()
	q, err := openQueue(ctx, nc)
	if err != nil {
		return err
	}
	t := taker{queue: q, env: e, commands: c}
	runs := []func(context.Context) error{func(ctx context.Context) error { return e.serveParked(ctx, t) }}
	for number := range QueueLanes {
		consumer, err := q.lane(ctx, c.Category, number)
		if err != nil {
			return fmt.Errorf("lane %d of %s: %w", number, c.Category, err)
		}
		runs = append(runs, func(ctx context.Context) error { return t.follow(ctx, number, consumer) })
	}
	e.Health.Set(queuePart(c.Category), nil)
	return Group(ctx, runs...)
}

func queuePart(category string) string { return category + " queue" }

// follow takes one command after the other from a lane.
func (t taker) follow(ctx context.Context, number int, consumer jetstream.Consumer) error {
	for ctx.Err() == nil {
		pull, cancel := context.WithTimeout(ctx, queuePull)
		msg, err := consumer.Next(jetstream.FetchContext(pull))
		cancel()
		switch {
		case err == nil:
			t.handle(context.WithoutCancel(ctx), msg)
		case ctx.Err() != nil:
		case errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded), errors.Is(err, jetstream.ErrNoMessages):
		case errors.Is(err, nats.ErrConnectionClosed):
			return fmt.Errorf("queue of %s: %w", t.commands.Category, err)
		default:
			t.env.Log.Warn().Err(err).Str("category", t.commands.Category).Int("lane", number).Msg("no queued commands can be taken now")
			pause(ctx, time.Second)
			if again, err := t.lane(ctx, t.commands.Category, number); err == nil {
				consumer = again // somebody may have deleted it
			}
		}
	}
	return nil
}

// handle carries out one command, or parks it, or gives it back for later.
func (t taker) handle(ctx context.Context, msg jetstream.Msg) {
	arrived := time.Now()
	meta, err := msg.Metadata()
	if err != nil {
		t.env.Log.Error().Err(err).Msg("what came is not from the queue of commands")
		return
	}
	ctx, span := t.env.StartSpan(ctx, t.commands.Category+" queued", msg.Headers().Get(HeaderTraceParent),
		attribute.String("messaging.destination.name", clip(msg.Subject())))
	defer span.End()
	deciding, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if meta.NumDelivered > 1 {
		known, err := t.isDecided(deciding, t.commands.Category, meta)
		if err != nil {
			t.back(msg, meta)
			return
		}
		if known {
			t.done(deciding, msg)
			return
		}
	}
	verb, err := t.carryOut(deciding, msg, meta)
	ending, cancel := context.WithTimeout(ctx, queueEnding)
	defer cancel()
	if err == nil {
		t.outcome(msg, verb, outcomeOK, zerolog.DebugLevel, arrived, nil)
		t.done(ending, msg)
		return
	}
	p, level := ProblemOf(err)
	switch {
	case isPassing(err) && (p.Code != codeTimeout || meta.NumDelivered < queueTimeouts),
		p.Status >= 500 && !isPassing(err) && meta.NumDelivered < queueFailures:
		t.outcome(msg, verb, p.Code, max(level, zerolog.WarnLevel), arrived, err)
		t.back(msg, meta)
		return
	}
	if p.Code == codeInternal {
		p.Detail = err.Error() // for operators
	}
	if err := t.park(ending, newParked(t.commands.Category, msg, meta, p)); err != nil {
		t.env.Log.Error().Err(err).Str("subject", clip(msg.Subject())).Msg("a queued command could not be parked; it is tried again")
		t.back(msg, meta)
		return
	}
	t.outcome(msg, verb, p.Code, max(level, zerolog.WarnLevel), arrived, err)
	t.done(ending, msg)
}

// carryOut reads a command and handles it as a request of the same subject.
func (t taker) carryOut(ctx context.Context, msg jetstream.Msg, meta *jetstream.MsgMetadata) (verb string, err error) {
	defer func() {
		if p := recover(); p != nil {
			t.env.Log.Error().Any("panic", p).Bytes("stack", debug.Stack()).Str("subject", clip(msg.Subject())).Msg("queued command panicked")
			err = errInternal
		}
	}()
	header := queuedHeader(msg.Headers(), meta)
	cmd, err := parseCommand(t.commands.Category, t.commands.Verbs, requestSubject(msg), header, msg.Data())
	if err != nil {
		return "unknown", err
	}
	_, err = t.commands.Verbs[cmd.Verb](ctx, cmd)
	if cmd.ExpectedVersion == nil && errors.Is(err, esjs.ErrConflict) {
		err = fmt.Errorf("%w: %w", errBusy, err) // others were faster each time
	}
	return cmd.Verb, err
}

// requestSubject is the subject of the request that a queued command is handled as.
func requestSubject(msg jetstream.Msg) string {
	return "cmd." + published(msg.Subject())[len(queuePrefix):]
}

// queuedHeader is the header of a queued command with a Command-Id: one that comes twice
// is the same command. Who publishes none is given one of the message's own.
func queuedHeader(header nats.Header, meta *jetstream.MsgMetadata) nats.Header {
	if header.Get(HeaderCommandID) != "" {
		return header
	}
	id := header.Get(jetstream.MsgIDHeader)
	if id == "" {
		id = fmt.Sprintf("cmdq:%d:%d", meta.Sequence.Stream, meta.Timestamp.UnixNano())
	}
	with := nats.Header{}
	for name, values := range header {
		with[name] = values
	}
	with.Set(HeaderCommandID, id)
	return with
}

// done takes a command from the queue. One that stays comes again and has no
// second effect.
func (t taker) done(ctx context.Context, msg jetstream.Msg) {
	if err := msg.DoubleAck(ctx); err != nil {
		t.env.Log.Warn().Err(err).Str("subject", clip(msg.Subject())).Msg("a queued command is done and could not be taken from the queue; it comes again")
	}
}

// back gives a command back; its lane waits for it, each time longer.
func (t taker) back(msg jetstream.Msg, meta *jetstream.MsgMetadata) {
	delay := queueBackoff
	if n := meta.NumDelivered - 1; n < 10 {
		delay = min(queueRetry<<n, queueBackoff)
	}
	if err := msg.NakWithDelay(delay); err != nil {
		t.env.Log.Warn().Err(err).Str("subject", clip(msg.Subject())).Msg("a queued command could not be given back; it comes again later")
	}
}

func (t taker) outcome(msg jetstream.Msg, verb, outcome string, level zerolog.Level, arrived time.Time, err error) {
	t.env.Metrics.queued.WithLabelValues(t.commands.Category, verb, outcome).Inc()
	line := t.env.Log.WithLevel(level).Err(err).Str("subject", clip(msg.Subject()))
	lineOf(line, t.commands.Category, requestSubject(msg), msg.Headers()).Str("outcome", outcome).
		Dur("took_ms", time.Since(arrived)).Msg("queued command")
}

// pause waits, at most until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
