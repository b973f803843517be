// Package esjsotel gives a store's operations OpenTelemetry spans:
//
//	store, err := esjs.Open(ctx, dial, esjs.Config{Tracer: esjsotel.New(provider)})
//
// It uses OpenTelemetry's API alone; the provider, which samples and exports, is
// the program's. Nothing global is read or changed, so a trace context is handed
// on in events whatever propagator the program has.
//
// A span is named for its operation and the category or subscription that it is
// of: "append order", "react fulfilment". Its attributes are esjs.category and
// esjs.key of the aggregate, esjs.subscription, and esjs.events, their number. The
// outcome of an operation that failed is esjs.outcome, as [esjs.Outcome] has it; the
// status of its span is an error, except where the domain said no. Keys and errors can
// hold what is personal: drop the attributes in the exporter where that matters.
package esjsotel

import (
	"context"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Tracer is an [esjs.Tracer]. It is safe for concurrent use.
type Tracer struct{ tracer trace.Tracer }

var _ esjs.Tracer = (*Tracer)(nil)

// New returns a tracer whose spans go to the provider.
func New(provider trace.TracerProvider) *Tracer {
	return &Tracer{provider.Tracer("github.com/b144f99b/orderflow/pkg/esjs")}
}

// Start begins a span; see [esjs.Tracer].
func (t *Tracer) Start(ctx context.Context, span esjs.Span) (context.Context, func(error)) {
	name := string(span.Operation)
	attributes := make([]attribute.KeyValue, 0, 4)
	if span.Stream != (esjs.StreamID{}) {
		name = string(span.Operation) + " " + span.Stream.Category
		attributes = append(attributes,
			attribute.String("esjs.category", span.Stream.Category), attribute.String("esjs.key", span.Stream.Key))
	}
	if span.Subscription != "" {
		name = string(span.Operation) + " " + span.Subscription
		attributes = append(attributes, attribute.String("esjs.subscription", span.Subscription))
	}
	if span.Events > 0 {
		attributes = append(attributes, attribute.Int("esjs.events", span.Events))
	}
	if parent := spanContext(span.Parent); parent.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	}
	options := []trace.SpanStartOption{trace.WithSpanKind(kind(span.Operation)), trace.WithAttributes(attributes...)}
	for _, link := range span.Links {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: spanContext(link)}))
	}
	ctx, started := t.tracer.Start(ctx, name, options...)
	return ctx, func(err error) {
		if err != nil {
			outcome := esjs.Outcome(err)
			started.SetAttributes(attribute.String("esjs.outcome", outcome))
			if outcome != "rejected" {
				started.SetStatus(codes.Error, err.Error())
			}
		}
		started.End()
	}
}

// TraceParent returns the W3C trace context of ctx's span; see [esjs.Tracer].
func (t *Tracer) TraceParent(ctx context.Context) string {
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() {
		return ""
	}
	return "00-" + span.TraceID().String() + "-" + span.SpanID().String() + "-" + span.TraceFlags().String()
}

// spanContext reads a trace context; "" gives one that is not valid.
func spanContext(traceParent string) trace.SpanContext {
	remote := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": traceParent})
	return trace.SpanContextFromContext(remote)
}

// kind tells collectors who hands work to whom.
func kind(o esjs.Operation) trace.SpanKind {
	switch o {
	case esjs.OperationAppend:
		return trace.SpanKindProducer
	case esjs.OperationDeliver, esjs.OperationReact, esjs.OperationProject:
		return trace.SpanKindConsumer
	}
	return trace.SpanKindInternal
}
