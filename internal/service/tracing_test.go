package service_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// Every request has a span in the trace that it came with, and what it stores is
// in the trace as well, with a tracer and without.
func TestRequestsContinueTheirTrace(t *testing.T) {
	spans := make(exported, 1)
	carried := make(chan string, 1)
	var r *rig
	r = serve(t, service.Commands{Verbs: map[string]service.Answer{
		"put": func(ctx context.Context, cmd service.Command) (service.Reply, error) {
			carried <- r.env.Store.TraceParent(ctx)
			switch cmd.Key {
			case "refused":
				return service.Reply{}, esjs.Reject("no", "no")
			case "broken":
				return service.Reply{}, errors.New("secret")
			}
			return service.Reply{}, nil
		},
	}}, func(env *service.Env) { env.Traces = spans.provider() })
	for _, c := range []struct {
		key, header string
		outcome     string
		status      codes.Code
		parent      string
	}{
		{"fine", traceParent, "ok", codes.Unset, "b7ad6b7169203331"},
		{"fine", "junk\r\nX: y", "ok", codes.Unset, "0000000000000000"},
		{"fine", "", "ok", codes.Unset, "0000000000000000"},
		{"refused", traceParent, "no", codes.Unset, "b7ad6b7169203331"},
		{"broken", traceParent, "internal", codes.Error, "b7ad6b7169203331"},
	} {
		header := nats.Header{}
		header.Set("traceparent", c.header)
		r.ask(t, "cmd.jar."+c.key+".put", "{}", header)
		// The store has no tracer here: it carries on what the request came with.
		want := ""
		if c.header == traceParent {
			want = traceParent
		}
		if got := <-carried; got != want {
			t.Errorf("%s with %q carries %q", c.key, c.header, got)
		}
		span := spans.next(t)
		if span.Name != "jar put" || span.Parent.SpanID().String() != c.parent || span.Status.Code != c.status ||
			!slices.Contains(span.Attributes, attribute.String("orderflow.outcome", c.outcome)) {
			t.Errorf("%s: the span is %q below %s, %v, %v", c.key, span.Name, span.Parent.SpanID(), span.Status, span.Attributes)
		}
	}
}

// A partner is called inside a span, and is told nothing of it.
func TestCallsOfPartnersHaveSpans(t *testing.T) {
	spans := make(exported, 1)
	env := &service.Env{Traces: spans.provider()}
	partner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("traceparent"); got != "" {
			t.Errorf("the partner is told %q", got)
		}
		if r.URL.Path == "/broken" {
			w.WriteHeader(http.StatusBadGateway)
		}
		_, _ = w.Write([]byte("{}"))
	}))
	defer partner.Close()
	p := service.NewPartner(service.PartnerConfig{URL: partner.URL})
	ctx, outer := env.StartSpan(t.Context(), "outer", traceParent)
	for path, status := range map[string]codes.Code{"/fine": codes.Unset, "/broken": codes.Error} {
		var answer struct{}
		err := p.Call(ctx, service.PartnerCall{Method: http.MethodPost, Path: path}, &answer)
		if (err != nil) != (status == codes.Error) {
			t.Fatal(err)
		}
		span := spans.next(t)
		if span.Name != "POST" || span.Parent.SpanID() != outer.SpanContext().SpanID() || span.Status.Code != status {
			t.Errorf("%s: the span is %q, %v", path, span.Name, span.Status)
		}
	}
}

// exported are the spans that have ended.
type exported chan tracetest.SpanStub

func (e exported) provider() *sdktrace.TracerProvider {
	return sdktrace.NewTracerProvider(sdktrace.WithSyncer(e))
}

func (e exported) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, s := range spans {
		e <- tracetest.SpanStubFromReadOnlySpan(s)
	}
	return nil
}

func (exported) Shutdown(context.Context) error { return nil }

// next waits for a span: a request's ends after its answer.
func (e exported) next(t *testing.T) tracetest.SpanStub {
	t.Helper()
	select {
	case span := <-e:
		return span
	case <-time.After(patience):
		t.Fatal("no span has ended")
		return tracetest.SpanStub{}
	}
}

func TestTracingIsWhatTheEnvironmentAsksFor(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for _, c := range []struct {
		name   string
		set    map[string]string
		on     bool
		refuse bool
	}{
		{"nothing", nil, false, false},
		{"an endpoint", map[string]string{endpoint: "http://127.0.0.1:1"}, true, false},
		{"one for traces", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, true, false},
		{"no exporter", map[string]string{endpoint: "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"}, false, false},
		{"disabled", map[string]string{endpoint: "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "TRUE"}, false, false},
		{"another exporter", map[string]string{endpoint: "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "zipkin"}, false, true},
		{"gRPC", map[string]string{endpoint: "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, value := range c.set {
				t.Setenv(name, value)
			}
			tracing, err := service.NewTracing(t.Context(), "test", zerolog.Nop())
			if (tracing != nil) != c.on || errors.Is(err, esjs.ErrConfig) != c.refuse || (err != nil) != c.refuse {
				t.Fatalf("got %v, %v", tracing, err)
			}
			provider, err := tracing.Provider(t.Context(), "jars")
			if (provider != nil) != c.on || err != nil {
				t.Errorf("the provider is %v, %v", provider, err)
			}
			if err := tracing.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
