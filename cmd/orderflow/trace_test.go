package main

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/queries"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// spans is a collector of traces: what a process exports to it by OTLP.
type spans struct {
	*httptest.Server
	mu   sync.Mutex
	byID map[string]span
}

type span struct {
	name, trace, parent string // name with the service's in front
}

func collectSpans(t *testing.T) *spans {
	t.Helper()
	s := &spans{byID: map[string]span{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &request)
		}
		if err != nil || r.URL.Path != "/v1/traces" {
			http.Error(w, "not an export of traces", http.StatusBadRequest)
			t.Errorf("%s: %v", r.URL, err)
			return
		}
		s.add(&request)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *spans) add(request *collector.ExportTraceServiceRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, of := range request.GetResourceSpans() {
		name := ""
		for _, a := range of.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				name = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range of.GetScopeSpans() {
			for _, exported := range scope.GetSpans() {
				s.byID[hex.EncodeToString(exported.GetSpanId())] = span{
					name:   name + ": " + exported.GetName(),
					trace:  hex.EncodeToString(exported.GetTraceId()),
					parent: hex.EncodeToString(exported.GetParentSpanId()),
				}
			}
		}
	}
}

// ways are the spans of a trace, each with its parents, the first one first.
func (s *spans) ways(trace string) (ways []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.byID {
		if at.trace != trace {
			continue
		}
		way := []string{at.name}
		for {
			parent, known := s.byID[at.parent]
			if !known {
				way = append(way, at.parent)
				break
			}
			at = parent
			way = append(way, at.name)
		}
		slices.Reverse(way)
		ways = append(ways, strings.Join(way, " > "))
	}
	slices.Sort(ways)
	return slices.Compact(ways)
}

// One trace follows an order from the HTTP request through every service to the
// read model.
func TestOneTraceFollowsAnOrder(t *testing.T) {
	const (
		trace  = "0af7651916cd43dd8448eb211c80319c"
		caller = "b7ad6b7169203331"
	)
	exported := collectSpans(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", exported.URL)
	p := up(t, t.TempDir(), "--ephemeral")
	p.command(t, "product", "beans", "list", map[string]any{"name": "Beans", "price": "24.90", "currency": "EUR"})
	p.command(t, "stock", "beans", "receive", map[string]any{"quantity": 40, "reference": "PO-1"})
	create(t, p.client, "o-1")
	p.command(t, "order", "o-1", "add-item", map[string]any{"sku": "beans", "quantity": 1})
	p.command(t, "order", "o-1", "set-shipping", map[string]any{"address_ref": "addr-1", "country": "DE"})
	p.command(t, "order", "o-1", "set-payment-method", map[string]any{"method_ref": "card-ok"})

	submit, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.httpURL+"/v1/orders/o-1/submit", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	submit.Header.Set("traceparent", "00-"+trace+"-"+caller+"-01")
	answer, err := http.DefaultClient.Do(submit)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("submit: %s", answer.Status)
	}
	awaitState(t, p.client, "o-1", queries.Completed)
	p.stop(t) // which exports what waits

	ways := exported.ways(trace)
	submitted := caller + " > gateway: POST /v1/orders/{order_id}/{verb} > order: order submit > order: handle order > order: append order"
	started := submitted + " > saga: react fulfilment > saga: handle fulfilment > saga: append fulfilment"
	reserved := started + " > inventory: deliver inventory"
	for what, want := range map[string]string{
		"the command's event in the read model": submitted + " > projector: project orders_v1",
		"the saga's in the timeline":            started + " > projector: project timeline_v1",
		"inventory's answer to the saga":        reserved + " > saga: react fulfilment",
	} {
		if !slices.Contains(ways, want) {
			t.Errorf("%s: the trace has no\n\t%s", what, want)
		}
	}
	for what, hops := range map[string][]string{
		"the payment":  {started, "payment: deliver payment", "payment: handle payment", "payment: append payment", "saga: react fulfilment"},
		"the PSP":      {started, "payment: deliver payment", "payment: POST"},
		"the shipment": {started, "shipping: deliver shipping", "shipping: append shipment", "saga: react fulfilment"},
		"the order":    {started, "payment: append payment", "saga: append fulfilment", "order: deliver order", "order: append order", "projector: project orders_v1"},
	} {
		if !slices.ContainsFunc(ways, func(way string) bool { return goesOver(way, hops) }) {
			t.Errorf("%s: no way goes over %s", what, strings.Join(hops, ", "))
		}
	}
	if t.Failed() {
		t.Logf("the trace:\n%s", strings.Join(ways, "\n"))
	}
}

// goesOver tells that a way has the hops, in their order.
func goesOver(way string, hops []string) bool {
	for _, hop := range hops {
		_, rest, found := strings.Cut(way, hop)
		if !found {
			return false
		}
		way = rest
	}
	return true
}

func TestTracesThatCannotBeExportedAreRefused(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	for name, value := range map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_TRACES_EXPORTER": "zipkin"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			status, _, stderr := once(t, t.TempDir(), "gateway", "--wait", "0s")
			if status != service.ExitUsage || !strings.Contains(stderr, value) && !strings.Contains(stderr, "gRPC") {
				t.Errorf("exit status %d, %s", status, stderr)
			}
		})
	}
}
