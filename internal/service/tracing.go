package service

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"strings"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjsotel"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Tracing exports the spans of a process's services by OTLP over HTTP. A nil
// Tracing exports nothing.
type Tracing struct {
	spans   sdktrace.SpanProcessor
	version string
}

// NewTracing prepares what OpenTelemetry's environment variables ask for. It
// returns nil when neither OTEL_EXPORTER_OTLP_ENDPOINT nor
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set, when OTEL_TRACES_EXPORTER is "none",
// and when OTEL_SDK_DISABLED is "true". The other variables of the exporter, the
// sampler and the resource hold as well; OTLP over gRPC and other exporters
// are an [esjs.ErrConfig]. What cannot be exported is told to the log. Close it.
func NewTracing(ctx context.Context, version string, log zerolog.Logger) (*Tracing, error) {
	endpoint := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	exporter := os.Getenv("OTEL_TRACES_EXPORTER")
	if endpoint == "" || exporter == "none" || strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return nil, nil //nolint:nilnil // nothing is asked for, and that is not an error
	}
	if exporter != "" && exporter != "otlp" {
		return nil, fmt.Errorf("%w: OTEL_TRACES_EXPORTER is %q; it must be otlp or none", esjs.ErrConfig, exporter)
	}
	protocol := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"))
	if protocol == "grpc" {
		return nil, fmt.Errorf("%w: OTLP over gRPC is not supported; the protocol must be http/protobuf or http/json", esjs.ErrConfig)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn().Err(err).Msg("traces were not exported") }))
	client, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: traces: %w", esjs.ErrConfig, err)
	}
	return &Tracing{spans: sdktrace.NewBatchSpanProcessor(client), version: version}, nil
}

// Provider returns what makes the spans of one service, or nil. Its name is
// the resource's service.name unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES
// give another one.
func (t *Tracing) Provider(ctx context.Context, service string) (trace.TracerProvider, error) {
	if t == nil {
		return nil, nil //nolint:nilnil // no traces
	}
	r, err := resource.New(ctx,
		resource.WithAttributes(
			attribute.String("service.namespace", "orderflow"),
			attribute.String("service.name", service),
			attribute.String("service.version", t.version),
		),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv(),
	)
	if err != nil {
		return nil, fmt.Errorf("%w: traces: %w", esjs.ErrConfig, err)
	}
	return sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(t.spans), sdktrace.WithResource(r)), nil
}

// Close exports the spans that wait, as long as ctx allows.
func (t *Tracing) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.spans.Shutdown(ctx)
}

// Observed is cfg with what observes the service's store.
func (e *Env) Observed(cfg esjs.Config) esjs.Config {
	cfg.Observer = e.Observer()
	if e.Traces != nil {
		cfg.Tracer = esjsotel.New(e.Traces)
	}
	return cfg
}

// tracerName names what makes the spans of requests.
const tracerName = "github.com/b144f99b/orderflow/internal/service"

// StartSpan begins the span of a request that came with a W3C trace context, or
// with "". The context carries the trace on also where the service has no tracer, and
// the span does nothing then. A trace context that is not valid is passed over.
func (e *Env) StartSpan(ctx context.Context, name, traceParent string, attributes ...attribute.KeyValue) (context.Context, trace.Span) {
	ctx = esjs.WithTraceParent(ctx, traceParent)
	if e.Traces == nil {
		return ctx, noop.Span{}
	}
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{HeaderTraceParent: traceParent})
	return e.Traces.Tracer(tracerName).Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attributes...))
}

// StartNews begins the span of news that comes from outside. Who sends it knows
// nothing of our traces, so it is in that of the newest event of what it is about;
// without a store there is none.
func (e *Env) StartNews(ctx context.Context, about esjs.StreamID) (context.Context, trace.Span) {
	known := ""
	if e.Store == nil {
		return e.StartSpan(ctx, "news "+about.Category, known)
	}
	for newest, err := range e.Store.Read(ctx, about, math.MaxUint64, 1) {
		if err == nil {
			known = newest.Metadata.TraceParent
		}
		break
	}
	return e.StartSpan(ctx, "news "+about.Category, known, attribute.String("esjs.key", about.Key))
}
