package esjsotel_test

import (
	"context"
	"fmt"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjsotel"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

type opened struct{}

func (opened) EventType() string { return "Opened" }

// The provider is the program's own: it samples, and it exports to wherever
// traces are kept. This one keeps them in memory.
func Example() {
	ctx := context.Background()
	server, stop, err := esjstest.Start() // a nats-server inside this process
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	exporter := tracetest.NewInMemoryExporter()
	provider := trace.NewTracerProvider(trace.WithSyncer(exporter))
	if err := example(ctx, server.Dial(), provider); err != nil {
		fmt.Println(err)
	}
	for _, span := range exporter.GetSpans() {
		fmt.Println(span.Name, "in the request's trace:", span.Parent.TraceID().String() == requestTrace)
	}
	// Output: append jar in the request's trace: true
}

const requestTrace = "0af7651916cd43dd8448eb211c80319c"

func example(ctx context.Context, dial esjs.Dial, provider *trace.TracerProvider) error {
	if err := esjs.Provision(ctx, dial, esjs.Config{}); err != nil {
		return err
	}
	store, err := esjs.Open(ctx, dial, esjs.Config{Tracer: esjsotel.New(provider)})
	if err != nil {
		return err
	}
	defer store.Close()

	header := "00-" + requestTrace + "-b7ad6b7169203331-01" // the request's traceparent
	ctx = esjs.WithTraceParent(ctx, header)
	_, err = store.Append(ctx, esjs.StreamID{Category: "jar", Key: "j-1"}, esjs.NoStream(), opened{})
	return err
}
