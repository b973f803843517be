//go:build linux

package main

import (
	"bytes"
	"context"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/test/chaos/flat"
	"github.com/b144f99b/orderflow/test/chaos/rig"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A real goroutine, handle, consumer or some memory that each cycle leaves behind is
// seen by what a soak measures and judges; without one nothing is.
func TestALeakIsSeen(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector())
	metrics := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	t.Cleanup(metrics.Close)
	nc := esjstest.Server(t).Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS"})
	if err != nil {
		t.Fatal(err)
	}
	const cycles, ordersEach = 12, 100
	var kept [][]byte
	for what, leak := range map[string]func() error{
		"":         func() error { return nil },
		goroutines: func() error { go func() { <-t.Context().Done() }(); return nil },
		handles: func() error {
			f, err := os.Open(os.DevNull)
			if err == nil {
				t.Cleanup(func() { f.Close() })
			}
			return err
		},
		consumers: func() error {
			_, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{})
			return err
		},
		heap: func() error { kept = append(kept, make([]byte, 2<<20)); return nil },
	} {
		var rests []flat.Rest
		for cycle := range cycles {
			if err := leak(); err != nil {
				t.Fatal(err)
			}
			runtime.GC()
			values, err := measured(t.Context(), metrics.URL, stream)
			if err != nil {
				t.Fatal(err)
			}
			for of, value := range values {
				work := float64(cycle)
				if of == heap {
					work *= ordersEach
				}
				rests = append(rests, flat.Rest{Of: "it, process 1", What: of, Work: work, Value: value})
			}
		}
		var out bytes.Buffer
		wrong := strings.Join(judgeRests(&out, rests), "\n")
		if what == "" && wrong != "" || !strings.Contains(wrong, "grows: "+what) && what != "" {
			t.Errorf("leaking %q: the judges say %q", what, wrong)
		}
	}
	runtime.KeepAlive(kept)
}

func measured(ctx context.Context, metrics string, stream jetstream.Stream) (map[string]float64, error) {
	at, err := goMetrics(ctx, metrics)
	if err != nil {
		return nil, err
	}
	usage, err := rig.UsageOf(os.Getpid())
	if err != nil {
		return nil, err
	}
	info, err := stream.Info(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]float64{heap: at.heap, goroutines: at.goroutines, handles: float64(usage.Handles), consumers: float64(info.State.Consumers)}, nil
}

// What was not there at enough rests is not taken for flat.
func TestWhatIsNotJudgedIsSaid(t *testing.T) {
	var out bytes.Buffer
	wrong := judgeRests(&out, []flat.Rest{{Of: "order, process 1", What: handles, Work: 0, Value: 1}, {Of: "order, process 2", What: handles, Work: 1, Value: 1}})
	if len(wrong) != 1 || !strings.Contains(wrong[0], "handles of order cannot be judged") {
		t.Errorf("%q", wrong)
	}
}
