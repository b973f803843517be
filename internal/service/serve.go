package service

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// protocolVersion is the version of the command and query protocol, which
// "nats micro ls" shows.
const protocolVersion = "1.0.0"

const outcomeOK = "ok"

// endpoints is what commands and queries have in common: subjects that are
// answered by one function, in one pool.
type endpoints struct {
	name        string
	describe    string
	category    string                       // of commands; empty for queries
	subjects    map[string]string            // endpoint name to subject
	metadata    map[string]map[string]string // by subject
	concurrency int
	// answer handles one request and says under which label it is counted.
	answer  func(context.Context, micro.Request) (reply any, label string, err error)
	observe func(label, outcome string, took time.Duration)

	env   *Env
	nc    *nats.Conn
	log   zerolog.Logger
	stats counters
}

// counters are what "nats micro stats" shows beside its own figures, which see
// only the hand-over to the pool.
type counters struct{ handled, refused, failed, nanoseconds atomic.Int64 }

func (e *Env) serve(ctx context.Context, ep *endpoints) error {
	if ep.concurrency == 0 {
		ep.concurrency = defaultConcurrency
	}
	ep.env, ep.nc, ep.log = e, e.Store.Conn(), e.Log

	closed := make(chan struct{})
	srv, err := micro.AddService(ep.nc, micro.Config{
		Name:         ep.name,
		Version:      protocolVersion,
		Description:  ep.describe + ", answered by the service " + e.Name,
		QueueGroup:   ep.name,
		StatsHandler: func(*micro.Endpoint) any { return ep.stats.snapshot() },
		DoneHandler:  func(micro.Service) { close(closed) },
		ErrorHandler: func(_ micro.Service, err *micro.NATSError) {
			ep.log.Error().Err(err).Str("subject", err.Subject).Msg("endpoint error")
		},
	})
	if err != nil {
		return fmt.Errorf("endpoints of %s: %w", ep.name, err)
	}
	requests := newPool(ep.concurrency)
	handle := micro.HandlerFunc(func(req micro.Request) {
		arrived := time.Now()
		if !requests.try(func() { ep.handle(context.WithoutCancel(ctx), req, arrived) }) {
			ep.reply(ctx, req, arrived, "unknown", nil, errBusy)
		}
	})
	for name, subject := range ep.subjects {
		if err := ep.subscribe(srv, handle, name, subject); err != nil {
			return errors.Join(fmt.Errorf("endpoint %s: %w", subject, err), srv.Stop())
		}
	}
	e.Health.Set(endpointsPart(ep.name), nil)

	var cause error
	select {
	case <-ctx.Done():
	case <-closed:
		cause = fmt.Errorf("endpoints of %s: %w", ep.name, nats.ErrConnectionClosed)
	}
	return errors.Join(cause, ep.drain(srv, requests))
}

// subscribe adds an endpoint and makes sure that the server has accepted it. A
// server refuses a subscription by a text on the connection, after the fact and
// without a code; once it has answered a flush, it has said so.
func (ep *endpoints) subscribe(srv micro.Service, h micro.Handler, name, subject string) error {
	if err := srv.AddEndpoint(name, h, micro.WithEndpointSubject(subject), micro.WithEndpointMetadata(ep.metadata[subject])); err != nil {
		return err
	}
	if err := ep.nc.FlushTimeout(requestTimeout); err != nil {
		return err
	}
	err := ep.nc.LastError()
	if errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), strconv.Quote(subject)) {
		return err
	}
	return nil
}

// drain takes no more requests and waits for those that run. A request that the
// connection holds already is answered "busy", which is safe to repeat.
func (ep *endpoints) drain(srv micro.Service, requests pool) error {
	stop, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	err := srv.Stop()
	if ep.nc.IsConnected() {
		err = errors.Join(err, ep.nc.FlushWithContext(stop))
	}
	requests.drain(stop)
	return err
}

// handle answers one request, whatever becomes of it.
func (ep *endpoints) handle(ctx context.Context, req micro.Request, arrived time.Time) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	ctx, span := ep.env.StartSpan(ctx, ep.name, nats.Header(req.Headers()).Get(HeaderTraceParent),
		attribute.String("messaging.destination.name", clip(req.Subject())))
	defer span.End()
	label := "unknown"
	defer func() {
		if p := recover(); p != nil {
			ep.line(zerolog.ErrorLevel, req).Any("panic", p).Bytes("stack", debug.Stack()).Msg("request panicked")
			ep.reply(ctx, req, arrived, label, nil, errInternal)
		}
	}()
	reply, label, err := ep.answer(ctx, req)
	ep.reply(ctx, req, arrived, label, reply, err)
}

// reply answers req with the result or the problem, and counts and logs it. It
// publishes itself: micro.Request records errors in a field that the framework
// reads without a lock after the handler has returned.
func (ep *endpoints) reply(ctx context.Context, req micro.Request, arrived time.Time, label string, result any, err error) {
	msg := nats.NewMsg(req.Reply())
	outcome := outcomeOK
	if err == nil {
		if msg.Data, err = json.Marshal(result, json.Deterministic(true)); err == nil {
			msg.Header.Set("Content-Type", "application/json")
		}
	}
	level := zerolog.DebugLevel
	if err != nil {
		var p *Problem
		p, level = ProblemOf(err)
		outcome = p.Code
		msg.Data, _ = json.Marshal(p) // strings and a number: cannot fail
		msg.Header.Set("Content-Type", "application/problem+json")
		msg.Header.Set(micro.ErrorCodeHeader, strconv.Itoa(p.Status))
		msg.Header.Set(micro.ErrorHeader, p.Code)
	}
	took := time.Since(arrived)
	ep.stats.count(took, level, err)
	ep.observe(label, outcome, took)
	span := trace.SpanFromContext(ctx)
	span.SetName(ep.name + " " + label)
	span.SetAttributes(attribute.String("orderflow.outcome", outcome))
	if level >= zerolog.ErrorLevel {
		span.SetStatus(codes.Error, outcome)
	}
	ep.line(level, req).Err(err).Str("outcome", outcome).Dur("took_ms", took).Msg("request answered")

	if req.Reply() == "" {
		return // published, not requested: nobody wants to know
	}
	if err := ep.nc.PublishMsg(msg); err != nil {
		ep.line(zerolog.WarnLevel, req).Err(err).Msg("answer not sent")
	}
}

// line begins a line of the log about a request.
func (ep *endpoints) line(level zerolog.Level, req micro.Request) *zerolog.Event {
	line := ep.log.WithLevel(level).Str("subject", clip(req.Subject()))
	if ep.category == "" || !line.Enabled() {
		return line
	}
	return lineOf(line, ep.category, req.Subject(), nats.Header(req.Headers()))
}

func (c *counters) count(took time.Duration, level zerolog.Level, err error) {
	c.nanoseconds.Add(int64(took))
	switch {
	case err == nil:
		c.handled.Add(1)
	case level < zerolog.ErrorLevel:
		c.refused.Add(1)
	default:
		c.failed.Add(1)
	}
}

func (c *counters) snapshot() any {
	return map[string]int64{
		"handled":         c.handled.Load(),
		"refused":         c.refused.Load(),
		"failed":          c.failed.Load(),
		"processing_time": c.nanoseconds.Load(),
	}
}
