package esjsprom_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjsprom"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

type opened struct{}

func (opened) EventType() string { return "Opened" }

func newObserver(t *testing.T) (*esjsprom.Observer, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	o, err := esjsprom.New(registry)
	if err != nil {
		t.Fatal(err)
	}
	return o, registry
}

func gather(t *testing.T, r *prometheus.Registry) []*dto.MetricFamily {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// samples are the counters and gauges, and how often histograms observed, as
// name{labels} to value.
func samples(t *testing.T, r *prometheus.Registry) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	for _, family := range gather(t, r) {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			name := family.GetName() + "{" + strings.Join(labels, ",") + "}"
			all[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

var jar = esjs.StreamID{Category: "jar", Key: "j-1"}

// everything tells o of each thing once.
func everything(o esjs.Observer) {
	o.Appended(esjs.AppendInfo{Stream: jar, Events: []esjs.Event{opened{}, opened{}}, Batch: 1, Took: time.Second})
	o.Settled(jar, esjs.SettledOpen)
	o.Loaded(esjs.LoadInfo{Stream: jar, Source: esjs.LoadedFromSnapshot, Commits: 3, Took: time.Second})
	o.SnapshotStored(esjs.SnapshotInfo{Stream: jar, Took: time.Second})
	o.Decided(esjs.DecisionInfo{Stream: jar, Attempts: 3, Events: 2, Took: time.Second})
	o.Connected("append", true)
	o.Connected("append", false)
	o.Handled("copy", time.Second, nil)
	o.Lag("copy", 7, 2*time.Second)
	o.ParkedKeys("copy", 4)
	o.Active("copy", true)
	o.Fenced("copy")
	o.WindowFull("copy", true)
	o.TimerLate("copy", time.Second)
	o.Unexpected("saga", "open", "Closed")
}

func TestWhatIsToldIsCounted(t *testing.T) {
	o, registry := newObserver(t)
	everything(o)
	o.Appended(esjs.AppendInfo{Stream: jar, Events: []esjs.Event{opened{}}, Err: &esjs.ConflictError{}})
	o.Appended(esjs.AppendInfo{Stream: esjs.StreamID{Category: "\xff"}, Err: esjs.ErrInvalid})
	o.Loaded(esjs.LoadInfo{Stream: jar, Source: esjs.LoadedFromCache})
	o.SnapshotStored(esjs.SnapshotInfo{Stream: jar, Err: esjs.ErrStoreFull})
	o.Decided(esjs.DecisionInfo{Stream: jar, Attempts: 1})
	o.Decided(esjs.DecisionInfo{Stream: jar, Attempts: 1, Repeated: true})
	o.Decided(esjs.DecisionInfo{Stream: jar, Attempts: 1, Err: esjs.Reject("no", "no")})
	o.Connected("append", true)
	o.Handled("copy", time.Second, errors.New("broken"))
	o.Active("copy", false)
	o.Active("other", true)

	want := map[string]float64{
		"esjs_appends_total{category=jar,outcome=ok}":                                1,
		"esjs_appends_total{category=jar,outcome=conflict}":                          1,
		"esjs_appends_total{category=,outcome=invalid}":                              1,
		"esjs_append_duration_seconds{category=jar}":                                 2,
		"esjs_append_duration_seconds{category=}":                                    1,
		"esjs_events_appended_total{category=jar,type=Opened}":                       2,
		"esjs_append_settlements_total{category=jar,found=open}":                     1,
		"esjs_loads_total{category=jar,outcome=ok,source=snapshot}":                  1,
		"esjs_loads_total{category=jar,outcome=ok,source=cache}":                     1,
		"esjs_load_duration_seconds{category=jar,source=snapshot}":                   1,
		"esjs_load_commits{category=jar,source=snapshot}":                            1,
		"esjs_snapshots_total{category=jar,outcome=ok}":                              1,
		"esjs_snapshots_total{category=jar,outcome=full}":                            1,
		"esjs_commands_total{category=jar,outcome=ok}":                               1,
		"esjs_commands_total{category=jar,outcome=unchanged}":                        1,
		"esjs_commands_total{category=jar,outcome=repeated}":                         1,
		"esjs_commands_total{category=jar,outcome=rejected}":                         1,
		"esjs_command_duration_seconds{category=jar}":                                4,
		"esjs_command_retries_total{category=jar}":                                   2,
		"esjs_connection_up{connection=append}":                                      1,
		"esjs_connection_losses_total{connection=append}":                            1,
		"esjs_deliveries_total{outcome=ok,subscription=copy}":                        1,
		"esjs_deliveries_total{outcome=error,subscription=copy}":                     1,
		"esjs_deliveries_total{outcome=unavailable,subscription=copy}":               0,
		"esjs_delivery_duration_seconds{subscription=copy}":                          2,
		"esjs_subscription_lag_commits{subscription=copy}":                           7,
		"esjs_subscription_lag_seconds{subscription=copy}":                           2,
		"esjs_subscription_parked_keys{subscription=copy}":                           4,
		"esjs_subscription_active{subscription=copy}":                                0,
		"esjs_subscription_active{subscription=other}":                               1,
		"esjs_subscription_fenced_total{subscription=copy}":                          1,
		"esjs_subscription_fenced_total{subscription=other}":                         0,
		"esjs_subscription_window_full{subscription=copy}":                           1,
		"esjs_timer_lateness_seconds{subscription=copy}":                             1,
		"esjs_process_unexpected_inputs_total{input=Closed,process=saga,state=open}": 1,
	}
	if got := samples(t, registry); !maps.Equal(got, want) {
		for _, name := range slices.Sorted(maps.Keys(got)) {
			if w, ok := want[name]; !ok || w != got[name] {
				t.Errorf("%s is %v, want %v", name, got[name], w)
			}
			delete(want, name)
		}
		t.Errorf("missing: %v", want)
	}
}

// What is rare can be seen to increase from its first occurrence on.
func TestWhatIsRareIsShownBeforeItHappens(t *testing.T) {
	o, registry := newObserver(t)
	o.Handles("jar")
	want := map[string]float64{
		"esjs_appends_total{category=jar,outcome=conflict}":      0,
		"esjs_appends_total{category=jar,outcome=full}":          0,
		"esjs_appends_total{category=jar,outcome=unknown}":       0,
		"esjs_snapshots_total{category=jar,outcome=full}":        0,
		"esjs_snapshots_total{category=jar,outcome=too_large}":   0,
		"esjs_snapshots_total{category=jar,outcome=refused}":     0,
		"esjs_snapshots_total{category=jar,outcome=unavailable}": 0,
	}
	if got := samples(t, registry); !maps.Equal(got, want) {
		t.Errorf("exported are %v, want %v", got, want)
	}
	o.Appended(esjs.AppendInfo{Stream: jar, Err: esjs.ErrUnknownOutcome})
	if got := samples(t, registry)["esjs_appends_total{category=jar,outcome=unknown}"]; got != 1 {
		t.Errorf("one append of unknown outcome is counted as %v", got)
	}
}

// A subscription that runs no longer is none that nobody handles.
func TestOfASubscriptionThatHasStoppedNothingIsNoted(t *testing.T) {
	o, registry := newObserver(t)
	everything(o)
	o.Active("other", false)
	o.Stopped("copy")
	got := samples(t, registry)
	for name := range got {
		if strings.HasPrefix(name, "esjs_subscription_") && strings.HasSuffix(name, "{subscription=copy}") && name != "esjs_subscription_fenced_total{subscription=copy}" {
			t.Errorf("%s is still %v", name, got[name])
		}
	}
	if _, there := got["esjs_subscription_active{subscription=other}"]; !there || got["esjs_subscription_fenced_total{subscription=copy}"] != 1 {
		t.Errorf("more was taken back: %v", got)
	}
	o.Active("copy", true)
	if samples(t, registry)["esjs_subscription_active{subscription=copy}"] != 1 {
		t.Error("it is not noted again when it is started again")
	}
}

const (
	page  = "../../../docs/esjs/observability.md"
	begin = "| metric | type | labels | what |\n| --- | --- | --- | --- |\n"
)

// The page lists what is exported: name, type, labels and help of every metric.
func TestTheDocumentationListsTheMetrics(t *testing.T) {
	o, registry := newObserver(t)
	everything(o)
	families := gather(t, registry)
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
	table := begin
	for _, f := range families {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		table += fmt.Sprintf("| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), f.GetHelp())
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), begin)
	rows, _, _ := strings.Cut(rest, "\n\n")
	if documented := begin + strings.TrimSuffix(rows, "\n") + "\n"; !found || documented != table {
		t.Errorf("%s lists\n%s\nand exported is\n%s", page, documented, table)
	}
}

// Two stores share a registry when a label tells them apart, and otherwise not.
func TestSeveralStoresOnOneRegistry(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	for _, name := range []string{"order", "payment"} {
		o, err := esjsprom.New(prometheus.WrapRegistererWith(prometheus.Labels{"service": name}, registry))
		if err != nil {
			t.Fatal(err)
		}
		o.ParkedKeys("copy", 1)
	}
	if got := samples(t, registry); got["esjs_subscription_parked_keys{service=payment,subscription=copy}"] != 1 || len(got) != 2 {
		t.Errorf("exported are %v", got)
	}
	again := prometheus.WrapRegistererWith(prometheus.Labels{"service": "order"}, registry)
	if _, err := esjsprom.New(again); !errors.As(err, new(prometheus.AlreadyRegisteredError)) {
		t.Errorf("the same metrics twice: %v", err)
	}
}
