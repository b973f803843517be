package esjs

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Tracer makes spans of what a store, and everything on it, does. Package
// esjsotel has one for OpenTelemetry. It is safe for concurrent use and does not
// block. A store without one makes no spans, but carries traces on all the same:
// see [WithTraceParent].
type Tracer interface {
	// Start begins a span, whose parent is span.Parent or, where that is empty,
	// the span in ctx. It returns ctx with the new span in it, and what ends the
	// span with the error of the operation, or nil; that is called once.
	Start(ctx context.Context, span Span) (context.Context, func(error))
	// TraceParent returns the W3C trace context of the span in ctx, "" when
	// there is none.
	TraceParent(ctx context.Context) string
}

// Span is an operation that begins.
type Span struct {
	Operation Operation
	// Stream is the aggregate that it is about; the zero StreamID when there are several.
	Stream StreamID
	// Subscription is the name of the subscription, the projection or the process.
	Subscription string
	Events       int // to be stored or handled; 0 when that is not known
	// Parent and Links are W3C trace contexts, all of them valid: of what caused
	// this, and of what is handled together.
	Parent string
	Links  []string
}

// Operation is what a span is about.
type Operation string

// The operations that have spans.
const (
	OperationAppend  Operation = "append"  // until the outcome is known
	OperationLoad    Operation = "load"    // of an aggregate, unless the cache answers
	OperationHandle  Operation = "handle"  // of a command: load, decide, append
	OperationDeliver Operation = "deliver" // one call of a subscription's handler
	OperationReact   Operation = "react"   // of a process to an event or a timer
	OperationProject Operation = "project" // a commit's transaction in a sink
)

// traceHorizon is the age above which an event has no spans when it is handled:
// it is history that is read again, by a new subscription or a rebuild, and its
// trace has ended. What it causes carries its trace context on all the same.
const traceHorizon = time.Hour

// maxLinks bounds the links of a span; OpenTelemetry keeps so many by default.
const maxLinks = 128

// traceParentKey is the key of the trace context in a context.
type traceParentKey struct{}

// WithTraceParent returns a context that carries a W3C trace context ("00-…"):
// appends with it store the trace context with their events unless
// [Metadata.TraceParent] says otherwise, and the spans of a [Tracer] are its
// children. One that is not valid is passed over: a trace must not make an
// operation fail.
//
// The contexts of handlers carry that of the event that they handle, so that
// what is appended with them belongs to the event's trace.
func WithTraceParent(ctx context.Context, traceParent string) context.Context {
	valid := checkTraceParent(traceParent)
	if valid == "" {
		return ctx
	}
	return context.WithValue(ctx, traceParentKey{}, valid)
}

func givenTraceParent(ctx context.Context) string {
	given, _ := ctx.Value(traceParentKey{}).(string)
	return given
}

// TraceParent returns the trace context that an append with ctx stores: that of
// the tracer's span in ctx, or else of [WithTraceParent], or "". It is for those
// who hand a trace to somebody else.
func (s *Store) TraceParent(ctx context.Context) string {
	if s.tracer != nil {
		if own := checkTraceParent(s.tracer.TraceParent(ctx)); own != "" {
			return own
		}
	}
	return givenTraceParent(ctx)
}

// noSpan ends the span of a store without a tracer.
func noSpan(error) {}

// span begins a span, and does nothing on a store without a tracer. Its parent is
// the nearest one: ctx's span, the one that is given with it, or that of
// [WithTraceParent].
func (s *Store) span(ctx context.Context, span Span) (context.Context, func(error)) {
	if s.tracer == nil {
		return ctx, noSpan
	}
	if s.tracer.TraceParent(ctx) != "" {
		span.Parent = ""
	} else if span.Parent = checkTraceParent(span.Parent); span.Parent == "" {
		span.Parent = givenTraceParent(ctx)
	}
	return s.tracer.Start(ctx, span)
}

// cause is what a handler is called for: an event or a timer.
type cause struct {
	stream      StreamID
	id          string
	position    Position
	correlation string
	events      int
	traceParent string // as it was stored, by whomever
	time        time.Time
}

// causeOf is the cause of a call that handles events, at least one, of one commit.
func causeOf[E Event](events []Recorded[E]) cause {
	first := &events[0].Record
	return cause{
		stream: first.Stream, id: first.ID, position: first.Position, correlation: first.Metadata.CorrelationID,
		events: len(events), traceParent: first.Metadata.TraceParent, time: first.Time,
	}
}

// failed is err with the event at which it happened, unless it names one already.
func (c cause) failed(err error) error {
	if err == nil || errors.As(err, new(*EventError)) {
		return err
	}
	return &EventError{Stream: c.stream, ID: c.id, Position: c.position, CorrelationID: c.correlation, Err: err}
}

// traced tells whether what c causes has spans.
func (s *Store) traced(c cause) bool { return s.tracer != nil && time.Since(c.time) < traceHorizon }

// spanOf begins the span of an operation in the trace of its cause. ctx carries
// that trace on also where there is no span.
func (s *Store) spanOf(ctx context.Context, operation Operation, subscription string, c cause) (context.Context, func(error)) {
	if !s.traced(c) {
		return WithTraceParent(ctx, c.traceParent), noSpan
	}
	return s.tracer.Start(ctx, Span{
		Operation: operation, Stream: c.stream, Subscription: subscription, Events: c.events,
		Parent: checkTraceParent(c.traceParent),
	})
}

// spansOf begins the spans of one call for several causes: one for each, in its
// own trace, and one for the call, linked to those, which is ctx's from now on.
// A call for one cause has one span. traces are the trace contexts that what is
// done for each cause carries on.
func (s *Store) spansOf(ctx context.Context, operation Operation, subscription string, causes []cause) (_ context.Context, traces []string, end func([]error)) {
	traces = make([]string, len(causes))
	ends := make([]func(error), len(causes))
	call := Span{Operation: operation, Subscription: subscription}
	called := ctx
	for i, c := range causes {
		called, ends[i] = s.spanOf(ctx, operation, subscription, c)
		traces[i] = s.TraceParent(called)
		if s.traced(c) && traces[i] != "" && len(call.Links) < maxLinks {
			call.Links = append(call.Links, traces[i])
		}
		call.Events += c.events
	}
	endCall := noSpan
	if len(causes) > 1 {
		called = ctx
		if len(call.Links) > 0 {
			called, endCall = s.tracer.Start(ctx, call)
		}
	}
	return called, traces, func(errs []error) {
		endCall(errors.Join(errs...))
		for i, end := range ends {
			end(errs[i])
		}
	}
}

// checkTraceParent returns a W3C trace context as version 00 writes it, or "" for
// what is none: what is stored, or comes with a request, can be anything. Of a
// later version, whose beginning reads as version 00, that is kept.
func checkTraceParent(s string) string {
	const (
		zeros = "00000000000000000000000000000000"
		plain = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	)
	if len(s) < plain || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return ""
	}
	version, trace, parent, flags := s[:2], s[3:35], s[36:52], s[53:plain]
	switch {
	case !isHex(version), !isHex(trace), !isHex(parent), !isHex(flags):
		return ""
	case trace == zeros, parent == zeros[:16], version == "ff":
		return ""
	case len(s) == plain && version == "00":
		return s
	case version == "00", len(s) > plain && s[plain] != '-':
		return ""
	}
	return "00-" + trace + "-" + parent + "-" + flags
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }
