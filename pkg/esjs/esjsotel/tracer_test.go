package esjsotel_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjsotel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"
)

const (
	remote = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	other  = "00-11111111111111111111111111111111-2222222222222222-00"
)

var jar = esjs.StreamID{Category: "jar", Key: "j-1"}

func newTracer(options ...trace.TracerProviderOption) (*esjsotel.Tracer, *tracetest.InMemoryExporter) {
	exporter := tracetest.NewInMemoryExporter()
	return esjsotel.New(trace.NewTracerProvider(append(options, trace.WithSyncer(exporter))...)), exporter
}

func only(t *testing.T, exporter *tracetest.InMemoryExporter) tracetest.SpanStub {
	t.Helper()
	spans := exporter.GetSpans()
	if len(spans) != 1 {
		t.Fatalf("%d spans, want 1", len(spans))
	}
	exporter.Reset()
	return spans[0]
}

func TestSpansSayWhatTheyAreOf(t *testing.T) {
	tracer, exporter := newTracer()
	for _, c := range []struct {
		span       esjs.Span
		name       string
		kind       api.SpanKind
		attributes []attribute.KeyValue
	}{
		{
			esjs.Span{Operation: esjs.OperationAppend, Stream: jar, Events: 2}, "append jar", api.SpanKindProducer,
			[]attribute.KeyValue{attribute.String("esjs.category", "jar"), attribute.String("esjs.key", "j-1"), attribute.Int("esjs.events", 2)},
		},
		{esjs.Span{Operation: esjs.OperationAppend, Events: 3}, "append", api.SpanKindProducer, []attribute.KeyValue{attribute.Int("esjs.events", 3)}},
		{
			esjs.Span{Operation: esjs.OperationLoad, Stream: jar}, "load jar", api.SpanKindInternal,
			[]attribute.KeyValue{attribute.String("esjs.category", "jar"), attribute.String("esjs.key", "j-1")},
		},
		{
			esjs.Span{Operation: esjs.OperationReact, Stream: jar, Subscription: "saga"}, "react saga", api.SpanKindConsumer,
			[]attribute.KeyValue{attribute.String("esjs.category", "jar"), attribute.String("esjs.key", "j-1"), attribute.String("esjs.subscription", "saga")},
		},
	} {
		_, end := tracer.Start(t.Context(), c.span)
		end(nil)
		got := only(t, exporter)
		if got.Name != c.name || got.SpanKind != c.kind || !slices.Equal(got.Attributes, c.attributes) || got.Status.Code != codes.Unset {
			t.Errorf("%+v is %q, %s, %v, %v", c.span, got.Name, got.SpanKind, got.Attributes, got.Status)
		}
	}
}

func TestParentsAndLinks(t *testing.T) {
	tracer, exporter := newTracer()
	ctx, end := tracer.Start(t.Context(), esjs.Span{Operation: esjs.OperationHandle, Parent: remote, Links: []string{other, remote}})
	inner, endInner := tracer.Start(ctx, esjs.Span{Operation: esjs.OperationAppend})
	endInner(nil)
	end(nil)
	spans := exporter.GetSpans()
	stored, handle := spans[0], spans[1]
	if got := traceParent(handle.Parent); got != remote || !handle.Parent.IsRemote() {
		t.Errorf("the parent is %s", got)
	}
	if len(handle.Links) != 2 || traceParent(handle.Links[0].SpanContext) != other || traceParent(handle.Links[1].SpanContext) != remote {
		t.Errorf("the links are %v", handle.Links)
	}
	if !stored.Parent.Equal(handle.SpanContext) || stored.SpanContext.TraceID() != handle.Parent.TraceID() {
		t.Errorf("the inner span's parent is %s", traceParent(stored.Parent))
	}
	if got := tracer.TraceParent(inner); got != traceParent(stored.SpanContext) {
		t.Errorf("the trace context is %s", got)
	}
	if got := tracer.TraceParent(t.Context()); got != "" {
		t.Errorf("without a span it is %q", got)
	}
	exporter.Reset()

	// A given parent is nearer than the context's span.
	_, end = tracer.Start(ctx, esjs.Span{Operation: esjs.OperationDeliver, Parent: remote})
	end(nil)
	if got := only(t, exporter); traceParent(got.Parent) != remote {
		t.Errorf("the parent is %s", traceParent(got.Parent))
	}
}

func traceParent(sc api.SpanContext) string {
	return (&esjsotel.Tracer{}).TraceParent(api.ContextWithSpanContext(context.Background(), sc))
}

// A trace that nobody samples is carried on, and says so.
func TestATraceThatIsNotSampled(t *testing.T) {
	tracer, exporter := newTracer(trace.WithSampler(trace.ParentBased(trace.AlwaysSample())))
	ctx, end := tracer.Start(t.Context(), esjs.Span{Operation: esjs.OperationHandle, Parent: other})
	got := tracer.TraceParent(ctx)
	end(nil)
	if got[:36] != other[:36] || got[36:52] == other[36:52] || got[53:] != "00" || len(exporter.GetSpans()) != 0 {
		t.Errorf("carried on is %s, and %d spans are exported", got, len(exporter.GetSpans()))
	}
}

func TestOutcomesOfSpans(t *testing.T) {
	tracer, exporter := newTracer()
	for _, c := range []struct {
		err     error
		outcome string
		status  codes.Code
	}{
		{&esjs.ConflictError{Stream: jar}, "conflict", codes.Error},
		{errors.New("broken"), "error", codes.Error},
		{esjs.Reject("empty", "the jar is empty"), "rejected", codes.Unset},
	} {
		_, end := tracer.Start(t.Context(), esjs.Span{Operation: esjs.OperationHandle})
		end(c.err)
		got := only(t, exporter)
		if got.Status.Code != c.status || !slices.Contains(got.Attributes, attribute.String("esjs.outcome", c.outcome)) {
			t.Errorf("%v: %v %v", c.err, got.Status, got.Attributes)
		}
		if c.status == codes.Error && got.Status.Description != c.err.Error() {
			t.Errorf("the status says %q", got.Status.Description)
		}
	}
}
