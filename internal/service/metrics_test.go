package service_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/internal/service"
)

// What alerts ask the increase of is there, as 0, before it happens: otherwise the first time would be no increase.
func TestWhatAlertsCountIsExposedBeforeItHappens(t *testing.T) {
	metrics := service.NewMetrics()
	observer := (&service.Env{Name: "jars", Metrics: metrics}).Observer()
	observer.Handles("jar")
	observer.Lag("jars", 0, 0)
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	exposed := map[string]bool{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "outcome" && m.GetCounter().GetValue() == 0 {
					exposed[f.GetName()+" "+l.GetValue()] = true
				}
			}
		}
	}
	alerts, err := os.ReadFile(filepath.Join("..", "..", "deploy", "observability", "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	asked := regexp.MustCompile(`(\w+_total)\{outcome=~?"([^"]+)"\}\[`).FindAllStringSubmatch(string(alerts), -1)
	for _, counter := range asked {
		for outcome := range strings.SplitSeq(counter[2], "|") {
			if !exposed[counter[1]+" "+outcome] {
				t.Errorf("%s of the outcome %s is not exposed before it happens", counter[1], outcome)
			}
		}
	}
	if len(asked) < 4 {
		t.Errorf("alerts ask for %q", asked)
	}
}
