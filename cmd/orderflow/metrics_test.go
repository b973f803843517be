package main

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const (
	metricsPage  = "operations/metrics.md"
	metricsBegin = "| metric | type | labels | unit | what |\n| --- | --- | --- | --- | --- |\n"
)

// Every metric that a running system exposes has its row on the page, and every row is exposed. Those of the
// store, esjs_…, have a page of their own, which is compared with what the library has by a test there.
func TestThePageOfMetricsListsWhatIsExposed(t *testing.T) {
	p := up(t, t.TempDir(), "--ephemeral")
	trade(t, p)
	want := pageRows(t, metricsPage, metricsBegin)
	exposed := replicaMetrics(t) // a cluster has them
	store := pageRows(t, "esjs/observability.md", "| metric | type | labels | what |\n| --- | --- | --- | --- |\n")
	complete := func() bool {
		for name, family := range scrape(t, p.httpURL) {
			switch {
			case strings.HasPrefix(name, "go_"), strings.HasPrefix(name, "process_"), strings.HasPrefix(name, "promhttp_"):
			case strings.HasPrefix(name, "esjs_"):
				if store[name] == "" {
					t.Errorf("%s is not on the page of the store's metrics", name)
				}
			default:
				exposed[name] = pageRow(family)
			}
		}
		for name := range want {
			if exposed[name] == "" {
				return false
			}
		}
		return exposed["backup_completed_timestamp_seconds"] != "" && exposed["jetstream_servers"] != "" && exposed["saga_instances"] != "" && exposed["projection_progress"] != ""
	}
	if *rewrite {
		want = nil // what is there is written
	}
	for deadline := time.Now().Add(patience); !complete() && time.Now().Before(deadline); <-time.After(time.Second) { // figures come every few seconds
	}
	table := metricsBegin
	for _, name := range slices.Sorted(maps.Keys(exposed)) {
		table += exposed[name]
	}
	path := filepath.Join("..", "..", "docs", metricsPage)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), metricsBegin)
	have, after, _ := strings.Cut(rest, "\n\n")
	if *rewrite {
		if err := os.WriteFile(path, []byte(before+table+"\n"+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have = metricsBegin + have + "\n"; !found || have != table {
		t.Errorf("%s lists\n%s\nand exposed is\n%s\ngo test ./cmd/orderflow -run %s -rewrite writes it", path, have, table, t.Name())
	}
}

// What is often asked for by another name is told by metrics that there are, and of events that there are.
func TestMetricsThatAnswerOtherNamesAreThere(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", metricsPage))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "| asked for | told by |\n| --- | --- |\n")
	table, _, _ := strings.Cut(rest+"\n\n", "\n\n")
	own, store := pageRows(t, metricsPage, metricsBegin), pageRows(t, "esjs/observability.md", "| metric | type | labels | what |\n| --- | --- | --- | --- |\n")
	metric, label, event := regexp.MustCompile("`([a-z_]+)`"), regexp.MustCompile(`([a-z]+)="([^"]+)"`), regexp.MustCompile(`[A-Z][a-z]+[A-Z][A-Za-z]+`)
	rows := 0
	for line := range strings.Lines(table) {
		rows++
		cells := strings.Split(line, " | ")
		if len(cells) != 2 || own[strings.TrimPrefix(cells[0], "| ")] != "" {
			t.Errorf("a row names one that there is, or is none: %q", line)
			continue
		}
		told := metric.FindAllStringSubmatch(cells[1], -1)
		labels := ""
		for _, name := range told {
			if own[name[1]] == "" && store[name[1]] == "" && name[1] != "type" {
				t.Errorf("there is no metric %s: %q", name[1], line)
			}
			labels += own[name[1]] + store[name[1]] + " service "
		}
		if len(told) == 0 {
			t.Errorf("no metric tells it: %q", line)
		}
		for _, l := range label.FindAllStringSubmatch(cells[1], -1) {
			if !strings.Contains(labels, l[1]) {
				t.Errorf("there is no label %s: %q", l[1], line)
			}
		}
		for _, name := range event.FindAllString(cells[1], -1) {
			if !slices.ContainsFunc(events.Types, func(e events.Type) bool { return e.Name == name }) {
				t.Errorf("there is no type of events %s: %q", name, line)
			}
		}
	}
	if !found || rows < 10 {
		t.Errorf("there are %d rows", rows)
	}
}

// trade does what makes every metric appear.
func trade(t *testing.T, p *running) {
	t.Helper()
	p.command(t, "product", "beans", "list", map[string]any{"name": "Beans", "price": "24.90", "currency": "EUR"})
	p.command(t, "stock", "beans", "receive", map[string]any{"quantity": 40, "reference": "PO-1"})
	for id, method := range map[string]string{"o-1": "card-ok", "o-2": "card-declined", "o-3": "card-soft"} {
		create(t, p.client, id)
		p.command(t, "order", id, "add-item", map[string]any{"sku": "beans", "quantity": 1})
		p.command(t, "order", id, "set-shipping", map[string]any{"address_ref": "addr-1", "country": "DE"})
		p.command(t, "order", id, "set-payment-method", map[string]any{"method_ref": method})
		p.command(t, "order", id, "submit", map[string]any{})
	}
	awaitState(t, p.client, "o-1", queries.Completed)
	awaitState(t, p.client, "o-2", queries.Rejected) // and o-3 waits for another card
	if status, _, stderr := once(t, t.TempDir(), "order", "create", "o-4", "--customer", "c-1", "--currency", "EUR", "--queued", "--nats-url", p.natsURL); status != 0 {
		t.Fatalf("queued: %d %s", status, stderr)
	}
	for _, path := range []string{"/v1/orders/o-1", "/v1/events/live"} {
		answer, err := http.Get(p.httpURL + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", path, answer.Status)
		}
	}
}

func scrape(t *testing.T, url string) map[string]*dto.MetricFamily {
	t.Helper()
	answer, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, answer.Status, err)
	}
	return families
}

// pageRows are the lines of a table of a page, by what is in their first column.
func pageRows(t *testing.T, page, begin string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), begin)
	if !found {
		t.Fatalf("%s has no table that begins with %s", page, begin)
	}
	all := map[string]string{}
	table, _, _ := strings.Cut(rest, "\n\n")
	for line := range strings.Lines(table) {
		all[strings.Split(line, "`")[1]] = line
	}
	return all
}

// pageRow is a metric on the page.
func pageRow(f *dto.MetricFamily) string {
	var labels []string
	for _, l := range f.GetMetric()[0].GetLabel() {
		labels = append(labels, l.GetName())
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), unit(f), f.GetHelp())
}

func unit(f *dto.MetricFamily) string {
	switch name := f.GetName(); {
	case strings.HasSuffix(name, "_timestamp_seconds"):
		return "seconds since 1970"
	case strings.HasSuffix(name, "_seconds"):
		return "seconds"
	case strings.HasSuffix(name, "_bytes"):
		return "bytes"
	case strings.HasPrefix(f.GetHelp(), "1 "):
		return "0 or 1"
	case strings.Contains(f.GetHelp(), "from 0 to 1"):
		return "0 to 1"
	}
	return "number"
}

// replicaMetrics are the rows of what the leader of a cluster says of its replicas.
func replicaMetrics(t *testing.T) map[string]string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	var figures collected = streamFigures("n1", "APP", server.StreamDetail{
		Name:    "EVENTS",
		Cluster: &server.ClusterInfo{Leader: "n1", Replicas: []*server.PeerInfo{{Name: "n2", Offline: true, Lag: 7}}},
	})
	registry.MustRegister(figures)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "jetstream_replica_") {
			all[f.GetName()] = pageRow(f)
		}
	}
	return all
}

type collected []prometheus.Metric

func (collected) Describe(chan<- *prometheus.Desc) {}

func (c collected) Collect(to chan<- prometheus.Metric) {
	for _, m := range c {
		to <- m
	}
}
