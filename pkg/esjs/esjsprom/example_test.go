package esjsprom_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjsprom"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/prometheus/client_golang/prometheus"
)

// The registry is the program's own, and promhttp.HandlerFor serves it.
func Example() {
	ctx := context.Background()
	server, stop, err := esjstest.Start() // a nats-server inside this process
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	if err := example(ctx, server.Dial()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// esjs_appends_total conflict 1
	// esjs_appends_total ok 2
}

func example(ctx context.Context, dial esjs.Dial) error {
	if err := esjs.Provision(ctx, dial, esjs.Config{}); err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	metrics, err := esjsprom.New(registry)
	if err != nil {
		return err
	}
	store, err := esjs.Open(ctx, dial, esjs.Config{Observer: metrics})
	if err != nil {
		return err
	}
	defer store.Close()

	for _, key := range []string{"j-1", "j-2", "j-1"} {
		_, err := store.Append(ctx, esjs.StreamID{Category: "jar", Key: key}, esjs.NoStream(), opened{})
		if err != nil && esjs.Outcome(err) != "conflict" {
			return err
		}
	}
	return printAppends(registry)
}

// printAppends shows what is scraped of one metric.
func printAppends(registry *prometheus.Registry) error {
	families, err := registry.Gather()
	if err != nil {
		return err
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "esjs_appends_") {
			continue
		}
		for _, m := range f.GetMetric() {
			fmt.Println(f.GetName(), m.GetLabel()[1].GetValue(), m.GetCounter().GetValue())
		}
	}
	return nil
}
